"""A worker that cannot launch what it was given."""

from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from service.schedulers.executors.fake import FakeFailure
from service.schedulers.launches import Launches
from service.schedulers.log_parts import cut_between_characters
from tests.unit.worker_use import QUICK, Stage, until

ONE = "k3v9x2ab-0-1"
TWO = "k3v9x2ab-1-1"
IMPATIENT = replace(QUICK, launch_seconds=0.05)

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "worker")


def break_launches(stage: Stage, *operations: str) -> None:
    for operation in ("launch", *operations):
        for _ in range(1000):
            stage.world.fail_next(operation, FakeFailure("The disk is read-only."))


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


async def test_pauses_double_until_a_launch_succeeds() -> None:
    launches = Launches(replace(QUICK, refused_pause_seconds=30, launch_seconds=100))
    launches.note_given_up("no disk")
    launches.note_given_up("no disk")
    assert 29 < launches.get_pause() <= 30
    launches.note_launched()
    assert launches.get_pause() == 0


@pytest.mark.parametrize("text", ["ab", "ß", "a€", "a😀"])
def test_a_log_is_cut_between_characters(text: str) -> None:
    data = text.encode()
    assert cut_between_characters(data) == data
    whole = text[:-1].encode()
    for length in range(len(whole) + 1, len(data)):
        assert cut_between_characters(data[:length]) == whole
