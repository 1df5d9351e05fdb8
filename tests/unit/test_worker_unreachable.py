"""A worker whose attempts the server cannot hand out just now, or that it could not end."""

from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from service.schedulers.executors.base import StopKind
from tests.unit.scripted_server import OfferedAttempt
from tests.unit.worker_use import ONE, QUICK, THREE, TWO, Stage, until

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "worker")


async def leave_running(stage: Stage) -> OfferedAttempt:
    """An attempt of a worker that was killed, of a study that is out of reach."""
    attempt = stage.server.offer(ONE)
    async with stage.working():
        await until(lambda: "running" in attempt.states)
    stage.server.unreachable.add(ONE)
    return attempt


async def has_claimed(stage: Stage) -> None:
    """Returns once a worker has asked several times more."""
    claims = stage.server.calls["claim"]
    await until(lambda: stage.server.calls["claim"] > claims + 3)


@pytest.mark.parametrize("slots", [1, 4])
async def test_what_is_another_workers_by_the_time_is_cleared(stage: Stage, slots: int) -> None:
    attempt = await leave_running(stage)
    program = stage.world.program(ONE)
    async with stage.working(slots=slots):
        await has_claimed(stage)
        assert program.ending is None
        attempt.worker_id = "another worker"
        await until(lambda: ONE not in stage.world.list_known())
        assert program.stops == [StopKind.AT_ONCE]
        other = stage.server.offer(TWO)
        await until(lambda: "running" in other.states)


async def test_it_keeps_its_slot_and_comes_back_though_all_are_full(stage: Stage) -> None:
    attempt = await leave_running(stage)
    second, third = stage.server.offer(TWO), stage.server.offer(THREE)
    async with stage.working(slots=2):
        await until(lambda: "running" in second.states)
        await has_claimed(stage)
        assert third.worker_id is None
        assert stage.world.program(ONE).ending is None
        told = len(attempt.told)
        stage.server.unreachable.clear()
        await until(lambda: len(attempt.told) > told)
        assert third.worker_id is None
        stage.world.end(ONE)
        await until(lambda: "running" in third.states)
    assert stage.world.executions[ONE] == 1


async def test_a_worker_that_is_full_of_such_asks_now_and_then_only(stage: Stage) -> None:
    await leave_running(stage)
    waiting = stage.server.offer(TWO)
    claims = stage.server.calls["claim"]
    async with stage.working(slots=1, pace=replace(QUICK, ask_again_seconds=60)):
        registrations = stage.server.calls["register"]
        await until(lambda: stage.server.calls["register"] > registrations + 10)
        assert stage.server.calls["claim"] <= claims + 3
    assert waiting.worker_id is None


async def test_what_could_not_be_killed_keeps_its_slot_until_it_can(stage: Stage) -> None:
    gone = stage.server.offer(ONE)
    async with stage.working(slots=1, pace=replace(QUICK, leave_seconds=0.02)):
        await until(lambda: "running" in gone.states)
        program = stage.world.program(ONE)
        program.is_immortal = True
        gone.refusal = (409, "claim-lost")
        gone.worker_id = "another worker"
        waiting = stage.server.offer(TWO)
        with structlog.testing.capture_logs() as lines:
            await until(lambda: [line["event"] for line in lines].count("attempt.not_cleared") > 1)
        assert waiting.worker_id is None
        program.is_immortal = False
        await until(lambda: "running" in waiting.states)
    assert stage.world.list_known() == [TWO]


async def test_what_could_not_be_cleared_at_a_start_is_cleared_later(stage: Stage) -> None:
    lost = stage.server.offer(ONE)
    async with stage.working():
        await until(lambda: "running" in lost.states)
    lost.worker_id = "another worker"
    program = stage.world.program(ONE)
    program.is_immortal = True
    async with stage.working(pace=replace(QUICK, leave_seconds=0.02)):
        await until(lambda: len(program.stops) > 2)
        program.is_immortal = False
        await until(lambda: stage.world.list_known() == [])
