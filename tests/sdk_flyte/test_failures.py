"""Whatever ends a trial or the optimizer, no trial is left running and the reason is kept."""

import asyncio
import math
from collections import Counter
from typing import Any

import asktell
import optuna
import pytest
from asktell.flyte import Optimizer, suggest
from flytekit.exceptions.eager import EagerException

from tests.sdk_flyte.test_runs import count_states


def return_x(trial: optuna.Trial, x: float) -> float:
    return x


def reasons(study: optuna.Study) -> list[str | None]:
    return [trial.user_attrs.get("reason") for trial in study.trials]


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (math.nan, "The objective returned NaN."),
        (None, "The objective returned None, which is not a number."),
        ("text", "The objective returned 'text', which is not a number."),
        ({"loss": 1.0}, "The objective returned {'loss': 1.0}, which is not a number."),
        ((1.0, 2.0), "The objective returned 2 values, but the study has 1 objectives."),
        ([], "The objective returned 0 values, but the study has 1 objectives."),
    ],
)
async def test_what_is_no_result_fails_the_trial(
    returned: Any, reason: str, study: optuna.Study
) -> None:
    results = [0.5, returned, 0.25]
    await Optimizer(lambda trial: results[trial.number], 1, 3, study)()
    assert count_states(study) == {"COMPLETE": 2, "FAIL": 1}
    assert reasons(study) == [None, reason, None]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad"),
        RuntimeError("bad"),
        EagerException("bad"),
        ConnectionError("bad"),
        TypeError("bad"),
    ],
    ids=repr,
)
async def test_an_exception_fails_the_trial_and_the_others_go_on(
    error: Exception, study: optuna.Study
) -> None:
    async def objective(trial: optuna.Trial) -> float:
        await asyncio.sleep(0)
        if trial.number == 1:
            raise error
        return 0.0

    await Optimizer(objective, 2, 4, study)()
    assert count_states(study) == {"COMPLETE": 3, "FAIL": 1}
    assert "bad" in str(reasons(study)[1])


async def test_a_long_reason_keeps_its_end(study: optuna.Study) -> None:
    def objective(trial: optuna.Trial) -> float:
        raise ValueError("x" * 5000 + " the end")

    await Optimizer(objective, 1, 1, study)()
    reason = str(reasons(study)[0])
    assert len(reason) == 2000
    assert reason.endswith("the end")


@pytest.mark.parametrize("pruned", [optuna.TrialPruned, asktell.TrialPruned])
async def test_trial_pruned_prunes_the_trial(pruned: type[Exception], study: optuna.Study) -> None:
    def objective(trial: optuna.Trial) -> float:
        trial.report(0.75, 0)
        raise pruned

    await Optimizer(objective, 1, 2, study)()
    assert count_states(study) == {"PRUNED": 2}
    assert study.trials[0].value == 0.75


async def test_an_error_is_raised_if_wanted_and_ends_the_other_trials(study: optuna.Study) -> None:
    ended: list[int] = []

    async def objective(trial: optuna.Trial) -> float:
        if trial.number == 2:
            raise ValueError("bad")
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(trial.number)
        return 0.0

    with pytest.raises(ValueError, match="bad"):
        await Optimizer(objective, 3, 10, study, on_error="raise")()
    assert sorted(ended) == [0, 1]
    assert count_states(study) == {"FAIL": 3}
    assert reasons(study) == [
        "The optimizer was cancelled while this trial ran.",
        "The optimizer was cancelled while this trial ran.",
        "ValueError: bad",
    ]


async def test_no_result_is_raised_likewise(study: optuna.Study) -> None:
    with pytest.raises(ValueError, match="NaN"):
        await Optimizer(return_x, 1, 3, study, on_error="raise")(x=math.nan)
    assert count_states(study) == {"FAIL": 1}


async def test_a_pruned_trial_is_no_error(study: optuna.Study) -> None:
    def objective(trial: optuna.Trial) -> float:
        raise optuna.TrialPruned

    await Optimizer(objective, 1, 2, study, on_error="raise")()
    assert count_states(study) == {"PRUNED": 2}


