"""How the processes of an attempt are found, whatever became of their parents and sessions."""

import hashlib
import os
import signal
from contextlib import suppress

from service.schedulers.executors.process.processes import list_processes, read_environment

MARK = "ASKTELL_PROCESS_MARK"
"""Variable that all processes of an attempt have in their environment."""


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
    pids = [process.pid for process in list_processes() if mark in read_environment(process.pid)]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(pids)


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
