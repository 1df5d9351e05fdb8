"""A child process that is started again when it ends."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from service.cli.inner_worker import InnerWorker
from service.kept_running import KeptRunning
from tests.unit.worker_use import until

pytestmark = pytest.mark.timeout(20)


class Child:
    """Ends as the test says, each time that it is run."""

    def __init__(self, *ends: Callable[[], int]) -> None:
        self.runs = 0
        self.was_ended = False
        self._ends = list(ends)

    async def run_once(self) -> int:
        self.runs += 1
        if self._ends:
            return self._ends.pop(0)()
        try:
            await asyncio.Event().wait()
        finally:
            self.was_ended = True
        return 0


def fail() -> int:
    raise OSError("Cannot allocate memory")


async def test_what_ends_or_cannot_start_is_started_again() -> None:
    child = Child(lambda: 3, fail)
    kept = KeptRunning("worker", child.run_once, first_pause_seconds=0.001)
    with structlog.testing.capture_logs() as lines:
        kept.start()
        await until(lambda: child.runs == 3)
        kept.start()
        await kept.stop()
        await kept.stop()
    assert child.was_ended
    assert child.runs == 3
    assert [(line["event"], line.get("exit_code"), line.get("reason")) for line in lines] == [
        ("worker.exited", 3, None),
        ("worker.exited", None, "Cannot allocate memory"),
    ]
    assert lines[1]["restart_in_seconds"] == 2 * lines[0]["restart_in_seconds"]


async def test_one_that_cannot_be_ended_does_not_keep_it_running() -> None:
    is_running = asyncio.Event()

    async def run_once() -> int:
        is_running.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise ProcessLookupError("No such process")

    kept = KeptRunning("worker", run_once)
    kept.start()
    await is_running.wait()
    await kept.stop()


async def test_a_server_can_stop_a_worker_that_it_cannot_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    worker = InnerWorker({"slots": 1}, stop_seconds=1)
    with structlog.testing.capture_logs() as lines:
        worker.start()
        await until(lambda: bool(lines))
        await worker.stop()
    assert "/nowhere/python" in lines[0]["reason"]


async def test_nothing_is_imported_from_the_folder_that_the_server_runs_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "json.py").write_text("import os; os._exit(77)")
    monkeypatch.chdir(tmp_path)
    worker = InnerWorker({"slots": 1}, stop_seconds=1)
    with structlog.testing.capture_logs() as lines:
        worker.start()
        await until(lambda: bool(lines))
        await worker.stop()
    # It was not told enough.
    assert lines[0]["exit_code"] == 1
