"""Keeps optuna-dashboard running beside the API, from the first visit to the end of the service."""

import asyncio
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from service.kept_running import KeptRunning

_STOP_SECONDS = 5.0
_STANDARD_ERROR = 2


class DashboardProcess:
    """optuna-dashboard in a child process that listens on a private unix socket.

    Nothing runs until `ensure_running`; from then on a child that ends is started again, after a
    pause that doubles while children die young. All methods belong to one event loop.

    Args:
        database_url: SQLAlchemy URL of a database that has Optuna's tables.
    """

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._folder = Path(tempfile.gettempdir()) / f"asktell-dashboard-{os.urandom(6).hex()}"
        self._kept = KeptRunning("dashboard", self._run_once)

    @property
    def socket(self) -> Path:
        """Where the child listens once it is up; short enough for a unix socket."""
        return self._folder / "http"

    def ensure_running(self) -> None:
        """Starts the child if nobody has; returns at once, seconds before it listens."""
        self._kept.start()

    async def stop(self) -> None:
        """Ends the child, if there is one, and waits for it; idempotent."""
        await self._kept.stop()

    async def _run_once(self) -> int:
        with _private_folder(self._folder):
            child = await self._launch()
            try:
                return await child.wait()
            finally:
                await _end(child)

    async def _launch(self) -> Process:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "service.web.dashboard_process"),
            *("--socket", str(self.socket)),
            stdin=PIPE,
            stdout=_STANDARD_ERROR,
            env=_environment_without_settings(),
            start_new_session=True,
        )
        assert child.stdin is not None
        child.stdin.write(f"{self._database_url}\n".encode())
        return child


@contextmanager
def _private_folder(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _end(child: Process) -> None:
    assert child.stdin is not None
    child.stdin.close()
    try:
        await asyncio.wait_for(child.wait(), _STOP_SECONDS)
    except TimeoutError:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def _environment_without_settings() -> dict[str, str]:
    """The service's settings hold secrets that a reader of the database has no use for."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ASKTELL_")}
