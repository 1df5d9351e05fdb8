"""Attempts that run in an outside system while no worker is there to follow them."""

import pytest

from service.domain.attempts import StopCause
from service.domain.studies import Component, RetryPolicy, StudyState
from service.domain.sweeps import LaunchSpec
from service.domain.trials import TrialState
from service.engine import states
from service.engine.claim import ClaimedAttempt
from service.engine.dispatch import WorkerClaim, claim_attempts
from service.engine.report import report
from tests.integration.sweep_use import BOB, new_sweep, rows, see, see_exit, take
from tests.integration.timed_study import TimedStudy

THRESHOLD = Component("ThresholdPruner", {"upper": 0.5})
ELSEWHERE = LaunchSpec("flyte", {"task": "p/d/train@v1"})


async def come_later(study: TimedStudy) -> ClaimedAttempt:
    """What a worker takes over that comes hours after the other one has left."""
    for _ in range(3):
        await study.let_pass(3600)
    command = WorkerClaim(BOB, "default", ("flyte",), 1, adopts=("flyte",))
    (attempt,) = (await claim_attempts(study.engine, command)).attempts
    return attempt


async def test_what_runs_elsewhere_is_ended_by_whichever_worker_comes(study: TimedStudy) -> None:
    await study.create(new_sweep(launch=ELSEWHERE))
    (attempt,) = await take(study)
    await states.cancel(study.actor)

    adopted = await come_later(study)

    assert adopted.attempt_id == attempt.attempt_id
    assert (await see(study, adopted)).stop is StopCause.CANCELLED
    await see_exit(study, adopted, 130)
    assert (await study.summary()).state is StudyState.FINISHED
    assert {each["state"] for each in rows(study)} == {"cancelled"}


@pytest.mark.parametrize("is_pruned", [False, True])
async def test_what_ended_elsewhere_meanwhile_counts(study: TimedStudy, is_pruned: bool) -> None:
    retry = RetryPolicy(max_attempts=1)
    await study.create(new_sweep(launch=ELSEWHERE, pruner=THRESHOLD), retry=retry)
    (attempt,) = await take(study)
    await report(study.actor, 0, [(0, 0.9 if is_pruned else 0.1)])

    adopted = await come_later(study)
    await see_exit(study, adopted, values={"value": 0.25})

    assert adopted.attempt_id == attempt.attempt_id
    ended = TrialState.PRUNED if is_pruned else TrialState.COMPLETE
    assert (await study.view(0)).state is ended
