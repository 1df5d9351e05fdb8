"""Processes as the system shows them, and how they are signalled.

Looking at processes other than one's own children needs Linux's /proc; elsewhere only the leader
of a group is seen.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

NO_ENVIRONMENT = [b""]
"""What a process shows that has none; for a moment also one that becomes another program."""


class ProcessStat(NamedTuple):
    """What identifies a process among others."""

    pid: int
    state: str
    parent: int
    group: int
    session: int


def read_boot_id() -> str:
    """Returns a text that changes whenever the machine starts; empty where there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def kill_program(pid: int, session: int) -> bool:
    """Kills the program of a session, and its group; returns whether it was there."""
    try:
        is_it = os.getsid(pid) == session and os.getpgid(pid) == pid
    except OSError:
        return False
    if is_it:
        signal_group(pid, signal.SIGKILL)
    return is_it


def list_children() -> list[int]:
    """Returns the pids of this process' children, none where there is no /proc."""
    return [stat.pid for stat in list_processes() if stat.parent == os.getpid()]


def list_processes() -> Iterator[ProcessStat]:
    """Yields all processes that can be seen."""
    with suppress(FileNotFoundError):
        for name in os.listdir("/proc"):
            if name.isdigit() and (stat := _read_stat(int(name))) is not None:
                yield stat


def signal_group(group: int, number: signal.Signals) -> None:
    """Signals a process group, stopped members too; one without members is left alone."""
    # macOS says EPERM where every member is a zombie.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        os.killpg(group, signal.SIGCONT)


def has_group(group: int) -> bool:
    """Tells whether a process group has members."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def read_environment(pid: int) -> list[bytes]:
    """Returns what the process was started with; nothing for those of others and the dead."""
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as stream:
        return stream.read().split(b"\0")
    return []


def has_memory(pid: int) -> bool:
    """Tells whether it is a program at all, which parts of the system and the dead are not."""
    with suppress(OSError), open(f"/proc/{pid}/statm", "rb") as stream:
        return not stream.read().startswith(b"0 ")
    return False


def _read_stat(pid: int) -> ProcessStat | None:
    with suppress(OSError, ValueError):
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            # The name before the last parenthesis may hold anything.
            words = stream.read().rpartition(")")[2].split()
        return ProcessStat(pid, words[0], int(words[1]), int(words[2]), int(words[3]))
    return None
