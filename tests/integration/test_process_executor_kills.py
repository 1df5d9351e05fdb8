"""One attempt is one execution, whatever is killed when."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.domain.attempts import EndingKind
from service.schedulers.executors.base import Launch, StillRunning, StopKind
from service.schedulers.executors.process import folders, supervisor
from service.schedulers.executors.process.processes import (
    kill_program,
    list_children,
    read_boot_id,
)
from service.schedulers.executors.process.supervisor import LEFT
from tests.integration.process_bench import ATTEMPT_ID, ProcessBench, wait_until
from tests.integration.process_owner import NEVER, build_launch
from tests.this_machine import is_alive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")

# Goes on until there is a file `go`.
PROGRAM = """#!/bin/sh
printf x >> executions
while [ ! -e go ]; do sleep 0.02; done
echo accuracy=0.5
"""

NEVER_ENDED = {"kind": "exited", "exit_code": 0, "signal": None, "message": None, "values": {}}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ProcessBench]:
    bench = ProcessBench(tmp_path)
    (tmp_path / "program.sh").write_text(PROGRAM)
    (tmp_path / "program.sh").chmod(0o755)
    bench.launch = build_launch()
    yield bench
    bench.close()


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that no attempt started, in a session of its own."""
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as process:
        yield process
        process.kill()


def start_owner(bench: ProcessBench, point: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.process_owner", str(bench.folder), point],
        start_new_session=True,
    )


def prepare_attempt(bench: ProcessBench) -> None:
    """Makes everything that a worker does before it starts a supervisor."""
    folders.make_folder(str(bench.attempt))
    plan = {
        "argv": ["./program.sh"],
        "directory": str(bench.folder),
        "metrics": ["accuracy"],
        "step_metric": None,
        "timeout_seconds": None,
        "stop_seconds": 1,
        "kill_seconds": 1,
    }
    folders.write_record(str(bench.attempt), folders.PLAN, plan)


def run_supervisor(bench: ProcessBench) -> int:
    """Runs one to its end and returns its exit status."""
    source = f"from {supervisor.__name__} import main; main({str(bench.attempt)!r})"
    let_go(bench)
    return subprocess.run([sys.executable, "-c", source], stderr=subprocess.DEVNULL).returncode


def test_supervisor_executes_what_is_prepared(bench: ProcessBench):
    prepare_attempt(bench)

    assert run_supervisor(bench) == 0
    assert bench.read_record(folders.EXIT)["values"] == {"accuracy": 0.5}
    assert bench.count_executions() == 1


def let_go(bench: ProcessBench) -> None:
    (bench.folder / "go").touch()


@pytest.mark.parametrize(
    "point", ["folder-made", "plan-written", "supervisor-spawned", "started", "running"]
)
async def test_killed_worker_leaves_one_execution(bench: ProcessBench, point: str):
    owner = start_owner(bench, point)
    assert await asyncio.to_thread(owner.wait) == -signal.SIGKILL

    await bench.executor.launch(bench.launch)
    let_go(bench)
    ending = await bench.see_end()

    assert (ending.exit_code, ending.values) == (0, {"accuracy": 0.5})
    assert bench.count_executions() == 1


@pytest.mark.parametrize("point", ["ended", "folder-renamed", "forgotten"])
async def test_worker_killed_at_the_end_leaves_one_execution(bench: ProcessBench, point: str):
    let_go(bench)
    owner = start_owner(bench, point)
    assert await asyncio.to_thread(owner.wait) == -signal.SIGKILL

    # Set aside whole: of half a folder nobody could tell that it was executed.
    kept = list((bench.folder / "attempts").rglob(folders.STARTED))
    assert len(kept) == (0 if point == "forgotten" else 1)
    assert bench.attempt.exists() == (point == "ended")
    left_over = await bench.executor.list_left_over(())
    for attempt_id in left_over:
        await bench.executor.stop(Launch(attempt_id), StopKind.AT_ONCE)
        await bench.executor.forget(Launch(attempt_id))

    assert left_over == ([ATTEMPT_ID] if point == "ended" else [])
    assert list((bench.folder / "attempts").rglob("*.json")) == []
    assert bench.count_executions() == 1


async def test_workers_that_race_execute_once(bench: ProcessBench):
    owners = [start_owner(bench, "ended") for _ in range(4)]
    await wait_until(lambda: bench.count_executions() > 0)
    let_go(bench)

    for owner in owners:
        assert await asyncio.to_thread(owner.wait) == -signal.SIGKILL
    assert bench.count_executions() == 1


