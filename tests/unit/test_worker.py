"""A worker, from a claim to the end of what it was given."""

from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from service.domain.attempts import EndingKind
from service.schedulers.executors.base import Launch, LaunchRefused, StopKind, SweepRefused
from service.schedulers.executors.fake import FakeExecutor, FakeWorld
from tests.unit.worker_use import ONE, QUICK, THREE, TWO, URL, Stage, until

pytestmark = pytest.mark.timeout(20)


class OtherExecutor(FakeExecutor):
    """A second way to launch attempts."""

    name = "other"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "worker")


async def test_follows_an_attempt_from_its_claim_to_its_end(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    stage.world.report(ONE, {"accuracy": 0.5})
    stage.world.print(ONE, "epoch 0: größer\n")
    async with stage.working():
        await until(lambda: attempt.points == {0: 0.5})
        stage.world.report(ONE, {"accuracy": 0.9})
        stage.world.print(ONE, "done")
        stage.world.end(ONE)
        await stage.is_over(ONE)
    (ending,) = attempt.endings
    assert ending == {
        "kind": "exited",
        "exit_code": 0,
        "signal": None,
        "message": None,
        "values": {"accuracy": 0.9},
    }
    assert attempt.points == {0: 0.5, 1: 0.9}
    assert attempt.log.decode() == "epoch 0: größer\ndone"
    assert attempt.told[-1]["external_ref"] == f"fake:{ONE}"
    assert attempt.states[-1] == "running"


async def test_a_program_is_told_who_it_is(stage: Stage) -> None:
    stage.server.offer(ONE)
    stage.server.offer("k3v9x2ab-7-3", token=None)
    async with stage.working():
        await until(lambda: len(stage.world.launched) == 2)
    first, second = stage.world.launched
    assert first == Launch(
        ONE,
        run_id=ONE,
        study="digits",
        trial=0,
        attempt=1,
        params={"lr": 0.1},
        metrics=("accuracy",),
        directions=("maximize",),
        arguments={"program": "train.py"},
        environment={
            "ASKTELL_URL": URL,
            "ASKTELL_TOKEN": f"token-of-{ONE}",
            "ASKTELL_STUDY": "digits",
            "ASKTELL_TRIAL": "0",
            "ASKTELL_ATTEMPT": "1",
            "ASKTELL_ATTEMPT_ID": ONE,
        },
    )
    assert second.environment["ASKTELL_ATTEMPT"] == "3"
    assert "ASKTELL_TOKEN" not in second.environment


async def test_takes_no_more_than_it_has_slots_for(stage: Stage) -> None:
    for attempt_id in (ONE, TWO, THREE):
        stage.server.offer(attempt_id)
    async with stage.working(slots=2) as worker:
        del worker
        await until(lambda: len(stage.world.launched) == 2)
        await until(lambda: [one["busy"] for one in stage.server.workers.values()] == [2])
        assert stage.server.attempts[THREE].worker_id is None
        stage.world.end(ONE)
        await until(lambda: stage.world.executions[THREE] == 1)
        assert sorted(stage.server.held) == [TWO]


async def test_values_of_several_objectives_come_at_the_end_only(stage: Stage) -> None:
    attempt = stage.server.offer(ONE, metrics=["accuracy", "size"])
    stage.world.report(ONE, {"accuracy": 0.5, "size": float("inf")})
    stage.world.end(ONE)
    async with stage.working():
        await stage.is_over(ONE)
    assert attempt.points == {}
    assert attempt.endings[0]["values"] == {"accuracy": 0.5, "size": "Infinity"}


async def test_many_rows_arrive_in_parts(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    for _ in range(2500):
        stage.world.report(ONE, {"accuracy": 0.5})
    stage.world.end(ONE)
    async with stage.working():
        await stage.is_over(ONE)
    assert list(attempt.points) == list(range(2500))
    assert max(len(seen["points"]) for seen in attempt.told) == 1000


async def test_a_long_log_arrives_whole_and_before_the_end(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    text = "größer als 1 €\n" * 10_000
    stage.world.print(ONE, text)
    stage.world.end(ONE)
    async with stage.working():
        await until(lambda: attempt.is_over)
        assert attempt.log.decode() == text


@pytest.mark.parametrize(
    ("refusal", "kind"), [(LaunchRefused, "not_started"), (SweepRefused, "refused")]
)
async def test_a_refused_launch_is_the_end(
    stage: Stage, refusal: type[LaunchRefused], kind: str
) -> None:
    attempt = stage.server.offer(ONE)
    stage.world.refuse(ONE, refusal("train.py: no such file; see --allow-program."))
    async with stage.working():
        await stage.is_over(ONE)
    assert attempt.endings[0]["kind"] == kind
    assert attempt.endings[0]["message"] == "train.py: no such file; see --allow-program."
    assert set(attempt.states) == {"launching"}


async def test_a_launch_that_failed_is_tried_again(stage: Stage) -> None:
    stage.server.offer(ONE)
    for _ in range(3):
        stage.world.fail_next("launch")
    stage.world.end(ONE)
    async with stage.working():
        await stage.is_over(ONE)
    assert stage.world.executions[ONE] == 1


async def test_a_launch_that_can_never_succeed_is_the_end(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    stage.world.fail_next("launch", ValueError("no such image"))
    async with stage.working():
        await stage.is_over(ONE)
    assert attempt.endings[0]["kind"] == "not_started"
    assert attempt.endings[0]["message"] == "no such image"


async def test_a_lease_is_renewed_while_a_launch_takes_long(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working():
        await until(lambda: ONE in stage.server.held)
        stage.world.is_open.clear()
        second = stage.server.offer(TWO)
        await until(lambda: len(second.told) > 2)
        assert set(second.states) == {"launching"}
        stage.world.is_open.set()
        stage.world.end(TWO)
        await until(lambda: second.is_over)
        await until(lambda: "running" in attempt.states)


async def test_a_launch_that_keeps_failing_ends_when_it_is_cancelled(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    attempt.stop = "cancelled"
    for _ in range(1000):
        stage.world.fail_next("launch")
    async with stage.working():
        await stage.is_over(ONE)
    assert attempt.endings[0]["kind"] == "not_started"
    assert stage.world.executions[ONE] == 0


@pytest.mark.parametrize("stop", ["pruned", "cancelled"])
async def test_stops_what_is_to_be_stopped(stage: Stage, stop: str) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working():
        await until(lambda: "running" in attempt.states)
        stops = stage.world.program(ONE).stops
        attempt.stop = stop
        await stage.is_over(ONE)
    assert stops == [StopKind.GRACEFUL]
    assert attempt.endings[0]["kind"] == "exited"
    assert attempt.endings[0]["signal"] == 2


async def test_a_stubborn_program_is_told_once_and_followed_on(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    program = stage.world.program(ONE)
    program.is_stubborn = True
    async with stage.working():
        await until(lambda: "running" in attempt.states)
        attempt.stop = "pruned"
        await until(lambda: attempt.states.count("stopping") > 2)
        assert program.stops == [StopKind.GRACEFUL]
        stage.world.kill(ONE)
        await stage.is_over(ONE)


async def test_a_stop_that_failed_is_tried_again(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working():
        await until(lambda: "running" in attempt.states)
        stage.world.fail_next("stop")
        attempt.stop = "pruned"
        await stage.is_over(ONE)


async def test_a_program_whose_trial_is_over_may_finish(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    program = stage.world.program(ONE)
    async with stage.working():
        await until(lambda: "running" in attempt.states)
        attempt.stop = "over"
        count = len(attempt.told)
        await until(lambda: len(attempt.told) > count + 3)
        stage.world.end(ONE, exit_code=3)
        await stage.is_over(ONE)
    assert program.stops == []
    assert attempt.endings[0]["exit_code"] == 3


async def test_a_program_whose_trial_is_over_does_not_go_on_for_long(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    program = stage.world.program(ONE)
    async with stage.working(pace=replace(QUICK, moment_seconds=0.01)):
        await until(lambda: "running" in attempt.states)
        attempt.stop = "over"
        await stage.is_over(ONE)
    assert program.stops == [StopKind.GRACEFUL]


async def test_what_vanished_is_told_as_that(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working():
        await until(lambda: "running" in attempt.states)
        stage.world.vanish(ONE)
        await stage.is_over(ONE)
    assert attempt.endings[0]["kind"] == EndingKind.VANISHED


async def test_what_failed_outside_was_at_work_before(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    stage.world.program(ONE).is_started = False
    async with stage.working():
        await until(lambda: "launching" in attempt.states)
        stage.world.fail(ONE, "The pod ran out of memory.")
        await stage.is_over(ONE)
    assert attempt.endings[0]["kind"] == EndingKind.FAILED
    assert attempt.endings[0]["message"] == "The pod ran out of memory."
    assert attempt.states[-1] == "running"


async def test_executors_do_not_wait_for_each_other(stage: Stage) -> None:
    other_world = FakeWorld()
    executors = [FakeExecutor(stage.world), OtherExecutor(other_world)]
    attempt = stage.server.offer(ONE)
    other = stage.server.offer(TWO, launch={"executor": "other"})
    async with stage.working(executors=executors):
        await until(lambda: "running" in attempt.states and "running" in other.states)
        stage.world.is_open.clear()
        other_world.end(TWO)
        await until(lambda: other.is_over)
        assert not attempt.is_over
        stage.world.is_open.set()


async def test_one_that_cannot_be_looked_at_keeps_its_lease(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working():
        await until(lambda: "running" in attempt.states)
        stage.world.is_open.clear()
        count = len(attempt.told)
        await until(lambda: len(attempt.told) > count + 3)
        stage.world.is_open.set()
        stage.world.end(ONE)
        await stage.is_over(ONE)


async def test_tells_what_it_does_in_its_log(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    with structlog.testing.capture_logs() as lines:
        async with stage.working() as worker:
            await until(lambda: "running" in attempt.states)
            attempt.stop = "pruned"
            await stage.is_over(ONE)
            worker.drain()
            await stage.has_left()
            await until(lambda: lines[-1]["event"] == "worker.left")
    assert [line["event"] for line in lines] == [
        "worker.started",
        "attempt.claimed",
        "attempt.launched",
        "attempt.stopping",
        "attempt.ended",
        "worker.draining",
        "worker.left",
    ]
    assert "token-of" not in str(lines)
