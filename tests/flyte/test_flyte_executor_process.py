"""The process with flytekit behind a worker's connection: how it starts, dies and is replaced."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.schedulers.executors.base import ErrorKind
from service.schedulers.executors.connection.connection import SystemAway, SystemRefused
from service.schedulers.executors.flyte.api import FlyteApi
from tests.flyte.executor_bench import (
    Bench,
    build_worker_environment,
    list_children,
    open_connection,
    see,
)
from tests.flyte.executor_bench import bench as bench
from tests.this_machine import is_alive

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG_ENOUGH = 30.0

# A worker that waits for the answer to a call.
WORKER = """
import asyncio, os
from service.schedulers.executors.flyte.api import FlyteApi
from tests.flyte.executor_bench import list_children, open_connection

async def main():
    api = FlyteApi(open_connection(os.environ))
    await api.find_console_url()
    print(*list_children(), flush=True)
    await api.find("flytesnacks", "development", ["k3v9x2ab-1-1"])

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _clear(bench: Bench) -> Iterator[None]:
    yield
    bench.clear()


async def test_there_is_one_for_all_calls(bench: Bench) -> None:
    executors = [bench.open_executor() for _ in range(3)]
    launches = [bench.build_launch() for _ in range(9)]
    await asyncio.gather(
        *(executors[index % 3].launch(launch) for index, launch in enumerate(launches))
    )

    assert len(list_children()) == 1


async def test_one_that_was_killed_while_nobody_asked_is_replaced(bench: Bench) -> None:
    executor, launch = bench.open_executor(), bench.build_launch()
    await executor.launch(launch)
    (pid,) = list_children()
    os.kill(pid, signal.SIGKILL)

    await see(executor, launch, lambda seen: seen.is_running)

    (other,) = list_children()
    assert other != pid


async def test_one_that_is_killed_in_a_call_loses_nothing(bench: Bench) -> None:
    executor, launch = bench.open_executor(), bench.build_launch()
    await executor.launch(bench.build_launch())
    (pid,) = list_children()
    bench.admin.hang("CreateExecution", when="after")
    come = bench.admin.calls["CreateExecution"] + 1
    launching = asyncio.create_task(executor.launch(launch))
    await bench.wait_for_calls("CreateExecution", come)
    os.kill(pid, signal.SIGKILL)

    with pytest.raises(SystemAway, match="The process that calls Flyte is gone") as failure:
        await launching
    assert executor.classify(failure.value) is ErrorKind.TRANSIENT
    bench.admin.recover()
    await executor.launch(launch)
    assert len(bench.list_executions(launch)) == 1
    assert len(list_children()) == 1


async def test_flytekit_that_is_missing_is_waited_for(bench: Bench, tmp_path: Path) -> None:
    """As in an environment without it."""
    hidden = tmp_path / "sitecustomize.py"
    hidden.write_text("import sys\nsys.modules['flytekit'] = None\n")
    environment = build_worker_environment(bench.admin, tmp_path)
    connection = open_connection(environment | {"PYTHONPATH": str(tmp_path)}, refused_seconds=0.0)
    executor, launch = bench.open_executor(connection), bench.build_launch()
    try:
        with pytest.raises(SystemRefused) as refusal:
            await executor.launch(launch)
        assert executor.classify(refusal.value) is ErrorKind.TRANSIENT
        assert str(refusal.value) == (
            "The package flytekit is not installed where the worker runs. Install it: "
            "pip install 'asktell-server[flyte]'."
        )
        hidden.unlink()
        await executor.launch(launch)
    finally:
        await connection.close()


async def test_it_ends_with_its_connection(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = set(list_children())
    environment = build_worker_environment(bench.admin, tmp_path)
    connection = open_connection(environment | {"TMPDIR": str(tmp_path)})
    await FlyteApi(connection).find_console_url()
    (pid,) = set(list_children()) - before

    await connection.close()

    assert not is_alive(pid)
    assert os.listdir(tmp_path) == []
    with pytest.raises(SystemAway, match="The worker ends"):
        await FlyteApi(connection).find_console_url()


async def test_it_ends_with_its_worker_even_in_a_call(bench: Bench, tmp_path: Path) -> None:
    environment = build_worker_environment(bench.admin, tmp_path)
    bench.admin.hang("ListExecutions")
    come = bench.admin.calls["ListExecutions"] + 1
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WORKER),
        stdout=subprocess.PIPE,
        env=environment | {"PYTHONPATH": os.getcwd(), "TMPDIR": str(tmp_path)},
    )
    assert worker.stdout is not None
    (pid,) = map(int, (await worker.stdout.readline()).split())
    await bench.wait_for_calls("ListExecutions", come)
    worker.kill()
    await worker.communicate()

    deadline = time.monotonic() + LONG_ENOUGH
    while True:
        if not is_alive(pid):
            break
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert os.listdir(tmp_path) == []
