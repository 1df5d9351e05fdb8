"""How a worker leaves."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from service.schedulers.executors.base import Launch, StopKind
from service.schedulers.executors.fake import FakeFailure
from service.schedulers.workdir import open_workdir
from tests.unit.worker_use import ONE, QUICK, TWO, Stage, until

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "worker")


async def test_an_idle_worker_leaves_when_told(stage: Stage) -> None:
    async with stage.working() as worker:
        await until(lambda: len(stage.server.workers) == 1)
        worker.drain()
        await stage.has_left()


async def test_a_draining_worker_finishes_what_runs_and_takes_nothing(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working() as worker:
        await until(lambda: "running" in attempt.states)
        worker.drain()
        await until(lambda: [w["state"] for w in stage.server.workers.values()] == ["draining"])
        other = stage.server.offer(TWO)
        stage.world.report(ONE, {"accuracy": 0.9})
        stage.world.end(ONE)
        await stage.has_left()
    assert attempt.endings[0]["kind"] == "exited"
    assert other.worker_id is None


async def test_told_twice_it_ends_what_runs(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    stops = stage.world.program(ONE).stops
    async with stage.working() as worker:
        await until(lambda: "running" in attempt.states)
        worker.drain()
        worker.drain()
        await stage.has_left()
    assert stops == [StopKind.GRACEFUL]
    assert [ending["kind"] for ending in attempt.endings] == ["preempted"]
    assert stage.world.list_known() == []


async def test_it_ends_what_runs_when_its_time_is_over(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working(drain_seconds=0) as worker:
        await until(lambda: "running" in attempt.states)
        worker.drain()
        await stage.has_left()
    assert [ending["kind"] for ending in attempt.endings] == ["preempted"]


async def test_what_ended_by_itself_before_is_not_preempted(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working() as worker:
        await until(lambda: "running" in attempt.states)
        stage.server.go_down()
        stage.world.report(ONE, {"accuracy": 0.9})
        stage.world.end(ONE)
        count = stage.server.calls["observe"]
        await until(lambda: stage.server.calls["observe"] > count + 2)
        worker.drain()
        worker.drain()
        stage.server.come_up()
        await stage.has_left()
    assert attempt.endings[0]["kind"] == "exited"


async def test_what_cannot_be_launched_just_now_is_handed_back(stage: Stage) -> None:
    running = stage.server.offer(TWO)
    async with stage.working(pace=replace(QUICK, launch_seconds=1000.0)) as worker:
        await until(lambda: "running" in running.states)
        stage.world.broken["launch"] = FakeFailure("The disk is full.")
        attempt = stage.server.offer(ONE)
        await until(lambda: "launching" in attempt.states)
        worker.drain()
        await until(lambda: attempt.is_over)
        stage.world.broken.clear()
        stage.world.end(TWO)
        await stage.has_left()
    assert [ending["kind"] for ending in attempt.endings] == ["preempted"]
    assert stage.world.executions[ONE] == 0
    assert running.endings[0]["kind"] == "exited"


async def test_a_launch_that_was_under_way_may_succeed(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    stage.world.is_open.clear()
    async with stage.working() as worker:
        await until(lambda: "launching" in attempt.states)
        worker.drain()
        told = len(attempt.told)
        await until(lambda: len(attempt.told) > told + 3)
        stage.world.is_open.set()
        await until(lambda: "running" in attempt.states)
        stage.world.end(ONE)
        await stage.has_left()
    assert attempt.endings[0]["kind"] == "exited"


async def test_one_told_before_it_has_taken_over_leaves_what_runs(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working():
        await until(lambda: "running" in attempt.states)
    async with stage.working() as worker:
        worker.drain()
        await stage.has_left()
    assert stage.world.program(ONE).ending is None
    async with stage.working():
        stage.world.end(ONE)
        await stage.is_over(ONE)
    assert attempt.endings[0]["exit_code"] == 0


async def test_what_a_claim_brings_too_late_is_handed_back(stage: Stage) -> None:
    async with stage.working(pace=replace(QUICK, leave_seconds=0.05)) as worker:
        await until(lambda: stage.server.calls["claim"] > 1)
        stage.server.claim_gate.clear()
        attempt = stage.server.offer(ONE)
        await until(lambda: attempt.worker_id is not None)
        worker.drain()
        await stage.has_left()
        stage.server.claim_gate.set()
    assert [ending["kind"] for ending in attempt.endings] == ["preempted"]
    assert stage.world.executions[ONE] == 0


async def test_what_a_claim_brings_while_others_run_is_handed_back(stage: Stage) -> None:
    running = stage.server.offer(ONE)
    async with stage.working() as worker:
        await until(lambda: "running" in running.states)
        stage.server.claim_gate.clear()
        attempt = stage.server.offer(TWO)
        await until(lambda: attempt.worker_id is not None)
        worker.drain()
        await asyncio.sleep(0)
        stage.server.claim_gate.set()
        await until(lambda: attempt.is_over)
        assert not running.is_over
        stage.world.end(ONE)
        await stage.has_left()
    assert attempt.endings[0]["kind"] == "preempted"
    assert stage.world.executions[TWO] == 0


async def test_an_end_that_nobody_could_be_told_is_told_by_the_next_start(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working(pace=replace(QUICK, leave_seconds=0.01)) as worker:
        await until(lambda: "running" in attempt.states)
        stage.server.go_down()
        worker.drain()
        worker.drain()
        await until(lambda: stage.world.program(ONE).ending is not None)
        await until(lambda: stage.server.calls["leave"] > 0)
    assert attempt.endings == []
    stage.server.come_up()
    async with stage.working():
        await stage.is_over(ONE)
    assert [ending["kind"] for ending in attempt.endings] == ["preempted"]
    assert stage.world.executions[ONE] == 1


@pytest.mark.parametrize("times", [1, 2])
async def test_what_cannot_be_forgotten_is_left_to_the_next_start(stage: Stage, times: int) -> None:
    attempt = stage.server.offer(ONE)
    stage.world.broken["forget"] = FakeFailure("The disk is full.")
    async with stage.working(pace=replace(QUICK, leave_seconds=0.05)) as worker:
        await until(lambda: "running" in attempt.states)
        stage.world.end(ONE)
        await until(lambda: attempt.is_over)
        for _ in range(times):
            worker.drain()
        await stage.has_left()
    assert stage.world.list_known() == [ONE]
    stage.world.broken.clear()
    async with stage.working():
        await stage.is_over(ONE)
    assert [ending["kind"] for ending in attempt.endings] == ["exited"]
    assert stage.world.executions[ONE] == 1


async def test_what_was_preempted_and_cannot_be_forgotten_stays_noted(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    stage.world.broken["forget"] = FakeFailure("The disk is full.")
    async with stage.working(pace=replace(QUICK, leave_seconds=0.05)) as worker:
        await until(lambda: "running" in attempt.states)
        worker.drain()
        worker.drain()
        await stage.has_left()
    assert [ending["kind"] for ending in attempt.endings] == ["preempted"]
    with open_workdir(stage.folder) as workdir:
        assert workdir.was_preempted(ONE)


async def test_what_was_left_over_and_cannot_be_cleared_keeps_no_worker(stage: Stage) -> None:
    stage.world.launch(Launch(ONE))
    stage.world.broken["forget"] = FakeFailure("The disk is full.")
    async with stage.working(pace=replace(QUICK, leave_seconds=0.05)) as worker:
        await until(lambda: stage.world.program(ONE).ending is not None)
        worker.drain()
        await stage.has_left()
    assert stage.world.list_known() == [ONE]


async def test_it_leaves_before_it_has_ever_reached_the_server(stage: Stage) -> None:
    stage.server.go_down()
    async with stage.working() as worker:
        await until(lambda: stage.server.calls["claim"] > 2)
        worker.drain()
        await until(lambda: stage.server.calls["leave"] > 0)
