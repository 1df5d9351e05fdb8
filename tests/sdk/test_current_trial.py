"""`asktell.current_trial()`: what a program sees of the attempt that it was launched for."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import asktell
import httpx
import pytest
from asktell._current import Launched, open_launched_trial, read_launched
from asktell._spaces import build_params

from service.engine.ask import show_params
from service.search_space import parse_space
from tests.sdk.clocks import FakeTime
from tests.sdk.scripts import STUDY, TOLD
from tests.sdk.servers import ServerProcess

LEASE_END = "2026-01-01T00:02:00Z"
SPACE: dict[str, Any] = {
    "model": {
        "kind": {"type": "categorical", "choices": ["mlp", "tree"]},
        "layers": {"type": "int", "low": 1, "high": 4, "when": {"model.kind": ["mlp"]}},
        "depth": {"type": "int", "low": 1, "high": 4, "when": {"model.kind": ["tree"]}},
        "bias": True,
    },
    "optimizer.lr": {"type": "float", "low": 0.1, "high": 1.0},
    "batch_size": 32,
    "widths": {"value": [8, 8]},
}
PROGRAM = """
import asktell
trial = asktell.current_trial()
assert asktell.current_trial() is trial
print(trial.number, trial.attempt, trial.params, trial.suggest_float("lr", 0, 1))
trial.report(0.25, 0)
trial.tell(0.5)
"""


def launch(server: ServerProcess, trial: asktell.Trial) -> Launched:
    return Launched(server.url, server.token, trial.study.name, trial.number, trial.attempt)


@pytest.fixture
def launched(server: ServerProcess, study: asktell.Study) -> Launched:
    return launch(server, study.ask())


def test_has_its_parameters_in_their_groups(
    server: ServerProcess, client: asktell.Client, name: str
) -> None:
    study = client.create_study(name, space=SPACE, sampler={"type": "RandomSampler"}, seed=1)
    asked = [study.ask() for _ in range(4)]
    assert {trial.params["model"]["kind"] for trial in asked} == {"mlp", "tree"}
    for trial in asked:
        opened = open_launched_trial(client, launch(server, trial))
        assert opened.params == trial.params
        assert (opened.number, opened.attempt) == (trial.number, 1)
        assert opened.suggest_float("optimizer.lr", 0.1, 1.0) == trial.params["optimizer"]["lr"]


@pytest.mark.parametrize(
    ("space", "chosen"),
    [
        (SPACE, {"model.kind": "mlp", "model.layers": 2, "optimizer.lr": 0.5}),
        (SPACE, {"model.kind": "tree", "model.depth": 1, "optimizer.lr": 0.5}),
        ({"a": {"value": None}, "b": {"value": "x"}, "c": None}, {}),
        ({"a": {"b": {"c": {"d": 1}}}, "a.b.e": 2}, {}),
        ({"g": {"low": {"type": "int", "low": 0, "high": 1}, "value": {"value": 1}}}, {"g.low": 1}),
        (
            {
                "x": {
                    "name": "FloatDistribution",
                    "attributes": {"low": 0.0, "high": 1.0, "log": False, "step": None},
                }
            },
            {"x": 0.5},
        ),
    ],
)
def test_builds_what_the_server_hands_out(space: dict[str, Any], chosen: dict[str, Any]) -> None:
    assert build_params(space, chosen) == show_params(parse_space(space), chosen)


def test_without_a_space_suggests_as_any_trial_does(
    client: asktell.Client, launched: Launched, study: asktell.Study
) -> None:
    trial = open_launched_trial(client, launched)
    assert trial.params == {}
    lr = trial.suggest_float("lr", 0, 1)
    assert study.get_trial(0).params == {"lr": lr}
    assert open_launched_trial(client, launched).params == {"lr": lr}


def test_leaving_tells_the_last_reported_value(
    client: asktell.Client, launched: Launched, study: asktell.Study
) -> None:
    with open_launched_trial(client, launched) as trial:
        trial.report(0.5, 0)
        trial.report(0.25, 1)
    told = study.get_trial(0)
    assert (told.state.name, told.values) == ("COMPLETE", [0.25])


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_leaving_without_a_result_leaves_it_to_the_worker(
    client: asktell.Client, launched: Launched, study: asktell.Study, value: float | None
) -> None:
    with open_launched_trial(client, launched) as trial:
        if value is not None:
            trial.report(value, 0)
    assert study.get_trial(0).state.name == "RUNNING"


def test_an_exception_tells_fail_and_goes_on(
    client: asktell.Client, launched: Launched, study: asktell.Study
) -> None:
    with pytest.raises(RuntimeError), open_launched_trial(client, launched):
        raise RuntimeError("no GPU")
    told = study.get_trial(0)
    assert (told.state.name, told.reason) == ("FAIL", "RuntimeError: no GPU")


def test_pruning_tells_pruned_and_ends_there(
    client: asktell.Client, launched: Launched, study: asktell.Study
) -> None:
    with open_launched_trial(client, launched) as trial:
        trial.report(0.5, 0)
        raise asktell.TrialPruned
    assert study.get_trial(0).state.name == "PRUNED"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_being_ended_by_the_worker_is_no_failure(
    client: asktell.Client, launched: Launched, study: asktell.Study, error: type[BaseException]
) -> None:
    with pytest.raises(error), open_launched_trial(client, launched):
        raise error
    assert study.get_trial(0).state.name == "RUNNING"


def test_an_attempt_that_is_over_is_told_so(
    client: asktell.Client, launched: Launched, study: asktell.Study
) -> None:
    study.tell(0, state="FAIL", cause="preempted")
    second = study.ask()
    assert (second.number, second.attempt) == (0, 2)
    with pytest.raises(asktell.LeaseLostError):
        open_launched_trial(client, launched)


def test_a_program_finds_it_in_its_environment(
    server: ServerProcess, client: asktell.Client, name: str
) -> None:
    space = {"lr": {"type": "float", "low": 0.0, "high": 1.0}, "epochs": 3}
    study = client.create_study(name, space=space)
    asked = study.ask()
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env={**os.environ, **describe(launch(server, asked))},
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")
    lr = asked.params["lr"]
    assert result.stdout.strip() == f"0 1 { ({'epochs': 3, 'lr': lr}) } {lr}"
    assert study.get_trial(0).values == [0.5]


def describe(launched: Launched) -> dict[str, str]:
    """The environment that a worker gives its program."""
    return {
        "ASKTELL_URL": launched.url,
        "ASKTELL_TOKEN": launched.token,
        "ASKTELL_STUDY": launched.study,
        "ASKTELL_TRIAL": str(launched.number),
        "ASKTELL_ATTEMPT": str(launched.attempt),
    }


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ASKTELL_TRIAL": None}, "ASKTELL_TRIAL is not set, so no worker"),
        ({"ASKTELL_URL": None}, "ASKTELL_URL is not set, so no worker"),
        ({"ASKTELL_ATTEMPT": "x"}, "are numbers that a worker sets"),
    ],
)
def test_elsewhere_there_is_none(changes: Mapping[str, str | None], sentence: str) -> None:
    environ = describe(Launched("http://box", "t", "s", 3, 1)) | changes
    given = {key: value for key, value in environ.items() if value is not None}
    with pytest.raises(asktell.ConfigurationError, match=sentence):
        read_launched(given)


def test_the_token_is_not_shown() -> None:
    assert "secret" not in repr(Launched("http://box", "secret", "s", 0, 1))


@pytest.mark.parametrize("of_study", [None, 1.0, 7200.0])
@pytest.mark.parametrize("promised", [120.0, None])
def test_its_lease_is_renewed_while_it_runs(of_study: float | None, promised: float | None) -> None:
    """By the lease that the attempt has, whatever that of the study is by now.

    One that has none is given up: it learns at its leisure whether somebody else has the trial.
    """
    time = FakeTime()
    beats: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/heartbeat"):
            beats.append(json.loads(request.content)["attempt"])
            return httpx.Response(
                200, json={"lease_expires_at": LEASE_END, "lease_seconds": promised}
            )
        if request.url.path.endswith("/trials/0"):
            return httpx.Response(200, json=TOLD)
        return httpx.Response(200, json=STUDY | {"lease_seconds": of_study})

    launched = Launched("http://box", "t", "s", 0, 2)
    transport = httpx.MockTransport(answer)
    with asktell.Client("http://box", "t", transport=transport, clock=time.clock) as client:
        trial = open_launched_trial(client, launched)
        assert (trial.attempt, beats) == (2, [2])
        time.let_pass(39, while_true=lambda: True)
        assert beats == [2]
        time.let_pass(2, while_true=lambda: True)
        assert beats == [2, 2]
