"""What can be suggested, and what is refused before a trial is started for it."""

import math
from typing import Any

import numpy as np
import optuna
import pytest
from asktell.flyte import suggest
from asktell.flyte._inputs import Inputs, process
from asktell.flyte.optimizer import Category, Float, Integer, Number, Suggestion

GOOD = {
    "float": suggest.float(-10, 10),
    "float-step": suggest.float(0.0, 1.0, 0.25),
    "float-log": suggest.float(1e-8, 1.0, log=True),
    "float-positional": suggest.float(1, 8, None, True),
    "float-one-value": suggest.float(2, 2),
    "float-numpy": suggest.float(np.float32(0.5), np.float64(2)),
    "integer": suggest.integer(-3, 3),
    "integer-step": suggest.integer(3, 9, step=2),
    "integer-log": suggest.integer(1, 1000, log=True),
    "integer-one-value": suggest.integer(5, 5),
    "integer-whole-floats": suggest.integer(1.0, 1e3),
    "integer-numpy": suggest.integer(np.int64(1), np.int32(4)),
    "category": suggest.category([-5, 0, 3]),
    "category-mixed": suggest.category(("a", 1, 2.5, True, None)),
    "category-one": suggest.category(["only"]),
    "category-array": suggest.category(np.array(["a", "b"])),
}

BAD: dict[str, tuple[Any, ...]] = {
    "float-low-above-high": (Float, 2, 1),
    "float-step-zero": (Float, 0, 1, 0),
    "float-step-negative": (Float, 0, 1, -1),
    "float-step-too-large": (Float, 0, 1, 2),
    "float-log-from-zero": (Float, 0, 1, None, True),
    "float-log-negative": (Float, -1, 1, None, True),
    "float-log-and-step": (Float, 1, 2, 0.5, True),
    "float-text": (Float, "0", "1"),
    "float-nan": (Float, math.nan, 1),
    "float-infinite": (Float, 0, math.inf),
    "float-step-nan": (Float, 0, 1, math.nan),
    "float-bool": (Float, False, True),
    "float-none": (Float, None, 1),
    "float-log-is-text": (Float, 1, 2, None, "yes"),
    "integer-low-above-high": (Integer, 2, 1),
    "integer-step-zero": (Integer, 0, 5, 0),
    "integer-step-negative": (Integer, 0, 5, -1),
    "integer-step-too-large": (Integer, 0, 5, 6),
    "integer-step-none": (Integer, 0, 5, None),
    "integer-log-from-zero": (Integer, 0, 5, 1, True),
    "integer-log-and-step": (Integer, 1, 5, 2, True),
    "integer-fraction": (Integer, 0.5, 3),
    "integer-text": (Integer, "1", "3"),
    "integer-nan": (Integer, math.nan, 3),
    "integer-bool": (Integer, False, True),
    "category-empty": (Category, []),
    "category-text": (Category, "abc"),
    "category-number": (Category, 3),
    "category-set": (Category, {1, 2}),
    "category-dictionary": (Category, {"a": 1}),
}


@pytest.mark.parametrize("suggestion", GOOD.values(), ids=GOOD.keys())
def test_what_is_accepted_can_be_drawn(suggestion: Suggestion, study: optuna.Study) -> None:
    for _ in range(20):
        trial = study.ask()
        value = suggestion.draw(trial, "p")
        assert suggestion.holds(value)
        study.tell(trial, 0.0)
    assert study.trials[0].distributions["p"] == suggestion.to_distribution()


@pytest.mark.parametrize("parts", BAD.values(), ids=BAD.keys())
def test_what_optuna_could_not_draw_is_refused_when_it_is_written(parts: tuple[Any, ...]) -> None:
    suggestion, *arguments = parts
    with pytest.raises(ValueError):
        suggestion(*arguments)


@pytest.mark.parametrize(
    ("suggestion", "value"),
    [
        (suggest.float(0, 1), 1.5),
        (suggest.float(0, 1), "0.5"),
        (suggest.integer(0, 1), True),
        (suggest.category(["a"]), "b"),
    ],
)
def test_other_values_are_not_held(suggestion: Suggestion, value: Any) -> None:
    assert not suggestion.holds(value)


def test_the_classes_are_those_of_the_plugin() -> None:
    assert (suggest.float, suggest.integer, suggest.category) == (Float, Integer, Category)
    assert issubclass(Float, Number)
    assert issubclass(Category, Suggestion)
    assert suggest.float(0, 1, step=0.5, log=False) == Float(low=0, high=1, step=0.5)
    assert suggest.category(choices=[1]).choices == [1]


def test_a_suggestion_that_cannot_be_drawn_cannot_be_made() -> None:
    class Undrawn(Suggestion):
        def holds(self, value: Any) -> bool:
            return True

    with pytest.raises(TypeError, match="draw"):
        Undrawn()  # type: ignore[abstract]


def test_parameters_are_named_by_the_keys_that_lead_to_them(study: optuna.Study) -> None:
    inputs = Inputs(
        {
            "x": suggest.float(0, 1),
            "params": {"y": suggest.integer(1, 2), "deep": {3: GOOD["float"]}},
        }
    )
    trial = study.ask()
    resolved = inputs.resolve(trial)
    assert set(trial.params) == {"x", "params.y", "params.deep.3"}
    assert resolved["params"]["deep"][3] == trial.params["params.deep.3"]


def test_other_inputs_are_copied_for_each_trial(study: optuna.Study) -> None:
    names = ["a"]
    inputs = Inputs({"names": names, "nested": {"names": names}, "x": suggest.float(0, 1)})
    first, second = inputs.resolve(study.ask()), inputs.resolve(study.ask())
    first["nested"]["names"].append("b")
    assert first["names"] is first["nested"]["names"]
    assert (names, second["names"]) == (["a"], ["a"])


@pytest.mark.parametrize(
    "inputs",
    [
        {"a": {"b": suggest.float(0, 1)}, "a.b": suggest.float(0, 1)},
        {"a": {1: suggest.float(0, 1), "1": suggest.float(0, 1)}},
    ],
)
def test_two_suggestions_of_one_name_are_refused(inputs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="share the parameter 'a"):
        Inputs(inputs)


@pytest.mark.parametrize(
    "hidden",
    [
        [suggest.float(0, 1)],
        (1, suggest.float(0, 1)),
        [{"x": suggest.float(0, 1)}],
        [[GOOD["float"]]],
    ],
)
def test_a_suggestion_where_it_would_not_be_replaced_is_refused(hidden: Any) -> None:
    with pytest.raises(ValueError, match=r"'a\.hidden'"):
        Inputs({"a": {"hidden": hidden}})


def test_process_works_as_the_plugins(study: optuna.Study) -> None:
    given = {"x": suggest.float(0, 1), "deep": {"y": suggest.category(["only"])}, "z": 3}
    trial = study.ask()
    processed = process(trial, given, ["root"])
    assert processed is given
    assert processed["deep"] == {"y": "only"}
    assert set(trial.params) == {"root.x", "root.deep.y"}
