"""A worker with an executor whose attempts other workers can go on with."""

from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from service.domain.attempts import EndingKind
from service.schedulers.executors.base import Launch, StopKind, Unanswered
from service.schedulers.executors.fake import FakeExecutor, FakeFailure
from tests.unit.worker_use import ONE, QUICK, OwnExecutor, Stage, until

OTHER = "k3v9x2ab-1-1"
AWAY = FakeFailure("The outside is away.")
REFUSED = FakeFailure("The outside refuses this worker.")


class Silence(FakeFailure, Unanswered):
    """An outside that was asked, and went away before it said anything."""


SILENT = Silence("The outside did not answer.")

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "worker")


def build_shared(stage: Stage) -> list[FakeExecutor]:
    return [FakeExecutor(stage.world, is_shared=True)]


async def test_a_leaving_worker_lets_them_go_on(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working(executors=build_shared(stage)) as worker:
        await until(lambda: "running" in attempt.states)
        worker.drain()
        await stage.has_left()
    assert attempt.endings == []
    assert stage.world.program(ONE).stops == []

    async with stage.working(executors=build_shared(stage)):
        stage.world.report(ONE, {"accuracy": 0.9})
        stage.world.end(ONE)
        await stage.is_over(ONE)
    assert attempt.endings[0]["kind"] == "exited"
    assert stage.world.executions[ONE] == 1


async def test_they_are_followed_as_long_as_the_worker_stays(stage: Stage) -> None:
    shared, own = stage.server.offer(ONE), stage.server.offer(OTHER, launch={"executor": "own"})
    async with stage.working(executors=[*build_shared(stage), OwnExecutor(stage.world)]) as worker:
        await until(lambda: "running" in shared.states and "running" in own.states)
        worker.drain()
        told = len(shared.told)
        await until(lambda: len(shared.told) > told + 3)
        assert stage.server.workers
        stage.world.report(OTHER, {"accuracy": 0.9})
        stage.world.end(OTHER)
        await stage.has_left()
    assert own.endings[0]["kind"] == "exited"
    assert shared.endings == []
    assert stage.world.program(ONE).stops == []


async def test_an_outside_that_is_away_keeps_no_worker_that_has_to_go(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working(executors=build_shared(stage)) as worker:
        await until(lambda: "running" in attempt.states)
        stage.world.broken["stop"] = AWAY
        attempt.refusal = (409, "attempt-superseded")
        seen = stage.server.calls["observe"]
        await until(lambda: stage.server.calls["observe"] > seen)
        worker.drain()
        await stage.has_left()
    assert stage.world.list_known() == [ONE]


async def test_what_takes_its_time_to_end_is_waited_for(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    pace = replace(QUICK, leave_seconds=0.5)
    stage.world.program(ONE).is_immortal = True
    async with stage.working(executors=build_shared(stage), pace=pace, slots=1):
        await until(lambda: "running" in attempt.states)
        attempt.refusal = (409, "attempt-superseded")
        stops = stage.world.program(ONE).stops
        await until(lambda: len(stops) > 1)
        stage.world.program(ONE).is_immortal = False
        await until(lambda: stage.world.list_known() == [])


async def test_a_worker_that_leaves_while_it_launches_takes_nothing_back(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    stage.world.broken["launch"] = AWAY
    async with stage.working(executors=build_shared(stage)) as worker:
        await until(lambda: "launching" in attempt.states)
        worker.drain()
        await stage.has_left()
    assert attempt.endings == []
    assert stage.world.program(ONE).stops == []


async def test_what_was_passed_on_is_left_alone(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working(executors=build_shared(stage)):
        await until(lambda: "running" in attempt.states)
        attempt.refusal = (409, "claim-lost")
        await until(lambda: stage.server.held == [] and stage.server.calls["observe"] > 1)
    assert stage.world.program(ONE).stops == []
    assert stage.world.list_known() == [ONE]


async def test_what_was_passed_on_before_its_launch_is_left_alone(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    stage.world.broken["launch"] = AWAY
    program = stage.world.program(ONE)
    async with stage.working(executors=build_shared(stage)):
        await until(lambda: "launching" in attempt.states and stage.server.held == [ONE])
        # Another worker has it by now, and launches it.
        stage.world.launch(Launch(ONE))
        attempt.worker_id = "another"
        attempt.refusal = (409, "claim-lost")
        await until(lambda: stage.server.held == [])
    assert program.stops == []
    assert stage.world.list_known() == [ONE]


@pytest.mark.parametrize("is_server_away", [False, True])
async def test_what_is_to_stop_by_now_is_not_launched_by_who_goes_on_with_it(
    stage: Stage, is_server_away: bool
) -> None:
    attempt = stage.server.offer(ONE)
    stage.world.broken["launch"] = AWAY
    async with stage.working(executors=build_shared(stage)) as worker:
        await until(lambda: stage.server.calls["observe"] > 1)
        worker.drain()
        await stage.has_left()
    attempt.stop = "cancelled"
    del stage.world.broken["launch"]
    if is_server_away:
        stage.server.refuse("observe", 503)

    asked = stage.server.calls["observe"]
    async with stage.working(executors=build_shared(stage)):
        await until(lambda: not is_server_away or stage.server.calls["observe"] > asked + 3)
        stage.server.accept("observe")
        await stage.is_over(ONE)
    assert stage.world.executions[ONE] == 0
    assert attempt.endings[0]["kind"] == "not_started"


@pytest.mark.parametrize("is_taken_over", [False, True])
async def test_what_may_have_been_launched_is_stopped_however_long_that_takes(
    stage: Stage, is_taken_over: bool
) -> None:
    attempt = stage.server.offer(ONE)
    stage.world.broken |= {"launch": AWAY if is_taken_over else SILENT, "stop": AWAY}
    if is_taken_over:
        async with stage.working(executors=build_shared(stage)):
            await until(lambda: attempt.claim == 1)
        attempt.stop = "cancelled"
    pace = replace(QUICK, leave_seconds=0.02)
    async with stage.working(executors=build_shared(stage), pace=pace):
        await until(lambda: "launching" in attempt.states)
        attempt.stop = "cancelled"
        told = len(attempt.told)
        # Its lease is renewed meanwhile.
        await until(lambda: attempt.is_over or len(attempt.told) > told + 20)
        assert not attempt.is_over
        stage.world.launch(Launch(ONE))
        stage.world.broken.clear()
        await stage.is_over(ONE)
    assert [ending["kind"] for ending in attempt.endings] == ["exited"]


async def test_an_outside_that_refuses_the_worker_keeps_no_sweep_from_ending(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    stage.world.broken |= {"launch": REFUSED, "stop": REFUSED}
    pace = replace(QUICK, leave_seconds=0.05)
    with structlog.testing.capture_logs() as lines:
        async with stage.working(executors=build_shared(stage), pace=pace):
            await until(lambda: "launching" in attempt.states)
            attempt.stop = "cancelled"
            await until(lambda: attempt.is_over)
    assert [ending["kind"] for ending in attempt.endings] == ["not_started"]
    (line,) = [line for line in lines if line["event"] == "attempt.not_stopped"]
    assert line["reason"] == "The outside refuses this worker."


@pytest.mark.parametrize("is_running", [False, True])
async def test_what_was_deleted_and_cannot_be_stopped_gives_its_slot_back(
    stage: Stage, is_running: bool
) -> None:
    attempt = stage.server.offer(ONE)
    stage.world.broken["stop"] = REFUSED
    if not is_running:
        stage.world.broken["launch"] = REFUSED
    pace = replace(QUICK, leave_seconds=0.05)
    async with stage.working(executors=build_shared(stage), pace=pace, slots=1):
        await until(lambda: ("running" if is_running else "launching") in attempt.states)
        attempt.worker_id = "nobody"
        attempt.refusal = (404, "attempt-not-found")
        other = stage.server.offer(OTHER)
        await until(lambda: other.worker_id is not None)


@pytest.mark.parametrize("code", ["attempt-superseded", "attempt-not-found"])
async def test_what_nobody_wants_any_more_is_ended(stage: Stage, code: str) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working(executors=build_shared(stage)):
        await until(lambda: "running" in attempt.states)
        attempt.refusal = (409 if code.endswith("superseded") else 404, code)
        await until(lambda: stage.world.list_known() == [])
    assert stage.world.executions[ONE] == 1


async def test_what_it_has_no_more_is_not_cleared(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    pace = replace(QUICK, longest_pause_seconds=0.01)
    async with stage.working(executors=build_shared(stage), pace=pace) as worker:
        await until(lambda: "running" in attempt.states)
        stage.server.unreachable.add(ONE)
        attempt.worker_id = "another"
        attempt.refusal = (409, "claim-lost")
        await until(lambda: stage.server.held == [])
        claims = stage.server.calls["claim"]
        await until(lambda: stage.server.calls["claim"] > claims + 3)
        worker.drain()
        await stage.has_left()
    assert stage.world.program(ONE).stops == []


async def test_they_are_stopped_when_the_server_says_so(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working(executors=build_shared(stage)):
        await until(lambda: "running" in attempt.states)
        stops = stage.world.program(ONE).stops
        attempt.stop = "cancelled"
        await stage.is_over(ONE)
    assert stops == [StopKind.GRACEFUL]
    assert attempt.endings[0]["kind"] == EndingKind.EXITED


async def test_an_executor_does_its_work_on_the_side(stage: Stage) -> None:
    async with stage.working() as worker:
        await until(lambda: stage.world.tending == 1)
        worker.drain()
        await stage.has_left()
        await until(lambda: stage.world.tending == 0)


async def test_people_learn_where_to_look(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working():
        await until(lambda: "running" in attempt.states)
        stage.world.end(ONE)
        await stage.is_over(ONE)
    assert attempt.told[-1]["url"] == f"https://example.org/fake:{ONE}"
