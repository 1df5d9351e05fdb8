"""The life of a sweep: how it ends, is changed, found and deleted."""

import pytest

from service.domain.attempts import (
    StopCause,
)
from service.domain.errors import (
    InvalidSettings,
    StudyExists,
    SweepNotFound,
)
from service.domain.studies import (
    AttemptEnd,
    Budget,
    IfExists,
    RetryPolicy,
    StopReason,
    StudyState,
)
from service.domain.sweeps import LaunchSpec
from service.domain.trials import TrialState
from service.engine import states
from service.engine.configure import configure
from service.engine.create import create_study
from service.engine.delete import delete_study
from tests.integration.engine_use import new_study
from tests.integration.sweep_use import (
    new_sweep,
    rows,
    see,
    see_exit,
    take,
    take_any,
    wanted,
)
from tests.integration.timed_study import TimedStudy


async def test_cancel_stops_what_runs_and_fails_it(study: TimedStudy) -> None:
    retry = RetryPolicy(on=frozenset(AttemptEnd))
    await study.create(new_sweep(), retry=retry)
    (attempt, other) = await take(study, 2)
    await states.cancel(study.actor)
    assert (await study.summary()).state is StudyState.STOPPING
    assert wanted(study) == 0
    assert (await see(study, attempt)).stop is StopCause.CANCELLED
    await see_exit(study, attempt, values={"value": 1.0})
    await see_exit(study, other, 130)
    summary = await study.summary()
    assert (summary.state, summary.stop_reason) == (
        StudyState.FINISHED,
        StopReason.CANCELLED,
    )
    assert {each["state"] for each in rows(study)} == {"cancelled"}
    assert "cancelled" in ((await study.view(0)).reason or "")


async def test_cancel_is_not_taken_back_by_resume(study: TimedStudy) -> None:
    retry = RetryPolicy(on=frozenset(AttemptEnd))
    await study.create(new_sweep(), retry=retry)
    (attempt,) = await take(study)
    await states.cancel(study.actor)
    await states.resume(study.actor)
    assert (await see(study, attempt)).stop is StopCause.CANCELLED
    await see_exit(study, attempt, 130)
    assert (await study.view(0)).state is TrialState.FAIL
    assert len(await take_any(study, 1)) == 1


async def test_cancel_leaves_a_finished_sweep_alone(study: TimedStudy) -> None:
    await study.create(new_sweep(), budget=Budget(max_trials=1))
    (attempt,) = await take(study)
    await see_exit(study, attempt, values={"value": 1.0})
    await states.cancel(study.actor)
    assert (await study.summary()).stop_reason is StopReason.MAX_TRIALS


async def test_a_sweep_of_failures_comes_to_an_end(study: TimedStudy) -> None:
    await study.create(new_study("any"))
    created = await create_study(study.engine, new_sweep(settings=None))
    assert created.study.settings.budget.max_failures == 10
    assert created.study.settings.lease_seconds == 120


async def test_a_sweep_cannot_do_without_leases(study: TimedStudy) -> None:
    with pytest.raises(InvalidSettings):
        await study.create(new_sweep(), lease_seconds=None)
    await study.create(new_sweep())
    with pytest.raises(InvalidSettings):
        await configure(study.actor, {"lease_seconds": None}, {})


async def test_the_same_sweep_is_found_and_another_refused(study: TimedStudy) -> None:
    await study.create(new_sweep())
    again = new_sweep(if_exists=IfExists.LOAD)
    assert not (await create_study(study.engine, again)).created
    for launch in (None, LaunchSpec("process", {"program": "other.py"})):
        other = new_sweep(launch=launch, if_exists=IfExists.LOAD)
        with pytest.raises(StudyExists):
            await create_study(study.engine, other)


async def test_a_sweep_is_found_by_its_id_as_long_as_it_is_there(study: TimedStudy) -> None:
    await study.create(new_sweep())
    sweep = study.actor.sweep
    assert sweep is not None
    assert await study.engine.get_sweep_actor(sweep.sweep_id) is study.actor
    await delete_study(study.engine, "s")
    await create_study(study.engine, new_sweep())
    with pytest.raises(SweepNotFound):
        await study.engine.get_sweep_actor(sweep.sweep_id)
