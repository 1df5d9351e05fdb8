"""What becomes of real programs."""

import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import LaunchRefused, MetricRow, StopKind, Watch
from service.schedulers.executors.process.log_files import MAX_FILE_BYTES
from tests.integration.process_bench import (
    ATTEMPT_ID,
    ProcessBench,
    read_process,
    wait_until,
)
from tests.this_machine import is_alive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")

DESCRIBE = """
import json, os, signal, sys
print(json.dumps({
    "argv": sys.argv[1:],
    "directory": os.getcwd(),
    "stdin": sys.stdin.read(),
    "files": sorted(os.listdir("/proc/self/fd"))[:-1],
    "leads_group": os.getpgrp() == os.getpid(),
    "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    "others": [int(signal.getsignal(n)) for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)],
    "mask": list(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "environment": dict(os.environ),
}))
"""

IGNORE_SIGNALS = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True:
    signal.pause()
"""

# A session in a session and so on, each with an ordinary child.
NEST = """#!/bin/sh
echo $$ >> pids
sleep 1000 & echo $! >> pids
if [ "$1" -gt 0 ]; then setsid ./nest.sh $(($1 - 1)) & else touch nested; fi
exec sleep 1000
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ProcessBench]:
    bench = ProcessBench(tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def inheritable_file() -> Iterator[None]:
    """A descriptor that every process started meanwhile gets."""
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    yield
    os.close(read_end)
    os.close(write_end)


@pytest.mark.usefixtures("inheritable_file")
async def test_program_finds_the_world_as_it_should_be(bench: ProcessBench):
    (bench.folder / "elsewhere").mkdir()
    (bench.folder / "elsewhere" / "describe.py").write_text(DESCRIBE)

    await bench.run(
        None,
        program="describe.py",
        directory=str(bench.folder / "elsewhere"),
        params={"lr": 0.5, "opt": {"name": "sgd"}},
        environment={"ASKTELL_TOKEN": "s3cret"},
    )
    found = json.loads(await bench.read_output())

    assert found["argv"] == ["--lr=0.5", "--opt.name=sgd"]
    assert found["directory"] == str(bench.folder / "elsewhere")
    assert found["stdin"] == ""
    assert found["files"] == ["0", "1", "2"]
    assert found["leads_group"]
    assert found["interrupt"]
    assert found["others"] == [0, 0, 0]
    assert found["mask"] == []
    assert found["environment"]["ASKTELL_TOKEN"] == "s3cret"
    assert "PYTEST_CURRENT_TEST" not in found["environment"]


async def test_token_is_in_no_file_and_no_argument(bench: ProcessBench):
    await bench.run_shell("sleep 100", environment={"ASKTELL_TOKEN": "s3cret"})

    for file in bench.attempt.iterdir():
        assert not file.is_file() or b"s3cret" not in file.read_bytes(), file
    for pid in bench.list_pids():
        assert b"s3cret" not in read_process(pid, "cmdline")
    assert bench.attempt.stat().st_mode & 0o777 == 0o700


async def test_params_file_holds_the_params(bench: ProcessBench):
    params = {"lr": 0.5, "opt": {"name": "sgd"}}

    await bench.run(["/bin/cat", "${args_json_file}"], params=params)

    assert json.loads(await bench.read_output()) == params


async def test_exit_code_comes_with_the_last_line(bench: ProcessBench):
    await bench.run_shell("echo accuracy=0.5; echo 'no such data' >&2; echo; exit 7")

    assert await bench.see_end() == Ending(
        EndingKind.EXITED, exit_code=7, message="no such data", values={"accuracy": 0.5}
    )


async def test_success_has_no_message(bench: ProcessBench):
    await bench.run_shell("echo accuracy=0.5")

    assert await bench.see_end() == Ending(EndingKind.EXITED, exit_code=0, values={"accuracy": 0.5})


async def test_signal_is_told(bench: ProcessBench):
    await bench.run_shell("echo working; kill -9 $$")

    assert await bench.see_end() == Ending(
        EndingKind.EXITED, signal=9, message="working", values={}
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#!/no/such/interpreter\n", "no such program"),
        ("nothing that a kernel knows", "has it a first line"),
    ],
)
async def test_what_cannot_be_executed_says_why(bench: ProcessBench, text: str, message: str):
    (bench.folder / "odd").write_text(text)
    (bench.folder / "odd").chmod(0o755)

    await bench.run(["./odd"])
    ending = await bench.see_end()

    assert ending.kind is EndingKind.NOT_STARTED
    assert ending.message is not None
    assert message in ending.message


async def test_too_many_arguments_are_explained(bench: ProcessBench):
    await bench.run(["/bin/echo", "${args}"], params={"text": "x" * 200_000})

    assert "${args_json_file}" in ((await bench.see_end()).message or "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"program": "gone.py"}, r"gone\.py: no such file"),
        ({"command": ["./plain.sh"]}, r"chmod \+x"),
        ({"program": "plain.sh", "directory": "/gone"}, "/gone is no folder"),
        ({"command": ["/bin/sh", "plain.sh"]}, "--allow-program"),
    ],
)
async def test_refusal_leaves_nothing(
    bench: ProcessBench, arguments: dict[str, object], message: str
):
    (bench.folder / "plain.sh").write_text("exit 0")
    bench.executor = bench.open(allowed=[f"{bench.folder}/*"])

    with pytest.raises(LaunchRefused, match=message):
        await bench.run(arguments.pop("command", None), **arguments)

    assert await bench.executor.list_left_over(()) == []


