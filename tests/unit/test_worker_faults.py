"""A worker whose calls fail, whose claims get lost, and which is killed and started again."""

from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from service.schedulers.executors.base import StopKind
from service.schedulers.workdir import WorkdirUnusable, open_workdir
from tests.unit.worker_use import ONE, QUICK, TWO, Stage, until

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "worker")


async def test_an_attempt_whose_claim_got_no_answer_comes_again(stage: Stage) -> None:
    async with stage.working():
        await until(lambda: stage.server.calls["claim"] > 1)
        stage.server.lose("claim", 1000)
        attempt = stage.server.offer(ONE)
        await until(lambda: attempt.claim > 1)
        stage.server.lose("claim", 0)
        stage.world.end(ONE)
        await stage.is_over(ONE)
    assert stage.world.executions[ONE] == 1


async def test_what_was_said_without_an_answer_is_said_again(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    stage.world.report(ONE, {"accuracy": 0.5})
    async with stage.working():
        await until(lambda: 0 in attempt.points)
        stage.server.lose("observe", 1000)
        stage.world.report(ONE, {"accuracy": 0.9})
        stage.world.end(ONE)
        await until(lambda: len(attempt.endings) > 1)
        assert ONE in stage.world.list_known()
        stage.server.lose("observe", 0)
        await stage.is_over(ONE)
    assert attempt.points == {0: 0.5, 1: 0.9}
    assert all(ending == attempt.endings[0] for ending in attempt.endings)


async def test_while_the_server_is_away_programs_go_on_and_nothing_gets_lost(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working():
        await until(lambda: "running" in attempt.states)
        stage.server.go_down()
        count = stage.server.calls["observe"]
        for _ in range(3):
            stage.world.report(ONE, {"accuracy": 0.5})
        stage.world.print(ONE, "epoch 2")
        await until(lambda: stage.server.calls["observe"] > count + 3)
        assert stage.world.program(ONE).ending is None
        stage.world.end(ONE)
        stage.server.come_up()
        await stage.is_over(ONE)
    assert list(attempt.points) == [0, 1, 2]
    assert attempt.log == b"epoch 2"


async def test_while_the_server_is_away_it_is_called_less_often(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working(pace=replace(QUICK, first_pause_seconds=60, longest_pause_seconds=60)):
        await until(lambda: "running" in attempt.states)
        stage.server.refuse("observe", 503, "database-unavailable")
        stage.world.end(ONE)
        count, registrations = stage.server.calls["observe"], stage.server.calls["register"]
        await until(lambda: stage.server.calls["observe"] > count)
        await until(lambda: stage.server.calls["register"] > registrations + 10)
        assert stage.server.calls["observe"] <= count + 2


async def test_goes_on_by_a_newer_claim(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working():
        await until(lambda: "running" in attempt.states)
        stage.server.ignores_held = True
        await until(lambda: attempt.told[-1]["claim"] > 2)
        stage.world.end(ONE)
        await stage.is_over(ONE)
    assert stage.world.executions[ONE] == 1


async def test_a_lost_claim_ends_its_program_at_once_and_no_other(stage: Stage) -> None:
    gone, other = stage.server.offer(ONE), stage.server.offer(TWO)
    async with stage.working():
        await until(lambda: "running" in gone.states and "running" in other.states)
        stops = stage.world.program(ONE).stops
        gone.refusal = (409, "claim-lost")
        gone.worker_id = "another worker"
        await until(lambda: stage.world.list_known() == [TWO])
        assert stops == [StopKind.AT_ONCE]
        stage.world.end(TWO)
        await stage.is_over(TWO)
    assert gone.endings == []


async def test_what_comes_back_after_a_lost_claim_is_not_run_again(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working():
        await until(lambda: "running" in attempt.states)
        attempt.document["state"] = "launching"
        attempt.refusal = (404, "attempt-not-found")
        await until(lambda: stage.world.list_known() == [])
        attempt.document["state"] = "launching"
        attempt.refusal = None
        await until(lambda: attempt.is_over)
    assert attempt.endings[0]["kind"] == "vanished"
    assert stage.world.executions[ONE] == 1


async def test_a_404_of_something_else_ends_nothing(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working():
        await until(lambda: "running" in attempt.states)
        stage.server.refuse("observe", 404, "http-404")
        count = stage.server.calls["observe"]
        await until(lambda: stage.server.calls["observe"] > count + 2)
        stage.server.accept("observe")
        stage.world.end(ONE)
        await stage.is_over(ONE)
    assert attempt.endings[0]["exit_code"] == 0


async def test_one_attempt_that_is_refused_does_not_stop_another(stage: Stage) -> None:
    refused, other = stage.server.offer(ONE), stage.server.offer(TWO)
    refused.refusal = (422, "invalid-request")
    stage.world.end(TWO)
    async with stage.working():
        await stage.is_over(TWO)
        assert stage.world.list_known() == [ONE]
    assert other.endings[0]["exit_code"] == 0


async def test_a_claim_that_is_refused_is_said(stage: Stage) -> None:
    stage.server.refuse("claim", 422, "invalid-request")
    with structlog.testing.capture_logs() as lines:
        async with stage.working():
            await until(lambda: any(line["event"] == "claim.refused" for line in lines))
            stage.server.accept("claim")
            stage.server.offer(ONE)
            await until(lambda: stage.world.executions[ONE] == 1)


async def test_points_that_are_refused_do_not_hold_up_the_end(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    stage.server.refuse_points = True
    stage.world.report(ONE, {"accuracy": 0.5}, step=2**40)
    stage.world.end(ONE)
    async with stage.working():
        await stage.is_over(ONE)
    assert attempt.points == {}
    assert attempt.endings[0]["values"] == {"accuracy": 0.5}


async def test_a_log_that_is_refused_does_not_hold_up_the_end(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    stage.server.refuse("log", 500, "internal-error")
    stage.world.print(ONE, "something")
    stage.world.end(ONE)
    async with stage.working():
        await stage.is_over(ONE)
    assert attempt.log == b""


async def test_a_log_that_cannot_be_sent_just_now_is_sent_before_the_end(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    stage.server.refuse("log", 503, "database-unavailable")
    stage.world.print(ONE, "something")
    stage.world.end(ONE)
    async with stage.working():
        await until(lambda: len(attempt.told) > 3)
        assert not attempt.is_over
        stage.server.accept("log")
        await stage.is_over(ONE)
    assert attempt.log == b"something"


async def test_a_wrong_token_is_said_once_and_programs_go_on(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    with structlog.testing.capture_logs() as lines:
        async with stage.working():
            await until(lambda: "running" in attempt.states)
            for call in ("register", "claim", "observe", "log"):
                stage.server.refuse(call, 401, "unauthorized")
            count = stage.server.calls["observe"]
            await until(lambda: stage.server.calls["observe"] > count + 3)
            stage.server.come_up()
            stage.world.end(ONE)
            await stage.is_over(ONE)
    events = [line["event"] for line in lines]
    assert events.count("server.refused") == events.count("server.found") == 1


async def test_a_look_that_failed_is_repeated(stage: Stage) -> None:
    stage.server.offer(ONE)
    for _ in range(3):
        stage.world.fail_next("poll")
    stage.world.end(ONE)
    async with stage.working():
        await stage.is_over(ONE)


async def test_what_cannot_be_removed_for_good_gives_its_slot_back(stage: Stage) -> None:
    attempt, other = stage.server.offer(ONE), stage.server.offer(TWO)
    stage.world.broken["forget"] = ValueError("a defect")
    for attempt_id in (ONE, TWO):
        stage.world.end(attempt_id)
    async with stage.working(slots=1):
        await until(lambda: attempt.is_over and other.is_over)


async def test_goes_on_after_a_kill_with_what_runs(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    stage.world.report(ONE, {"accuracy": 0.5})
    async with stage.working():
        await until(lambda: 0 in attempt.points)
    stage.world.report(ONE, {"accuracy": 0.9})
    stage.world.end(ONE)
    async with stage.working():
        await stage.is_over(ONE)
    assert stage.world.executions[ONE] == 1
    assert attempt.points == {0: 0.5, 1: 0.9}
    assert len({seen["claim"] for seen in attempt.told}) == 2
    assert len(stage.server.workers) == 1


async def test_stops_again_what_was_to_be_stopped_before_a_kill(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    program = stage.world.program(ONE)
    program.is_stubborn = True
    async with stage.working():
        await until(lambda: "running" in attempt.states)
        attempt.stop = "pruned"
        await until(lambda: "stopping" in attempt.states)
    program.is_stubborn = False
    async with stage.working():
        await stage.is_over(ONE)


async def test_what_ran_and_is_gone_without_a_trace_has_vanished(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working():
        await until(lambda: "running" in attempt.states)
    stage.world.kill(ONE)
    stage.world.forget(ONE)
    async with stage.working():
        await until(lambda: attempt.is_over)
    assert attempt.endings[0]["kind"] == "vanished"
    assert stage.world.executions[ONE] == 1


async def test_what_is_left_over_and_nobodys_is_killed_and_removed(stage: Stage) -> None:
    lost, kept = stage.server.offer(ONE), stage.server.offer(TWO)
    async with stage.working():
        await until(lambda: "running" in lost.states and "running" in kept.states)
    lost.worker_id = "another worker"
    program = stage.world.program(ONE)
    async with stage.working():
        await until(lambda: stage.world.list_known() == [TWO])
        assert stage.world.program(TWO).ending is None
    assert program.stops == [StopKind.AT_ONCE]


async def test_what_cannot_be_had_just_now_is_left_alone(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working():
        await until(lambda: "running" in attempt.states)
    stage.server.unreachable.add(ONE)
    claims = stage.server.calls["claim"]
    async with stage.working():
        await until(lambda: stage.server.calls["claim"] > claims + 3)
        assert stage.world.program(ONE).ending is None
        stage.server.unreachable.clear()
        stage.world.end(ONE)
        await stage.is_over(ONE)
    assert stage.world.executions[ONE] == 1


async def test_nothing_is_left_over_before_the_server_has_said_so(stage: Stage) -> None:
    attempt = stage.server.offer(ONE)
    async with stage.working():
        await until(lambda: "running" in attempt.states)
    stage.server.go_down()
    claims = stage.server.calls["claim"]
    async with stage.working():
        await until(lambda: stage.server.calls["claim"] > claims + 3)
        assert stage.world.program(ONE).ending is None
        stage.server.come_up()
        stage.world.end(ONE)
        await stage.is_over(ONE)
    assert attempt.endings[0]["exit_code"] == 0


async def test_an_attempt_of_an_executor_that_is_gone_is_handed_back(stage: Stage) -> None:
    attempt = stage.server.offer(ONE, launch={"executor": "another"})
    with open_workdir(stage.folder) as workdir:
        attempt.worker_id = workdir.worker_id
    async with stage.working():
        await until(lambda: attempt.is_over)
    assert attempt.endings[0]["kind"] == "preempted"
    assert "'another'" in attempt.endings[0]["message"]


def test_a_folder_is_one_workers_and_keeps_its_id(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "worker"
    with open_workdir(folder) as first:
        with pytest.raises(WorkdirUnusable, match="--workdir"), open_workdir(folder):
            pass
        worker_id = first.worker_id
    with open_workdir(folder) as again, open_workdir(tmp_path / "b") as other:
        assert again.worker_id == worker_id != other.worker_id
    assert folder.stat().st_mode & 0o077 == 0


def test_a_folder_that_was_copied_to_another_machine_is_another_workers(tmp_path: Path) -> None:
    with open_workdir(tmp_path, host="gpu-1") as first:
        worker_id = first.worker_id
    with structlog.testing.capture_logs() as lines, open_workdir(tmp_path, host="gpu-2") as copied:
        copied_id = copied.worker_id
    assert copied_id != worker_id
    (line,) = lines
    assert (line["event"], line["former_host"], line["host"]) == (
        "worker.renewed",
        "gpu-1",
        "gpu-2",
    )
    with open_workdir(tmp_path, host="gpu-2") as again:
        assert again.worker_id == copied_id


def test_a_folder_with_a_broken_identity_is_refused(tmp_path: Path) -> None:
    (tmp_path / "worker.json").write_text("{")
    with pytest.raises(WorkdirUnusable, match="delete it"), open_workdir(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkdirUnusable, match="choose another"), open_workdir(tmp_path / "file"):
        pass