async def test_an_objective_is_called_again_with_the_same_parameters(study: optuna.Study) -> None:
    calls: list[tuple[int, float, list[int]]] = []

    def objective(trial: optuna.Trial, x: float, used: list[int]) -> float:
        calls.append((trial.number, x, list(used)))
        used.append(1)
        if len(calls) % 3:
            raise ConnectionError("away")
        return x

    await Optimizer(objective, 1, 2, study, max_retries=2)(x=suggest.float(0, 1), used=[])
    assert count_states(study) == {"COMPLETE": 2}
    assert Counter(calls_of for calls_of, _, _ in calls) == {0: 3, 1: 3}
    assert len({x for _, x, _ in calls}) == 2
    assert not any(used for _, _, used in calls)


@pytest.mark.parametrize(("error", "n_calls"), [(ValueError, 3), (optuna.TrialPruned, 1)])
async def test_retries_end(error: type[Exception], n_calls: int, study: optuna.Study) -> None:
    calls = 0

    def objective(trial: optuna.Trial) -> float:
        nonlocal calls
        calls += 1
        raise error

    await Optimizer(objective, 1, 1, study, max_retries=2)()
    assert calls == n_calls


async def test_a_cancelled_optimizer_leaves_no_trial_running(study: optuna.Study) -> None:
    all_run = asyncio.Event()

    async def objective(trial: optuna.Trial) -> float:
        if trial.number == 2:
            all_run.set()
        await asyncio.sleep(3600)
        return 0.0

    running = asyncio.ensure_future(Optimizer(objective, 3, 10, study)())
    await all_run.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert count_states(study) == {"FAIL": 3}
    assert set(reasons(study)) == {"The optimizer was cancelled while this trial ran."}


async def test_a_second_cancellation_does_not_hurry_the_first(study: optuna.Study) -> None:
    runs, may_end, is_ending = asyncio.Event(), asyncio.Event(), asyncio.Event()
    ended: list[int] = []

    async def objective(trial: optuna.Trial) -> float:
        try:
            runs.set()
            await asyncio.sleep(3600)
        finally:
            is_ending.set()
            await may_end.wait()
            ended.append(trial.number)
        return 0.0

    running = asyncio.ensure_future(Optimizer(objective, 1, 10, study)())
    await runs.wait()
    running.cancel()
    await is_ending.wait()
    running.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not running.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended == [0]
    assert count_states(study) == {"FAIL": 1}


async def test_an_objective_that_is_cancelled_from_within_fails(study: optuna.Study) -> None:
    async def objective(trial: optuna.Trial) -> float:
        if trial.number == 0:
            raise asyncio.CancelledError
        return 0.0

    await Optimizer(objective, 1, 2, study)()
    assert count_states(study) == {"FAIL": 1, "COMPLETE": 1}
    assert "cancelled, but not by the optimizer" in str(reasons(study)[0])


def test_an_interrupt_ends_everything(study: optuna.Study) -> None:
    async def objective(trial: optuna.Trial) -> float:
        if trial.number == 1:
            raise KeyboardInterrupt
        await asyncio.sleep(3600)
        return 0.0

    async def run() -> None:
        await Optimizer(objective, 2, 5, study)()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(run())
    assert set(count_states(study)) == {"FAIL"}


async def test_a_parameter_that_cannot_be_drawn_is_raised(study: optuna.Study) -> None:
    await Optimizer(return_x, 1, 1, study)(x=suggest.category([1.0, 2.0]))
    with pytest.raises(ValueError, match="dynamic value space"):
        await Optimizer(return_x, 1, 3, study)(x=suggest.category([1.0, 3.0]))
    assert count_states(study) == {"COMPLETE": 1, "FAIL": 1}


async def test_what_cannot_be_told_is_raised(study: optuna.Study) -> None:
    class Broken(optuna.samplers.RandomSampler):
        def after_trial(self, *arguments: Any) -> None:
            raise RuntimeError("no disk")

    study.sampler = Broken()
    with pytest.raises(RuntimeError, match="no disk"):
        await Optimizer(return_x, 2, 3, study)(x=0.0)
    assert "RUNNING" not in count_states(study)
