"""Starts the supervisor of an attempt, and makes sure that it is at work."""

import os
import select
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from service.schedulers.executors.process import folders
from service.schedulers.executors.process.supervisor import BLOCKED, LEFT

Probe = Callable[[str], None]
"""Called at named points; lets a test kill the process just there."""

_DEADLINE_SECONDS = 20.0
_AGAIN_SECONDS = 0.02
# Only our own packages and the standard library; -I and -S keep everything else out.
_PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from service.schedulers.executors.process.supervisor import main; main(sys.argv[2])"
)
_PACKAGES = str(Path(__file__).resolve().parents[4])


def is_settled(folder: str) -> bool:
    """Tells whether the attempt was started, or never will be."""
    return folders.has(folder, folders.STARTED) or folders.has(folder, folders.EXIT)


def start_supervisor(folder: str, environment: Mapping[str, str], probe: Probe) -> int | None:
    """Has the attempt started, by a supervisor of this process or one that was under way.

    Returns:
        The pid of a child that the caller is to reap some day, if it is one.

    Raises:
        OSError: It could not be started this time.
    """
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not is_settled(folder):
        pid, words = _spawn(folder, environment)
        probe("supervisor-spawned")
        with open(words, "rb") as stream:
            is_ok = _read_word(stream.fileno(), deadline) == b"ok"
        if is_ok:
            return pid
        _check_left(folder, pid)
        time.sleep(_AGAIN_SECONDS)
    return None


def _spawn(folder: str, environment: Mapping[str, str]) -> tuple[int, int]:
    words, words_end = os.pipe()
    errors = os.path.join(folder, folders.SUPERVISOR_ERRORS)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-c", _PROGRAM, _PACKAGES, folder],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, words_end, 1),
                (os.POSIX_SPAWN_OPEN, 2, errors, flags, 0o600),
            ],
            # Until it has a session of its own, what a terminal sends the worker reaches it too.
            setsigmask=BLOCKED,
            setsigdef=BLOCKED,
        )
    except BaseException:
        os.close(words)
        raise
    finally:
        os.close(words_end)
    return pid, words


def _read_word(descriptor: int, deadline: float) -> bytes:
    if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
        raise TimeoutError("The supervisor of the attempt did not start in time.")
    return os.read(descriptor, 16)


def _check_left(folder: str, pid: int) -> None:
    """One that was not needed leaves; another has the lock, and will have started in a moment."""
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != LEFT:
        lines = folders.read_text(folder, folders.SUPERVISOR_ERRORS).splitlines() or ["no message"]
        raise OSError(f"The supervisor of the attempt ended with status {status}: {lines[-1]}")
