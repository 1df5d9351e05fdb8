"""One attempt is one run, and its end is right on W&B, whatever is killed when."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.domain.attempts import EndingKind
from service.schedulers.executors.base import Launch, StopKind
from tests.integration.process_bench import wait_until
from tests.integration.wandb_bench import ATTEMPT_ID, PATH, WandbBench
from tests.memory_wandb import MemoryRun

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[WandbBench]:
    bench = WandbBench(tmp_path)
    yield bench
    bench.close()


def start_owner(bench: WandbBench, point: str, *orders: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.wandb_owner", bench.folder, point, *orders],
        start_new_session=True,
    )


async def wait_for_death(owner: subprocess.Popen[bytes]) -> None:
    assert await asyncio.to_thread(owner.wait) == -signal.SIGKILL


async def see_repaired(bench: WandbBench, run: MemoryRun) -> None:
    with bench.tending():
        await wait_until(lambda: run.state != "running" and bench.list_repairs() == [])


@pytest.mark.parametrize("point", ["recording-decided", "supervisor-spawned", "started"])
async def test_killed_worker_leaves_one_run(bench: WandbBench, point: str):
    await wait_for_death(start_owner(bench, point))
    # What was decided when it answered stays decided.
    bench.wandb.is_away = True

    run = await bench.start()
    assert bench.read_environment()["WANDB_MODE"] == "online"
    ending = await bench.kill()
    await bench.forget()
    bench.wandb.is_away = False
    await see_repaired(bench, run)

    assert (ending.signal, run.state) == (9, "failed")
    assert bench.count_executions() == 1
    assert list(bench.wandb.runs) == [PATH]


async def test_nothing_is_decided_before_the_folder_is_made(bench: WandbBench):
    await wait_for_death(start_owner(bench, "folder-made"))
    bench.wandb.is_away = True

    await bench.start()

    assert bench.read_environment()["WANDB_MODE"] == "offline"
    assert bench.count_executions() == 1


@pytest.mark.parametrize("point", ["repair-noted", "runs-kept", "folder-renamed"])
async def test_worker_killed_at_the_end_leaves_a_right_end(bench: WandbBench, point: str):
    owner = start_owner(bench, point)
    await wait_until((bench.attempt / "program").exists)
    bench.log.log({"loss": 0.5}, step=0)
    os.kill(int(bench.read_record("program")["pid"]), signal.SIGKILL)
    await wait_for_death(owner)
    run = bench.wandb.runs[PATH] = MemoryRun()

    for attempt_id in await bench.executor.list_left_over(()):
        await bench.executor.stop(Launch(attempt_id), StopKind.AT_ONCE)
        await bench.executor.forget(Launch(attempt_id))
    await see_repaired(bench, run)

    assert run.state == "failed"
    assert bench.list_kept() == [f"run-20260102_030405-{ATTEMPT_ID}"]
    assert not bench.attempt.exists()


@pytest.mark.parametrize("point", ["stopping", "flagged"])
async def test_worker_killed_while_it_stops_is_no_person(bench: WandbBench, point: str):
    owner = start_owner(bench, point, "stop")
    await wait_until((bench.attempt / "program").exists)
    bench.log.begin()
    await wait_for_death(owner)
    run = bench.wandb.runs[PATH] = MemoryRun(is_stopped=point == "flagged")

    # As W&B does it with a run that is flagged.
    os.kill(int(bench.read_record("program")["pid"]), signal.SIGINT)
    ending = await bench.see_end()
    await bench.forget()
    await see_repaired(bench, run)

    assert (ending.kind, run.state) == (EndingKind.EXITED, "killed")
