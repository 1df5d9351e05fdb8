"""How the processes of an attempt are found, whatever became of their parents and sessions."""

import hashlib
import os
import signal
import time
from contextlib import suppress

from service.schedulers.executors.process.processes import (
    NO_ENVIRONMENT,
    has_memory,
    list_processes,
    read_environment,
)

MARK = "ASKTELL_PROCESS_MARK"
"""Variable that all processes of an attempt have in their environment."""

_ROUNDS = 10
_LOOKS = 10
_LOOK_AGAIN_SECONDS = 0.001


def build_mark(folder: str) -> str:
    """Returns what tells the processes of one attempt from all others.

    Not the path itself: programs would find the way to files that are not theirs.
    """
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]


def kill_marked(folder: str) -> bool:
    """Kills what carries the mark of an attempt.

    Numbers of processes and sessions are used again, marks are not.

    Returns:
        Whether there was anything. Nothing is found where there is no /proc.
    """
    mark = os.fsencode(f"{MARK}={build_mark(folder)}")
    killed: set[int] = set()
    for _ in range(_ROUNDS):
        # Those seen last may have started others before they died.
        new = set(_list_marked(mark)) - killed
        if not new:
            break
        for pid in new:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed |= new
    return bool(killed)


def _list_marked(mark: bytes) -> list[int]:
    return [
        process.pid
        for process in list_processes()
        if process.state != "Z" and mark in _read_settled_environment(process.pid)
    ]


def _read_settled_environment(pid: int) -> list[bytes]:
    """As `read_environment`; a process that is about to become another program shows none."""
    for _ in range(_LOOKS):
        environment = read_environment(pid)
        if environment != NO_ENVIRONMENT or not has_memory(pid):
            return environment
        time.sleep(_LOOK_AGAIN_SECONDS)
    return environment


def list_open_files(suffix: str) -> dict[str, list[str]]:
    """Returns the files with such an end of their names that attempts have open, by their marks.

    Nothing is found where there is no /proc.
    """
    found: dict[str, list[str]] = {}
    beginning = os.fsencode(f"{MARK}=")
    for process in list_processes():
        for variable in read_environment(process.pid):
            if variable.startswith(beginning):
                mark = os.fsdecode(variable.removeprefix(beginning))
                found.setdefault(mark, []).extend(_list_open(process.pid, suffix))
    return found


def _list_open(pid: int, suffix: str) -> list[str]:
    """Of a process that ends meanwhile, what was seen until then."""
    files: list[str] = []
    with suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with suppress(FileNotFoundError):
                files.append(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    return [file for file in files if file.endswith(suffix)]
