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
import typer

from service.cli.data_dir import find_address, find_token, make_data_dir
from service.cli.failures import CannotStart

# -P: a folder named service in the current one must not hide ours.
ASKTELL = (sys.executable, "-P", "-m", "service.cli.main")

_STOP_SECONDS = 40
_READY_SECONDS = 5
_SHOWN_LINES = 20


class DemoInterrupted(Exception):
    """Somebody asked the demo to stop."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service that answers."""

    data_dir: Path
    address: str
    token: str


@contextmanager
def open_service(data_dir: Path, stop: threading.Event) -> Iterator[Service]:
    """The service on `data_dir`: the one that runs there already, else one of our own.

    Raises:
        CannotStart: It does not start; its last words are told.
        DemoInterrupted: `stop` was set meanwhile.
    """
    running = _find_running_service(data_dir)
    if running is not None:
        yield running
        return
    typer.echo("Starting the service ...")
    process = _start_service(data_dir)
    try:
        yield _wait_until_ready(data_dir, process, stop)
    finally:
        _stop_service(process)


def _find_running_service(data_dir: Path) -> Service | None:
    address, token = find_address(data_dir), find_token(data_dir)
    if address is None or token is None:
        return None
    try:
        answer = httpx.get(f"{address}/readyz", timeout=_READY_SECONDS, trust_env=False)
    except httpx.HTTPError:
        return None
    return Service(data_dir, address, token) if answer.is_success else None


def _start_service(data_dir: Path) -> subprocess.Popen[bytes]:
    """Starts it in a session of its own: Ctrl-C in the terminal is the demo's business."""
    log = _find_log(data_dir)
    # Its log, which is opened before it starts, holds a login link.
    make_data_dir(data_dir)
    log.parent.mkdir(mode=0o700, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 (our own program)
            [*ASKTELL, "serve", "--port", "0", "--data-dir", data_dir],
            env=_build_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _build_environment(inherited: Mapping[str, str]) -> dict[str, str]:
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


def _wait_until_ready(
    data_dir: Path, process: subprocess.Popen[bytes], stop: threading.Event
) -> Service:
    while True:
        service = _find_running_service(data_dir)
        if service is not None:
            return service
        if process.poll() is not None:
            raise CannotStart(f"The service did not start:\n{_read_last_lines(data_dir)}")
        if stop.wait(0.2):
            raise DemoInterrupted


def _stop_service(process: subprocess.Popen[bytes]) -> None:
    """Lets it end what runs, and kills it when that takes too long."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _find_log(data_dir: Path) -> Path:
    return data_dir / "demo" / "service.log"


def _read_last_lines(data_dir: Path) -> str:
    lines = _find_log(data_dir).read_text(errors="replace").splitlines()
    return "\n".join(lines[-_SHOWN_LINES:])
