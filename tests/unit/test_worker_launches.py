"""A worker that cannot launch what it was given."""

from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from service.schedulers.executors.base import StopKind
from service.schedulers.executors.fake import FakeExecutor, FakeFailure, FakeWorld
from service.schedulers.launch_troubles import LaunchTroubles
from service.schedulers.log_parts import cut_between_characters
from service.schedulers.workdir import open_workdir
from tests.unit.worker_use import ONE, QUICK, THREE, TWO, OwnExecutor, Stage, until

IMPATIENT = replace(QUICK, launch_seconds=0.05)

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "worker")


def break_launches(stage: Stage, *operations: str) -> None:
    for operation in ("launch", *operations):
        stage.world.broken[operation] = FakeFailure("The disk is read-only.")


async def test_a_launch_that_keeps_failing_is_handed_back(stage: Stage) -> None:
    break_launches(stage)
    attempt = stage.server.offer(ONE)
    async with stage.working(pace=IMPATIENT):
        await stage.is_over(ONE)
    (ending,) = attempt.endings
    assert ending["kind"] == "preempted"
    assert ending["message"] == "It could not be launched for 0.05 s: The disk is read-only."
    assert stage.world.executions[ONE] == 0


async def test_it_is_handed_back_though_nothing_at_all_can_be_done_to_it(stage: Stage) -> None:
    break_launches(stage, "stop")
    attempt = stage.server.offer(ONE)
    async with stage.working(pace=replace(IMPATIENT, leave_seconds=0.02)):
        await until(lambda: attempt.is_over)
    assert attempt.endings[0]["kind"] == "preempted"


async def test_a_worker_that_can_launch_nothing_takes_nothing_for_a_while(stage: Stage) -> None:
    break_launches(stage)
    stage.server.offer(ONE)
    pace = replace(QUICK, launch_seconds=1.0, refused_pause_seconds=60.0)
    with structlog.testing.capture_logs() as lines:
        async with stage.working(pace=pace):
            await stage.is_over(ONE)
            claims, registrations = stage.server.calls["claim"], stage.server.calls["register"]
            waiting = stage.server.offer(TWO)
            await until(lambda: stage.server.calls["register"] > registrations + 3)
            assert stage.server.calls["claim"] <= claims + 1
            await until(lambda: waiting.worker_id is not None)
    assert [line["event"] for line in lines].count("claims.paused") == 1


async def test_a_worker_goes_on_with_what_it_can_launch(stage: Stage) -> None:
    refused = FakeWorld()
    refused.broken["launch"] = FakeFailure("The outside refuses this worker.")
    executors = [FakeExecutor(refused), OwnExecutor(stage.world)]
    pace = replace(QUICK, launch_seconds=1.0, refused_pause_seconds=60.0, claim_wait_seconds=20.0)
    attempt = stage.server.offer(ONE)
    async with stage.working(executors=executors, pace=pace):
        await until(lambda: attempt.is_over)
        await until(lambda: stage.server.last_claim["executors"] == ["own"])
        # It asks again as soon as the pause is over.
        assert stage.server.last_claim["wait_seconds"] <= 1.0
        stage.server.offer(TWO, launch={"executor": "own"})
        await until(lambda: stage.world.executions[TWO] == 1)
        refused.broken.clear()
        stage.server.offer(THREE)
        await until(lambda: refused.executions[THREE] == 1)


async def test_why_launches_fail_is_said_once(stage: Stage) -> None:
    stage.world.broken["launch"] = FakeFailure("The outside is away.")
    attempts = [stage.server.offer(each) for each in (ONE, TWO)]
    with structlog.testing.capture_logs() as lines:
        async with stage.working():
            await until(lambda: all(len(each.told) > 3 for each in attempts))
            stage.world.broken["launch"] = FakeFailure("The outside refuses this worker.")
            told = sum(len(each.told) for each in attempts)
            await until(lambda: sum(len(each.told) for each in attempts) > told + 10)
    reasons = [line["reason"] for line in lines if line["event"] == "attempt.not_launched"]
    assert reasons == ["The outside is away.", "The outside refuses this worker."]


