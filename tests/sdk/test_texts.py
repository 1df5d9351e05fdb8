"""Text that no server keeps: refused in words before it is sent, or escaped if it is a reason."""

import math
from collections.abc import Callable
from typing import Any

import asktell
import httpx
import pytest

from tests.sdk.clocks import FakeTime
from tests.sdk.scripts import ASKED, TOLD, open_study

HALF = "half \ud83d of a pair"
Call = Callable[[asktell.Client, asktell.Study], object]

UNSENT: dict[str, Call] = {
    "study": lambda client, _: client.get_study(HALF),
    "new-study": lambda client, _: client.create_study(HALF),
    "filter": lambda client, _: list(client.list_studies(name_contains=HALF)),
    "sweep": lambda client, _: client.get_sweep(HALF),
    "sweep-file": lambda client, _: client.create_sweep_file(f"name: {HALF}"),
    "params": lambda _, study: study.enqueue_trial({"x": HALF}),
    "attribute-of-study": lambda _, study: study.set_user_attr("a", [HALF]),
    "choices": lambda _, study: study.ask().suggest_categorical("c", ["a", HALF]),
    "constraint": lambda _, study: study.tell(study.ask(), 1.0, constraints={HALF: 1.0}),
}


@pytest.mark.parametrize("call", UNSENT.values(), ids=UNSENT)
def test_half_a_surrogate_pair_is_refused_in_words(
    client: asktell.Client, study: asktell.Study, call: Call
) -> None:
    with pytest.raises(ValueError, match="half of a surrogate pair") as caught:
        call(client, study)
    assert "codec" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("", 1, "1 to 512 characters"),
        ("n" * 513, 1, "1 to 512 characters"),
        ("odd\0key", 1, "NUL"),
        (HALF, 1, "half of a surrogate pair"),
        ("a", "odd\0value", "NUL"),
        ("a", {"b": [1, {"c": HALF}]}, "half of a surrogate pair"),
        ("a", {"b": [{"odd\0key": 1}]}, "NUL"),
    ],
)
def test_an_attribute_that_cannot_be_kept_is_refused_where_it_is_set(
    study: asktell.Study, key: str, value: Any, words: str
) -> None:
    trial = study.ask()
    with pytest.raises(ValueError, match=words):
        trial.set_user_attr(key, value)
    assert trial.user_attrs == {}


@pytest.mark.parametrize("key", ["", "n" * 513, "odd\0key", HALF])
def test_so_is_the_name_of_a_constraint(study: asktell.Study, key: str) -> None:
    trial = study.ask()
    with pytest.raises(ValueError, match="constraint"):
        trial.set_constraint(key, 1.0)
    assert trial.constraints == {}


def test_what_is_accepted_is_kept(study: asktell.Study) -> None:
    trial = study.ask()
    trial.set_user_attr("ü" * 512, {"\\u0000 \\ud83d": ["\N{CRAB}", 10**400]})
    trial.set_constraint("\N{CRAB}" * 512, math.inf)
    told = trial.tell(1.0)
    assert told.user_attrs == trial.user_attrs
    assert told.constraints == trial.constraints


def test_reasons_are_escaped(study: asktell.Study) -> None:
    reason = f"nul \0 and {HALF}"
    escaped = r"nul \x00 and half \ud83d of a pair"
    assert study.tell(study.ask(), state="FAIL", reason=reason).reason == escaped
    trial = study.ask()
    first = trial.tell(state="FAIL", reason=reason)
    assert trial.tell(state="FAIL", reason=reason) == first


def test_infinite_constraints_are_kept(study: asktell.Study) -> None:
    def objective(trial: asktell.Trial) -> float:
        trial.set_constraint("memory", math.inf if trial.number else -math.inf)
        return 1.0 - trial.number

    study.optimize(objective, n_trials=2)
    told = study.trials
    assert [trial.state.name for trial in told] == ["COMPLETE"] * 2
    assert [trial.constraints for trial in told] == [{"memory": -math.inf}, {"memory": math.inf}]
    assert study.best_trial.number == 0
    copied = study.to_optuna()
    assert [trial.constraints for trial in copied.trials] == [trial.constraints for trial in told]
    assert copied.best_trial.number == 0


def test_imported_ones_are_kept_too(
    client: asktell.Client, study: asktell.Study, name: str
) -> None:
    study.tell(study.ask(), 1.0, constraints={"memory": math.inf})
    other = client.create_study(f"{name}-copy")
    other.add_trials(study.trials)
    assert other.trials[0].constraints == {"memory": math.inf}


def test_text_beyond_ascii_travels_as_it_is() -> None:
    script, study = open_study(
        httpx.Response(200, json=ASKED), httpx.Response(200, json=TOLD), time=FakeTime()
    )
    study.tell(study.ask(), 1.0, constraints={"größe": 1.0})
    assert "größe".encode() in script.requests[-1].content
