"""The Asktell service that the demo talks to: one that runs already, or one of its own."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ASKTELL = (sys.executable, "-m", "service.cli.main")
STOP_SECONDS = 40


class DemoFailed(Exception):
    """The demo cannot go on; the message says why."""


class DemoInterrupted(Exception):
    """Somebody asked the demo to stop."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service that answers; `process` is None when somebody else started it."""

    data_dir: Path
    address: str
    token: str
    process: subprocess.Popen[bytes] | None

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
    process = start_service(data_dir)
    try:
        yield wait_until_ready(data_dir, process, stop)
    finally:
        stop_service(process)


def start_service(data_dir: Path) -> subprocess.Popen[bytes]:
    """Starts it in a session of its own: Ctrl-C in the terminal is the demo's business."""
    log = find_log(data_dir)
    # Its log, which is opened before it starts, holds a login link.
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            [*ASKTELL, "serve", "--port", "0", "--data-dir", data_dir],
            env=build_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def build_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """An environment without the settings of another Asktell.

    Programs run with this very Python, where scikit-learn is, whatever environment is active; and
    one thread each is enough where all processors have a program.
    """
    others = ("VIRTUAL_ENV", "CONDA_PREFIX")
    kept = {
        name: value
        for name, value in inherited.items()
        if "ASKTELL_" not in name and name not in others
    }
    return {**kept, "OMP_NUM_THREADS": "1"}


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
            raise DemoFailed(f"The service did not start:\n{read_last_lines(find_log(data_dir))}")
        if stop.wait(0.2):
            raise DemoInterrupted


def stop_service(process: subprocess.Popen[bytes]) -> None:
    """Lets it end what runs, and kills it when that takes too long."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def find_log(data_dir: Path) -> Path:
    return data_dir / "demo" / "service.log"


def read_last_lines(log: Path, count: int = 20) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