async def test_attempts_that_fail_differently_do_not_take_turns_in_the_log(stage: Stage) -> None:
    for attempt_id in (ONE, TWO):
        stage.world.refuse(attempt_id, FakeFailure(f"No disk for {attempt_id}."))
    attempts = [stage.server.offer(each) for each in (ONE, TWO)]
    with structlog.testing.capture_logs() as lines:
        async with stage.working():
            await until(lambda: all(len(each.told) > 5 for each in attempts))
    reasons = [line["reason"] for line in lines if line["event"] == "attempt.not_launched"]
    assert sorted(reasons) == [f"No disk for {ONE}.", f"No disk for {TWO}."]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_pauses_double_until_a_launch_succeeds() -> None:
    clock = Clock()
    troubles = LaunchTroubles(
        replace(QUICK, refused_pause_seconds=30, launch_seconds=100), clock=clock
    )
    assert troubles.get_pause() is None
    for pause in (30, 60, 100, 100):
        troubles.note_given_up("fake", "no disk")
        troubles.note_given_up("fake", "no disk")
        assert troubles.get_pause() == pause
        clock.now += pause
        assert troubles.get_pause() is None
    troubles.note_launched("fake")
    troubles.note_given_up("fake", "no disk")
    assert troubles.get_pause() == 30


def test_pauses_are_those_of_one_executor() -> None:
    clock = Clock()
    troubles = LaunchTroubles(
        replace(QUICK, refused_pause_seconds=30, launch_seconds=100), clock=clock
    )
    troubles.note_given_up("fake", "no key")
    assert troubles.list_able(["fake", "own"]) == ["own"]
    troubles.note_launched("own")
    clock.now += 10
    troubles.note_given_up("own", "no disk")
    assert troubles.list_able(["fake", "own"]) == []
    assert troubles.get_pause() == 20
    clock.now += 20
    assert troubles.list_able(["fake", "own"]) == ["fake"]
    assert troubles.get_pause() == 10
    troubles.note_given_up("fake", "no key")
    troubles.note_launched("own")
    assert troubles.get_pause() == 60


async def test_what_is_not_to_run_any_more_after_a_restart_is_not_launched(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    with open_workdir(stage.folder) as workdir:
        workdir.note_preempted(ONE)
    async with stage.working():
        await stage.is_over(ONE)
    assert [ending["kind"] for ending in attempt.endings] == ["preempted"]
    assert stage.world.executions[ONE] == 0


async def test_what_is_not_wanted_any_more_is_ended_however_long_that_takes(stage: Stage) -> None:
    break_launches(stage, "stop")
    attempt = stage.server.offer(ONE)
    with structlog.testing.capture_logs() as lines:
        async with stage.working(pace=replace(QUICK, leave_seconds=0.02)):
            await until(lambda: "launching" in attempt.states)
            attempt.stop = "cancelled"
            told = len(attempt.told)
            # Its lease is renewed meanwhile.
            await until(lambda: len(attempt.told) > told + 10)
            assert not attempt.is_over
            stage.world.broken.clear()
            await stage.is_over(ONE)
    assert "attempt.dropped" not in [line["event"] for line in lines]
    assert attempt.endings[0]["kind"] == "not_started"


async def test_what_is_gone_before_its_launch_is_killed_once(stage: Stage) -> None:
    stage.world.broken["launch"] = FakeFailure("The disk is full.")
    attempt = stage.server.offer(ONE)
    stops = stage.world.program(ONE).stops
    async with stage.working():
        await until(lambda: "launching" in attempt.states and stage.server.held == [ONE])
        attempt.worker_id = "another"
        attempt.refusal = (409, "claim-lost")
        await until(lambda: stage.server.held == [])
    assert stops == [StopKind.AT_ONCE]
    assert stage.world.list_known() == []


@pytest.mark.parametrize("text", ["ab", "ß", "a€", "a😀"])
def test_a_log_is_cut_between_characters(text: str) -> None:
    data = text.encode()
    assert cut_between_characters(data) == data
    whole = text[:-1].encode()
    for length in range(len(whole) + 1, len(data)):
        assert cut_between_characters(data[:length]) == whole
