"""What workers are given of a sweep."""

import asyncio

import pytest

from service.domain.attempts import (
    AttemptState,
)
from service.domain.errors import (
    ClaimLost,
    ParallelismReached,
)
from service.domain.studies import (
    Budget,
    StudyState,
)
from service.domain.sweeps import LaunchSpec
from service.engine import states
from service.engine.ask import Ask, ask
from service.engine.create import create_study
from tests.integration.engine_use import new_study
from tests.integration.sweep_use import (
    ADA,
    BOB,
    LAUNCH,
    new_sweep,
    row,
    rows,
    see,
    see_exit,
    take,
    take_any,
    wanted,
)
from tests.integration.timed_study import TimedStudy


async def test_gives_a_worker_trials_with_how_to_launch_them(study: TimedStudy) -> None:
    await study.create(new_sweep())
    (attempt,) = await take(study)
    assert attempt.spec == LAUNCH
    assert [objective.name for objective in attempt.objectives] == ["value"]
    assert attempt.asked.params.keys() == {"x", "n", "c"}
    sweep = study.actor.sweep
    assert sweep is not None
    assert attempt.attempt_id == f"{sweep.sweep_id}-0-1"
    stored = row(study)
    assert stored["state"] == "launching"
    assert (stored["worker_id"], stored["host"]) == (ADA.worker_id, ADA.host)


async def test_wants_as_many_as_may_run(study: TimedStudy) -> None:
    await study.create(new_sweep(), budget=Budget(max_trials=5), parallelism=2)
    assert wanted(study) == 2
    (first, _) = await take_any(study, 8)
    assert wanted(study) == 0
    await see_exit(study, first, values={"value": 1.0})
    assert wanted(study) == 1
    assert len(await take_any(study, 8, held=frozenset())) == 2


async def test_a_study_that_is_no_sweep_wants_none(study: TimedStudy) -> None:
    await study.create(new_study())
    assert wanted(study) == 0
    assert await take_any(study, 1) == []


async def test_only_workers_of_the_queue_and_the_executor_are_served(study: TimedStudy) -> None:
    await study.create(new_sweep(launch=LaunchSpec("flyte", {}, queue="gpu")))
    assert await take_any(study, 1) == []


async def test_several_sweeps_share_free_slots(study: TimedStudy) -> None:
    await study.create(new_sweep("one"))
    await create_study(study.engine, new_sweep("two"))
    claimed = await take_any(study, 4)
    assert sorted(attempt.study for attempt in claimed) == ["one", "one", "two", "two"]


async def test_a_paused_sweep_gives_none_until_resumed(study: TimedStudy) -> None:
    await study.create(new_sweep())
    await states.pause(study.actor)
    assert await take_any(study, 1) == []
    await states.resume(study.actor)
    assert len(await take_any(study, 1)) == 1


async def test_a_waiting_worker_hears_of_a_new_sweep(study: TimedStudy) -> None:
    await study.create(new_study("other"))
    waiting = asyncio.create_task(take_any(study, 1, wait_seconds=20.0))
    await asyncio.sleep(0)
    await create_study(study.engine, new_sweep("late"))
    (attempt,) = await waiting
    assert attempt.study == "late"


async def test_nobody_waits_for_a_server_that_ends(study: TimedStudy) -> None:
    await study.create(new_study(), parallelism=1)
    await study.ask()
    claiming = asyncio.create_task(take_any(study, 1, wait_seconds=60.0))
    asking = asyncio.create_task(study.ask(wait_seconds=60.0))
    # A round trip to the database: both have begun to wait.
    await study.summary()
    study.engine.offers.close()
    assert await claiming == []
    with pytest.raises(ParallelismReached):
        await asking
    assert await take_any(study, 1, wait_seconds=60.0) == []


async def test_what_a_worker_does_not_know_it_has_comes_again(study: TimedStudy) -> None:
    await study.create(new_sweep())
    (lost,) = await take(study)
    (again,) = await take_any(study, 0)
    assert again.attempt_id == lost.attempt_id
    assert again.asked.params == lost.asked.params
    assert again.launch.claim == 2
    with pytest.raises(ClaimLost):
        await see(study, lost)
    await see(study, again)
    assert await take_any(study, 0, held=frozenset({again.attempt_id})) == []
    assert await take_any(study, 0, BOB) == []


async def test_a_restarted_server_still_knows_who_has_what(study: TimedStudy) -> None:
    await study.create(new_sweep())
    (attempt,) = await take(study)
    await see(study, attempt, external_ref="process:here:1")
    await study.restart()
    await see(study, attempt)
    (again,) = await take_any(study, 0)
    assert again.launch.external_ref == "process:here:1"
    assert again.launch.state is AttemptState.RUNNING


async def test_clients_may_ask_beside_workers(study: TimedStudy) -> None:
    await study.create(new_sweep(), parallelism=2)
    await take(study)
    (asked,) = await ask(study.actor, Ask())
    assert asked.number == 1
    assert wanted(study) == 0
    assert len(rows(study)) == 1


async def test_the_last_trials_wait_for_a_worker_as_long_as_it_takes(study: TimedStudy) -> None:
    await study.create(new_sweep(), budget=Budget(max_trials=1), lease_seconds=60)
    (first,) = await take(study)
    await study.let_pass(61)
    for _ in range(3):
        await study.let_pass(3600)
    await study.restart()
    assert (await study.summary()).state is StudyState.STOPPING
    assert wanted(study) == 1

    (again,) = await take_any(study, 1, BOB)

    assert (again.asked.number, again.asked.attempt) == (first.asked.number, 2)
    await see_exit(study, again, values={"value": 1.0})
    assert (await study.summary()).counts.complete == 1