async def test_whole_life_leaves_no_process_and_no_file(bench: ProcessBench):
    owner = start_owner(bench, NEVER)
    await wait_until(lambda: bench.count_executions() > 0)
    pids = bench.list_pids()
    let_go(bench)

    assert await asyncio.to_thread(owner.wait) == 0
    assert len(pids) >= 2
    assert [pid for pid in pids if is_alive(pid)] == []
    assert os.listdir(bench.folder / "attempts") == [".forgotten"]
    assert os.listdir(bench.folder / "attempts" / ".forgotten") == []


async def test_program_dies_with_its_supervisor(bench: ProcessBench):
    await bench.executor.launch(bench.launch)
    await wait_until(lambda: bench.count_executions() > 0)
    program = bench.read_record(folders.PROGRAM)["pid"]

    bench.kill_supervisor()
    # Nobody looks; that is the kernel's doing.
    await wait_until(lambda: not is_alive(program))
    ending = await bench.see_end()
    await bench.executor.launch(bench.launch)

    assert (ending.kind, ending.message) == (EndingKind.VANISHED, "Its supervisor was killed.")
    assert bench.count_executions() == 1


async def test_children_of_the_program_die_with_the_supervisor(bench: ProcessBench):
    await bench.run_shell(
        "setsid sh -c 'echo $$; exec sleep 1000' & sleep 1000 & sleep 1000 & wait"
    )
    log = (await bench.see(lambda seen: b"\n" in seen.log)).log
    await wait_until(lambda: len(bench.list_pids()) == 4)
    pids = [*bench.list_pids(), int(log)]

    bench.kill_supervisor()
    await bench.see_end()

    assert [pid for pid in pids if is_alive(pid)] == []


@pytest.mark.parametrize(
    ("boot_id", "message"),
    [(read_boot_id(), "Its supervisor was killed."), ("earlier", "The machine was restarted.")],
)
async def test_process_that_has_got_the_number_of_a_dead_one_lives_on(
    bench: ProcessBench, stranger: subprocess.Popen[bytes], boot_id: str, message: str
):
    await bench.executor.launch(bench.launch)
    bench.kill_supervisor()
    await bench.see_end()
    started = {"session": stranger.pid, "boot_id": boot_id}
    (bench.attempt / folders.STARTED).write_text(json.dumps(started))
    (bench.attempt / folders.PROGRAM).write_text(json.dumps({"pid": stranger.pid}))

    ending = await bench.see_end()
    await bench.executor.stop(Launch(ATTEMPT_ID), StopKind.AT_ONCE)
    await bench.executor.forget(Launch(ATTEMPT_ID))

    assert ending.message == message
    assert stranger.poll() is None


def test_without_proc_a_program_is_known_by_number_and_session(stranger: subprocess.Popen[bytes]):
    assert not kill_program(stranger.pid, stranger.pid + 1)
    assert stranger.poll() is None

    assert kill_program(stranger.pid, stranger.pid)
    assert stranger.wait() == -signal.SIGKILL
    assert not kill_program(stranger.pid, stranger.pid)


@pytest.mark.parametrize("text", ["", '{"session": 4'])
async def test_what_was_once_started_never_is_again(bench: ProcessBench, text: str):
    folders.make_folder(str(bench.attempt))
    (bench.attempt / folders.STARTED).write_text(text)

    await bench.executor.launch(bench.launch)

    assert (await bench.see_end()).kind is EndingKind.VANISHED
    assert bench.count_executions() == 0


async def test_supervisor_that_fails_says_why(bench: ProcessBench):
    await bench.executor.launch(bench.launch)
    bench.kill_supervisor()
    (bench.attempt / folders.SUPERVISOR_ERRORS).write_text("Traceback\nOSError: disk full\n")

    assert (await bench.see_end()).message == "Its supervisor failed: OSError: disk full"


@pytest.mark.parametrize("name", [folders.STARTED, folders.EXIT])
def test_late_supervisor_leaves_what_is_settled(bench: ProcessBench, name: str):
    prepare_attempt(bench)
    (bench.attempt / name).write_text("{}")

    assert run_supervisor(bench) == LEFT
    assert bench.count_executions() == 0


