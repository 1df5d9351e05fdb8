"""Attempts as real processes that seem to be runs, and W&B in memory."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.domain.attempts import Ending
from service.schedulers.executors.base import Launch, Sighting, StopKind, Watch
from service.schedulers.executors.process.executor import (
    ATTEMPTS_OF_RUNS,
    ProcessExecutor,
    ProcessSettings,
    no_probe,
)
from service.schedulers.executors.process.launching import Probe
from service.schedulers.executors.process.marks import kill_marked
from service.schedulers.executors.wandb.local.executor import WandbExecutor, WandbSettings
from service.schedulers.executors.wandb.runs.run_api import WandbApi
from tests.contracts.executor_contract import watch_until
from tests.memory_wandb import MemoryRun, MemoryWandb
from tests.run_logs import RunLogWriter

ATTEMPT_ID = "k3v9x2ab-0-1"
PATH = f"acme/mnist/{ATTEMPT_ID}"

# Says what it was started with, and ends with what is in the file `go` once there is one. The last
# line is wandb's.
_PROGRAM = """#!/bin/sh
printf x >> executions
env > environment
echo last words
while [ ! -s go ]; do sleep 0.02; done
printf '\\033[1;34mwandb\\033[0m: Find logs at: \\033[1;35mruns\\033[0m\\n'
exit "$(cat go)"
"""


def write_program(folder: Path) -> None:
    script = folder / "program.sh"
    script.write_text(_PROGRAM)
    script.chmod(0o755)


def build_launch(**arguments: Any) -> Launch:
    """Returns the launch of the only attempt, with all the arguments that a sweep has."""
    usual = {
        "program": None,
        "command": ["./program.sh"],
        "directory": None,
        "timeout_seconds": None,
        "stop_seconds": None,
        "step_metric": None,
        "value": "last",
        "project": "mnist",
        "entity": None,
        "mode": "online",
        "group": None,
        "job_type": None,
        "tags": [],
        "sweep": False,
    }
    return Launch(
        ATTEMPT_ID,
        run_id=ATTEMPT_ID,
        study="digits",
        trial=0,
        attempt=1,
        params={"lr": 0.1},
        metrics=("loss",),
        directions=("minimize",),
        arguments=usual | arguments,
    )


def open_executor(
    folder: Path,
    api: WandbApi,
    *,
    probe: Probe = no_probe,
    was_preempted: Callable[[str], bool] = lambda _: False,
    question_seconds: float = 30.0,
    throttled_seconds: float = 180.0,
) -> WandbExecutor:
    """Returns the executor of another life of the worker."""
    processes = ProcessExecutor(
        ProcessSettings(
            workdir=folder,
            host="here",
            allowed=["*"],
            environment=os.environ,
            kill_seconds=0.2,
            attempts=ATTEMPTS_OF_RUNS,
        ),
        probe=probe,
    )
    settings = WandbSettings(
        folder,
        {},
        was_preempted=was_preempted,
        upload_seconds=0.1,
        question_seconds=question_seconds,
        throttled_seconds=throttled_seconds,
    )
    return WandbExecutor(processes, api, settings, probe=probe)


class WandbBench:
    """A worker's folder with one program, an executor on it, and W&B.

    Attributes:
        log: Of the attempt's run.
        preempted: Attempts that the worker itself ends.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wandb = MemoryWandb()
        self.preempted: set[str] = set()
        self.executor = self.open()
        self.launch = build_launch()
        self.attempt = folder / ATTEMPTS_OF_RUNS / ATTEMPT_ID
        self.log = RunLogWriter(self.attempt / "runs", ATTEMPT_ID, is_online=True)
        write_program(folder)

    def open(self, *, probe: Probe = no_probe, question_seconds: float = 30.0) -> WandbExecutor:
        return open_executor(
            self.folder,
            self.wandb.api,
            probe=probe,
            was_preempted=lambda attempt_id: attempt_id in self.preempted,
            question_seconds=question_seconds,
        )

    async def start(self, **arguments: Any) -> MemoryRun:
        """Launches the attempt and has its program begin a run; returns that run at W&B."""
        self.launch = build_launch(**arguments)
        await self.executor.launch(self.launch)
        await self.see(lambda seen: b"last words" in seen.log)
        is_online = self.read_environment()["WANDB_MODE"] == "online"
        self.log = RunLogWriter(self.attempt / "runs", ATTEMPT_ID, is_online=is_online)
        self.log.begin()
        return self.wandb.runs.setdefault(PATH, MemoryRun()) if is_online else MemoryRun()

    def exit(self, code: int) -> None:
        """Has the program end."""
        (self.folder / "go").write_text(str(code))

    async def see(self, condition: Callable[[Sighting], bool]) -> Sighting:
        return await watch_until(self.executor, Watch(self.launch), condition)

    async def see_end(self) -> Ending:
        ending = (await self.see(lambda seen: seen.ending is not None)).ending
        assert ending is not None
        return ending

    async def kill(self) -> Ending:
        """Has the program killed by somebody, as by a machine that is short of memory."""
        pid = int(self.read_record("program")["pid"])
        os.kill(pid, 9)
        return await self.see_end()

    async def forget(self) -> None:
        await self.executor.forget(self.launch)

    async def stop(self, kind: StopKind = StopKind.GRACEFUL) -> None:
        await self.executor.stop(self.launch, kind)

    @contextmanager
    def tending(self) -> Iterator[None]:
        task = asyncio.create_task(self.executor.tend())
        try:
            yield
        finally:
            task.cancel()

    def read_environment(self) -> dict[str, str]:
        """What the program was started with."""
        lines = (self.folder / "environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def read_record(self, name: str) -> dict[str, Any]:
        record = json.loads((self.attempt / name).read_text())
        assert isinstance(record, dict)
        return record

    def list_kept(self) -> list[str]:
        """Returns the runs that are kept for `wandb sync`."""
        return sorted(path.name for path in self.folder.glob("wandb/*"))

    def list_repairs(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("wandb-repairs/*"))

    def count_executions(self) -> int:
        executions = self.folder / "executions"
        return len(executions.read_text()) if executions.exists() else 0

    def close(self) -> None:
        """Ends whatever the test has left."""
        for attempt in self.attempt.parent.glob("*-*-*"):
            kill_marked(str(attempt))
