"""Child processes of the demo: started apart from the terminal, stopped with a deadline."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class DemoFailed(Exception):
    """The demo cannot go on; the message says why."""


class DemoInterrupted(Exception):
    """Somebody asked the demo to stop."""


def start_process(
    command: Sequence[str | Path], log: Path, *, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a program that writes to `log`.

    It gets a session of its own: Ctrl-C in the terminal reaches the demo alone, which then stops
    training before it stops the service. Settings of another Asktell do not reach it.
    """
    inherited = {name: value for name, value in os.environ.items() if "ASKTELL_" not in name}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            env={**inherited, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop_processes(
    processes: Sequence[subprocess.Popen[bytes]], number: signal.Signals, *, grace_seconds: float
) -> None:
    """Send a signal to those that run, and kill those that have not ended in time."""
    running = [process for process in processes if process.poll() is None]
    for process in running:
        process.send_signal(number)
    for process in running:
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def read_last_lines(log: Path, count: int = 20) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