def test_second_supervisor_leaves(bench: ProcessBench):
    prepare_attempt(bench)

    with folders.try_lock(str(bench.attempt)):
        assert run_supervisor(bench) == LEFT
    assert bench.count_executions() == 0


def test_late_supervisor_of_a_forgotten_attempt_makes_nothing(bench: ProcessBench):
    assert run_supervisor(bench) == 1
    assert not bench.attempt.exists()


async def test_launch_waits_for_a_supervisor_of_an_earlier_life(bench: ProcessBench):
    folders.make_folder(str(bench.attempt))
    points: list[str] = []
    executor = bench.open(probe=points.append)

    with folders.try_lock(str(bench.attempt)):
        launching = asyncio.create_task(executor.launch(bench.launch))
        await wait_until(lambda: points.count("supervisor-spawned") > 1 or launching.done())
        assert not launching.done()
        folders.create_lasting_record(str(bench.attempt), folders.STARTED, {})
        await launching

    assert bench.count_executions() == 0


async def test_supervisor_that_starts_too_late_is_reaped(bench: ProcessBench):
    frozen: list[int] = []

    def freeze(point: str) -> None:
        if point == "supervisor-spawned":
            frozen.extend(set(list_children()) - before)
            os.kill(frozen[0], signal.SIGSTOP)

    before = set(list_children())
    bench.executor = bench.open(start_seconds=0.1, probe=freeze)
    with pytest.raises(TimeoutError, match="did not start in time"):
        await bench.executor.launch(bench.launch)
    os.kill(frozen[0], signal.SIGCONT)
    let_go(bench)
    await wait_until((bench.attempt / folders.EXIT).exists)
    await wait_until(lambda: not is_alive(frozen[0]))
    await bench.see_end()

    assert frozen[0] not in list_children()
    assert bench.count_executions() == 1


async def test_forgotten_attempt_leaves_no_process(bench: ProcessBench):
    await bench.run_shell("setsid sleep 1000 & echo $!; exec sleep 1000")
    # As if it had not found all: the file of the end is there, and processes still are.
    log = (await bench.see(lambda seen: b"\n" in seen.log)).log
    pids = [*bench.list_pids(), int(log)]
    os.kill(bench.read_record(folders.STARTED)["session"], signal.SIGSTOP)
    folders.write_lasting_record(str(bench.attempt), folders.EXIT, NEVER_ENDED)

    await bench.executor.forget(Launch(ATTEMPT_ID))

    await wait_until(lambda: not any(is_alive(pid) for pid in pids))


async def test_forgotten_attempt_leaves_no_process_that_becomes_another(bench: ProcessBench):
    await bench.run_shell("""
        for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
            setsid sh -c 'exec sh -c "$0" "$0"' 'exec sh -c "$0" "$0"' & echo $!
        done
        exec sleep 1000
    """)
    log = (await bench.see(lambda seen: seen.log.count(b"\n") == 12)).log
    os.kill(bench.read_record(folders.STARTED)["session"], signal.SIGSTOP)
    folders.write_lasting_record(str(bench.attempt), folders.EXIT, NEVER_ENDED)

    await bench.executor.forget(Launch(ATTEMPT_ID))

    await wait_until(lambda: not any(is_alive(int(pid)) for pid in log.split()))


async def test_mark_shows_no_way_to_the_folder(bench: ProcessBench):
    await bench.run_shell("env")

    assert str(bench.attempt) not in await bench.read_output()


async def test_supervisor_that_is_starting_counts_as_running(bench: ProcessBench):
    folders.make_folder(str(bench.attempt))

    with folders.try_lock(str(bench.attempt)):
        with pytest.raises(StillRunning):
            await bench.executor.forget(Launch(ATTEMPT_ID))
        # It will find the order once it has started its program.
        await bench.executor.stop(Launch(ATTEMPT_ID), StopKind.AT_ONCE)

    assert (bench.attempt / folders.KILL).exists()


async def test_signals_for_the_worker_do_not_reach_the_program(bench: ProcessBench):
    owner = start_owner(bench, NEVER)
    await wait_until(lambda: bench.count_executions() > 0)

    os.killpg(owner.pid, signal.SIGINT)
    os.killpg(owner.pid, signal.SIGTERM)
    await asyncio.to_thread(owner.wait)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(bench.read_record("started")["session"], number)
    let_go(bench)

    assert (await bench.see_end()).exit_code == 0