async def test_running_program_is_not_judged_again(bench: ProcessBench):
    await bench.run(["/bin/cat", "/dev/zero"])

    assert ATTEMPT_ID in await bench.open(allowed=()).launch(bench.launch)


async def test_odd_output_is_read(bench: ProcessBench):
    await bench.run_shell(
        r"printf '10%%\r50%% accuracy=0.5\r'; printf '\377\376\000 accuracy=nan\n'; "
        "printf 'accuracy=0.75'"
    )
    sighting = await bench.see(lambda seen: seen.ending is not None)

    assert [row.step for row in sighting.rows] == [0, 1, 2]
    assert math.isnan(sighting.rows[1].values["accuracy"])
    assert sighting.rows[2] == MetricRow(2, {"accuracy": 0.75})
    assert b"\377\376\000" in sighting.log


async def test_metrics_arrive_while_the_program_runs(bench: ProcessBench):
    await bench.run_shell("echo epoch=4 accuracy=0.5; exec sleep 1000", step_metric="epoch")

    sighting = await bench.see(lambda seen: bool(seen.rows))

    assert sighting.is_running
    assert list(sighting.rows) == [MetricRow(4, {"accuracy": 0.5})]


async def test_flood_loses_no_metric_and_fills_no_disk(bench: ProcessBench):
    await bench.run_python(
        """
        import sys
        noise = b"a line of no interest, and there are many of them\\n" * 20_000
        for step in range(100):
            sys.stdout.buffer.write(b"step=%d accuracy=%d\\n" % (step, step) + noise)
        """
    )
    await bench.see_end()
    watch = Watch(bench.launch, cursor=0, log_offset=0)
    sighting = (await bench.executor.poll([watch]))[ATTEMPT_ID]

    assert [row.step for row in sighting.rows] == list(range(100))
    assert sighting.log_offset > 90_000_000
    assert len(sighting.log) == 64 * 1024
    size = sum(file.stat().st_size for file in bench.attempt.glob("log.*"))
    assert size <= 2 * MAX_FILE_BYTES


async def test_descendants_end_with_the_program(bench: ProcessBench):
    await bench.run_shell(
        """
        sleep 1000 & echo $! > pids
        (trap '' TERM; sleep 1000 & echo $! >> pids; wait) > /dev/null &
        setsid sh -c 'echo $$ >> pids; exec sleep 1000' &
        while [ "$(wc -l < pids)" -lt 3 ]; do :; done
        echo accuracy=1
        """
    )
    ending = await bench.see_end()

    assert (ending.exit_code, ending.values) == (0, {"accuracy": 1.0})
    pids = [int(line) for line in (bench.folder / "pids").read_text().split()]
    assert len(pids) == 3
    assert [pid for pid in pids if is_alive(pid)] == []


@pytest.mark.parametrize("end", [None, *StopKind])
async def test_nested_sessions_end_with_the_program(bench: ProcessBench, end: StopKind | None):
    (bench.folder / "nest.sh").write_text(NEST)
    (bench.folder / "nest.sh").chmod(0o755)
    await bench.run_shell(
        """
        setsid ./nest.sh 4 &
        while [ ! -e nested ]; do sleep 0.02; done
        echo ready
        if [ "$END" = normal ]; then exit 0; fi
        exec sleep 1000
        """,
        environment={"END": end or "normal"},
    )
    await bench.see_line(b"ready")
    if end is not None:
        await bench.stop(end)
    await bench.see_end()

    pids = [int(line) for line in (bench.folder / "pids").read_text().split()]
    assert len(pids) == 10
    assert [pid for pid in pids if is_alive(pid)] == []


async def test_graceful_stop_lets_a_program_save_its_work(bench: ProcessBench):
    await bench.run_shell(
        "trap 'echo accuracy=0.5; exit 0' INT; echo ready; while :; do sleep 0.05; done"
    )
    await bench.see_line(b"ready")

    await bench.stop()

    ending = await bench.see_end()
    assert (ending.kind, ending.exit_code) == (EndingKind.EXITED, 0)
    assert ending.values == {"accuracy": 0.5}


async def test_deaf_program_is_killed(bench: ProcessBench):
    await bench.run_python(IGNORE_SIGNALS, stop_seconds=0.2)
    await bench.see_line(b"ready")

    await bench.stop()

    assert (await bench.see_end()).signal == 9


async def test_second_graceful_stop_does_not_begin_anew(bench: ProcessBench):
    await bench.run_python(IGNORE_SIGNALS, stop_seconds=1000)
    await bench.see_line(b"ready")
    await bench.stop()
    await bench.stop()

    await bench.stop(StopKind.AT_ONCE)

    assert (await bench.see_end()).signal == 9


async def test_frozen_program_can_be_stopped(bench: ProcessBench):
    await bench.run_shell("kill -STOP $$; echo awake")
    pid = bench.read_record("program")["pid"]
    await wait_until(lambda: b" T " in read_process(pid, "stat"))

    await bench.stop()

    assert (await bench.see_end()).signal == 2


async def test_time_limit(bench: ProcessBench):
    await bench.run_python(IGNORE_SIGNALS, timeout_seconds=1, stop_seconds=0)

    ending = await bench.see_end()

    assert (ending.kind, ending.signal) == (EndingKind.TIMED_OUT, 9)
    assert ending.message == "Still running after 1 s (timeout_seconds)."


async def test_stop_before_the_time_limit_is_no_time_out(bench: ProcessBench):
    await bench.run_python(IGNORE_SIGNALS, timeout_seconds=1, stop_seconds=1.2)
    await bench.see_line(b"ready")

    await bench.stop()

    ending = await bench.see_end()
    assert (ending.kind, ending.signal) == (EndingKind.EXITED, 9)
