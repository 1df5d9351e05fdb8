"""A real server process, one of several perhaps on a database: started, frozen, killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.storage.database import Database

TOKEN = "a-token-for-tests"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
_START_SECONDS = 240.0


class ServerProcess:
    """`asktell serve` on a migrated database; may be started again once it has ended.

    Args:
        data_dir: Of this server alone.
        module: What to run; it is started like `asktell`.
        settings: Environment variables besides, or instead of, those that all such servers have.
    """

    def __init__(
        self,
        database: Database,
        data_dir: Path,
        *,
        module: str = "service.cli.main",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._database = database
        self._data_dir = data_dir
        self._module = module
        self._settings = settings or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the server listens, or did until it was killed; another one after each start."""
        return self._address_file.read_text().strip()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Returns once the server answers."""
        self.launch()
        self.wait_ready()

    def launch(self, *arguments: str) -> None:
        self._data_dir.mkdir(exist_ok=True)
        self._address_file.unlink(missing_ok=True)
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, *(arguments or ("serve",))],
                env=self._environment(),
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def wait_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while not self._address_file.exists():
            assert self._process.poll() is None, self._log_file.read_text()
            assert time.monotonic() < deadline, "the server did not become ready"
            time.sleep(0.05)

    def kill(self) -> None:
        self._send(signal.SIGKILL)
        self._wait()

    def freeze(self) -> None:
        """Stops it in its tracks; its sockets stay open, and nothing reads them."""
        assert self._process is not None
        self._send(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self._send(signal.SIGTERM)
            self._wait()

    def read_errors(self) -> list[dict[str, Any]]:
        """The lines of its log that tell of a defect."""
        # What is not JSON is a warning of Python's.
        lines = [line for line in self._log_file.read_text().splitlines() if line[0] == "{"]
        return [line for line in map(json.loads, lines) if line["level"] in ("error", "critical")]

    @property
    def _address_file(self) -> Path:
        return self._data_dir / "address"

    @property
    def _log_file(self) -> Path:
        return self._data_dir / "log"

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _wait(self) -> None:
        assert self._process is not None
        self._process.wait()

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "ASKTELL_DATABASE_URL": self._database.url,
            "ASKTELL_DATA_DIR": str(self._data_dir),
            "ASKTELL_PORT": "0",
            "ASKTELL_TOKEN": TOKEN,
            "ASKTELL_DASHBOARD": "false",
            "ASKTELL_LOG_FORMAT": "json",
            **self._settings,
        }


@contextmanager
def running(*servers: ServerProcess) -> Iterator[None]:
    """Starts servers, at once, and stops what is left of them."""
    try:
        for server in servers:
            server.launch()
        for server in servers:
            server.wait_ready()
        yield
    finally:
        for server in servers:
            server.stop()
