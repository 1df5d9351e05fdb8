"""The Asktell service that the demo talks to."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from processes import DemoFailed, DemoInterrupted, read_last_lines, start_process, stop_processes

ASKTELL = (sys.executable, "-m", "service.cli.main")


@dataclass(frozen=True, slots=True)
class Service:
    """A service that answers; `process` is None when somebody else started it."""

    data_dir: Path
    address: str
    token: str
    process: subprocess.Popen[bytes] | None

    def check_alive(self) -> None:
        """Raises DemoFailed with the end of its log when the service has gone."""
        if self.process is not None and self.process.poll() is not None:
            raise DemoFailed(f"The service stopped:\n{read_last_lines(find_log(self.data_dir))}")

    def make_login_link(self) -> str:
        answer = httpx.post(
            f"{self.address}/login-links",
            headers={"Authorization": f"Bearer {self.token}"},
            trust_env=False,
        )
        answer.raise_for_status()
        return str(answer.json()["url"])


@contextmanager
def open_service(data_dir: Path, stop: threading.Event) -> Iterator[Service]:
    """The service on `data_dir`: the one that runs there already, else one of our own."""
    running = find_running_service(data_dir)
    if running is not None:
        yield running
        return
    print("Starting the service ...", flush=True)
    # Its log, which is opened before it starts, holds a login link.
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    process = start_process(
        [*ASKTELL, "serve", "--port", "0", "--data-dir", data_dir],
        find_log(data_dir),
        environment={},
    )
    try:
        yield wait_until_ready(data_dir, process, stop)
    finally:
        stop_processes([process], signal.SIGTERM, grace_seconds=20)


def find_running_service(
    data_dir: Path, process: subprocess.Popen[bytes] | None = None
) -> Service | None:
    try:
        address = (data_dir / "address").read_text().strip()
        token = (data_dir / "token").read_text().strip()
        ready = httpx.get(f"{address}/readyz", timeout=5, trust_env=False).status_code == 200
    except (OSError, httpx.HTTPError):
        return None
    return Service(data_dir, address, token, process) if ready else None


def wait_until_ready(
    data_dir: Path, process: subprocess.Popen[bytes], stop: threading.Event
) -> Service:
    while True:
        service = find_running_service(data_dir, process)
        if service is not None:
            return service
        if process.poll() is not None:
            log = read_last_lines(find_log(data_dir))
            raise DemoFailed(f"The service did not start:\n{log}")
        if stop.wait(0.2):
            raise DemoInterrupted


def find_log(data_dir: Path) -> Path:
    return data_dir / "demo" / "service.log"
