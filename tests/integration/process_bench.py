"""Attempts as real processes, and what tests look at from outside of them."""

import asyncio
import json
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from service.domain.attempts import Ending
from service.schedulers.executors.base import Launch, Sighting, StopKind, Watch
from service.schedulers.executors.process.executor import ProcessExecutor, ProcessSettings, no_probe
from service.schedulers.executors.process.launching import Probe
from service.schedulers.executors.process.marks import kill_marked
from service.schedulers.executors.process.processes import list_processes
from tests.contracts.executor_contract import watch_until

ATTEMPT_ID = "k3v9x2ab-0-1"
DEADLINE_SECONDS = 30.0


class ProcessBench:
    """A worker's folder with one program, and an executor on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.attempt = folder / "attempts" / ATTEMPT_ID
        self.executions = folder / "executions"
        self.executor = self.open()
        self.launch = Launch(ATTEMPT_ID)

    def open(
        self,
        *,
        allowed: Sequence[str] = ("*",),
        start_seconds: float = 20.0,
        probe: Probe = no_probe,
    ) -> ProcessExecutor:
        """Returns the executor of another life of the worker."""
        settings = ProcessSettings(
            workdir=self.folder,
            host="here",
            allowed=allowed,
            environment=os.environ,
            interpreter=sys.executable,
            kill_seconds=0.2,
            start_seconds=start_seconds,
        )
        return ProcessExecutor(settings, probe=probe)

    async def run_python(self, source: str, **options: Any) -> None:
        """Launches a Python program; it begins with a line in the file of executions."""
        begin = f"open({str(self.executions)!r}, 'a').write('x')\n"
        (self.folder / "program.py").write_text(begin + textwrap.dedent(source))
        await self.run(None, program="program.py", **options)

    async def run_shell(self, source: str, **options: Any) -> None:
        """Launches a shell script."""
        script = self.folder / "program.sh"
        script.write_text(f"#!/bin/sh\n{textwrap.dedent(source)}")
        script.chmod(0o755)
        await self.run(["./program.sh"], **options)

    async def run(
        self,
        command: Sequence[str] | None,
        *,
        params: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        metrics: tuple[str, ...] = ("accuracy",),
        **arguments: Any,
    ) -> None:
        arguments = {"command": command, **arguments}
        self.launch = Launch(
            ATTEMPT_ID,
            params=params or {},
            metrics=metrics,
            arguments=arguments,
            environment=environment or {},
        )
        await self.executor.launch(self.launch)

    async def see(self, condition: Callable[[Sighting], bool]) -> Sighting:
        return await watch_until(self.executor, Watch(self.launch), condition)

    async def see_line(self, text: bytes) -> None:
        await self.see(lambda seen: text in seen.log)

    async def see_end(self) -> Ending:
        ending = (await self.see(lambda seen: seen.ending is not None)).ending
        assert ending is not None
        return ending

    async def read_output(self) -> str:
        """Returns all that the program printed, once it has ended."""
        return (await self.see(lambda seen: seen.ending is not None)).log.decode()

    async def stop(self, kind: StopKind = StopKind.GRACEFUL) -> None:
        await self.executor.stop(Launch(ATTEMPT_ID), kind)

    def read_record(self, name: str) -> dict[str, Any]:
        record = json.loads((self.attempt / name).read_text())
        assert isinstance(record, dict)
        return record

    def list_pids(self) -> list[int]:
        """Returns the living processes of the attempt's session, the supervisor's included."""
        session = self.read_record("started")["session"]
        return [
            process.pid
            for process in list_processes()
            if process.session == session and process.state != "Z"
        ]

    def count_executions(self) -> int:
        return len(self.executions.read_text()) if self.executions.exists() else 0

    def kill_supervisor(self) -> None:
        os.kill(self.read_record("started")["session"], signal.SIGKILL)

    def close(self) -> None:
        """Ends whatever the test has left."""
        kill_marked(str(self.attempt))


async def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def read_process(pid: int, name: str) -> bytes:
    """Returns a file of a process from /proc."""
    return Path(f"/proc/{pid}/{name}").read_bytes()
