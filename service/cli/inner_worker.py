"""Keeps a worker running inside the server, as long as that serves."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import structlog
from asktell._settings import is_loopback_host

from service.kept_running import KeptRunning
from service.settings import Settings, WorkerSettings

# By default a program is asked to end, told after 15 s, and killed 5 s later.
_PROGRAM_SECONDS = 20.0
_GONE_SECONDS = 5.0
_STANDARD_ERROR = 2

_log = structlog.get_logger(__name__)


class InnerWorker:
    """A worker in a child process; one that ends by itself is started again.

    All methods belong to one event loop. Use as an async context manager, or call `stop`.

    Args:
        decided: What the child is told, see `decide`.
        stop_seconds: How long it may take to end what it runs.
    """

    def __init__(self, decided: dict[str, Any], *, stop_seconds: float) -> None:
        self._decided = decided
        self._stop_seconds = stop_seconds
        self._kept = KeptRunning("worker", self._run_once)

    def start(self) -> None:
        """Starts it, unless there is to be none; returns at once."""
        if self._decided["slots"] != 0:
            self._kept.start()

    async def stop(self) -> None:
        """Has it end what it runs, tell the server, and leave; idempotent."""
        await self._kept.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _run_once(self) -> int:
        child = await self._launch()
        try:
            return await child.wait()
        finally:
            await self._end(child)

    async def _launch(self) -> Process:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "service.cli.inner_worker_process"),
            stdin=PIPE,
            stdout=_STANDARD_ERROR,
            env=_environment_without_secrets(),
            # Ctrl-C is for the server, which tells the worker while it still serves.
            start_new_session=True,
        )
        assert child.stdin is not None
        child.stdin.write(f"{json.dumps(self._decided)}\n".encode())
        return child

    async def _end(self, child: Process) -> None:
        if child.returncode is not None:
            return
        with suppress(ProcessLookupError):
            child.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), self._stop_seconds)
            return
        _log.warning("worker.left_behind", after_seconds=self._stop_seconds)
        await _leave_behind(child)


def build_inner_worker(
    settings: Settings, worker_settings: WorkerSettings, *, url: str, token: str
) -> InnerWorker:
    """The worker of a server with these settings, to be started once that serves."""
    return InnerWorker(
        decide(settings, worker_settings, url=url, token=token),
        stop_seconds=settings.shutdown_seconds + _PROGRAM_SECONDS,
    )


def decide(
    settings: Settings, worker_settings: WorkerSettings, *, url: str, token: str
) -> dict[str, Any]:
    """What the worker inside a server is told, beside what its own settings say.

    Any program may run as long as the server is for its own user: with a database and an address
    of this machine alone, and no name by which a proxy or a tunnel would bring others here. Whoever
    has a token of scope user can then start programs as the server's user. Everywhere else only
    what the operator has named may run.
    """
    allowed = worker_settings.allow_programs
    is_private = (
        settings.database_url is None
        and is_loopback_host(settings.host)
        and not settings.allowed_hosts
    )
    workdir = worker_settings.workdir or settings.data_dir / "inner-worker"
    return {
        "url": url,
        "token": token,
        "slots": settings.worker,
        "workdir": str(workdir),
        "allow_programs": list(allowed or (("*",) if is_private else (f"{workdir}/*",))),
    }


async def _leave_behind(child: Process) -> None:
    """What it runs goes on, and is taken over by the worker of the next start."""
    assert child.stdin is not None
    child.stdin.close()
    try:
        await asyncio.wait_for(child.wait(), _GONE_SECONDS)
    except TimeoutError:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def _environment_without_secrets() -> dict[str, str]:
    """What the server's database and its token are, the worker need not know."""
    secrets = [
        f"ASKTELL_{name}{suffix}" for name in ("TOKEN", "DATABASE_URL") for suffix in ("", "_FILE")
    ]
    return {name: value for name, value in os.environ.items() if name not in secrets}
