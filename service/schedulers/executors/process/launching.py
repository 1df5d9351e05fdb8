"""Starts the supervisor of an attempt, and makes sure that it is at work."""

import errno
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


def start_supervisor(
    folder: str,
    environment: Mapping[str, str],
    *,
    start_seconds: float,
    keep: Callable[[int], None],
    probe: Probe,
) -> None:
    """Has the attempt started, by a supervisor of this process or one that was under way.

    Args:
        start_seconds: How long that may take.
        keep: Is told the pid of a child that the caller is to reap some day.

    Raises:
        OSError: It could not be started this time.
    """
    deadline = time.monotonic() + start_seconds
    while not is_settled(folder):
        pid, words = _spawn(folder, environment)
        probe("supervisor-spawned")
        with open(words, "rb") as stream:
            word = _read_word(stream.fileno(), deadline)
        if word == b"":
            _check_left(folder, pid)
            time.sleep(_AGAIN_SECONDS)
            continue
        keep(pid)
        if word is None:
            raise TimeoutError("The supervisor of the attempt did not start in time.")
        return


def explain(error: OSError, folder: str, *, python: str = sys.executable) -> str | None:
    """Says what to do where trying again does not help before a person has done it."""
    match error.errno:
        case errno.ENOENT if not os.path.exists(python):
            return f"{python}, by which the worker runs, is gone. Install it again."
        case errno.ENOSPC | errno.EDQUOT:
            return f"The disk that {folder} is on is full. Make room there."
        case errno.EROFS | errno.EACCES | errno.EPERM | errno.ENOTDIR:
            return f"The worker cannot write to {folder}: {error}. Let it, or give it another one."
        case _:
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


def _read_word(descriptor: int, deadline: float) -> bytes | None:
    """What a supervisor says: nothing if it left, None if it did not come that far in time."""
    if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
        return None
    return os.read(descriptor, 16)


def _check_left(folder: str, pid: int) -> None:
    """One that was not needed leaves; another has the lock, and will have started in a moment."""
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != LEFT:
        lines = folders.read_text(folder, folders.SUPERVISOR_ERRORS).splitlines() or ["no message"]
        raise OSError(f"The supervisor of the attempt ended with status {status}: {lines[-1]}")
