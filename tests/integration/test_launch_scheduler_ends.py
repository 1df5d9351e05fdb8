"""Ends of runs that the Optuna scheduler of W&B Launch takes amiss, and what comes of them here.

What a run's own log says of its end is in tests/unit/test_wandb_ending.py.
"""

import math
from collections.abc import AsyncIterator

import pytest

from service.domain.attempts import Ending, EndingKind
from service.domain.studies import Direction, Objective, RetryPolicy, StudyState
from service.domain.sweeps import LaunchSpec
from service.domain.trials import TrialState
from service.storage.database import Database
from tests.integration.sweep_use import BOB, new_sweep, see, see_exit, take, take_any
from tests.integration.timed_study import TimedStudy, open_timed_study

ONCE = RetryPolicy(max_attempts=1)
TWO = (Objective("loss", Direction.MINIMIZE), Objective("size", Direction.MAXIMIZE))
VALUE = {"value": 0.5}


@pytest.fixture
async def study(database: Database) -> AsyncIterator[TimedStudy]:
    async with open_timed_study(database) as opened:
        yield opened


async def end_first_of_two(study: TimedStudy, ending: Ending) -> str:
    """Ends a run, and then another one as it should; returns why the first one failed."""
    first, second = await take(study, 2)
    for attempt in (first, second):
        if not study.actor.spec.objectives[1:]:
            await see(study, attempt, points=((0, 0.75), (1, 0.5)))
    await see(study, first, ending=ending)
    good = {objective.name: 0.25 for objective in study.actor.spec.objectives}
    await see_exit(study, second, values=good)
    failed, finished = await study.view(0), await study.view(1)
    assert (failed.state, failed.values) == (TrialState.FAIL, None)
    assert (finished.state, finished.values) == (TrialState.COMPLETE, tuple(good.values()))
    assert (await study.summary()).state is StudyState.ACTIVE
    (following,) = await take(study)
    assert following.launch.number == 2
    return failed.reason or ""


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        (Ending(EndingKind.EXITED, 1, values=VALUE), "exit code 1"),
        (Ending(EndingKind.EXITED, signal=9, values=VALUE), "killed by SIGKILL"),
        (Ending(EndingKind.VANISHED, values=VALUE), "vanished"),
        (Ending(EndingKind.CANCELLED, message="A person did.", values=VALUE), "A person did."),
    ],
    ids=["failed", "killed", "crashed", "stopped"],
)
async def test_run_with_metrics_that_did_not_finish(
    study: TimedStudy, ending: Ending, said: str
) -> None:
    await study.create(new_sweep(), retry=ONCE)

    assert said in await end_first_of_two(study, ending)


@pytest.mark.parametrize(
    "ending",
    [
        Ending(EndingKind.EXITED, 1, values={}),
        Ending(EndingKind.EXITED, signal=9),
        Ending(EndingKind.VANISHED, values={}),
        Ending(EndingKind.CANCELLED, values={}),
    ],
    ids=["failed", "killed", "crashed", "stopped"],
)
async def test_run_without_metrics_that_did_not_finish(study: TimedStudy, ending: Ending) -> None:
    await study.create(new_sweep(objectives=TWO), retry=ONCE)

    assert await end_first_of_two(study, ending)


async def test_finished_run_without_a_metric_says_what_to_do(study: TimedStudy) -> None:
    launch = LaunchSpec("wandb", {"program": "train.py"})
    await study.create(new_sweep(objectives=TWO, launch=launch), retry=ONCE)
    (attempt,) = await take(study)
    await see_exit(study, attempt, values={})

    view = await study.view(0)

    assert (view.state, view.values) == (TrialState.FAIL, None)
    assert view.reason == (
        "The program ended without a value of 'loss', 'size': log it with wandb.log."
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "without a value of 'loss', 'size'"),
        ({"size": 1.0}, "without a value of 'loss'"),
        ({"loss": math.nan, "size": 1.0}, "'loss' was nan"),
    ],
    ids=["none", "one", "nan"],
)
async def test_finished_run_of_two_objectives(
    study: TimedStudy, values: dict[str, float], said: str
) -> None:
    await study.create(new_sweep(objectives=TWO), retry=ONCE)

    assert said in await end_first_of_two(study, Ending(EndingKind.EXITED, 0, values=values))


async def test_last_value_nan(study: TimedStudy) -> None:
    await study.create(new_sweep(), retry=ONCE)

    ending = Ending(EndingKind.EXITED, 0, values={"value": math.nan})

    assert "'value' was nan at the end" in await end_first_of_two(study, ending)


async def test_trials_that_ran_when_the_server_was_killed(study: TimedStudy) -> None:
    await study.create(new_sweep(), retry=RetryPolicy(max_attempts=2))
    kept, lost = await take(study, 2)
    await see(study, kept, points=((0, 0.75),))
    await study.restart()
    await study.let_pass(40)
    await see(study, kept, points=((1, 0.5),))
    await study.let_pass(40)

    (again,) = await take_any(study, 1, BOB)
    await see_exit(study, kept, values=VALUE)

    assert (again.launch.number, again.launch.attempt) == (lost.launch.number, 2)
    view = await study.view(0)
    assert (view.state, view.intermediate_values) == (TrialState.COMPLETE, {0: 0.75, 1: 0.5})
