"""The folder of an attempt: which files it has, and how they are written.

    lock            held by the supervisor for as long as it lives
    bell            a fifo; whoever writes to it has the supervisor look for `stop` and `kill`
    plan.json       what the supervisor is to do, from the worker
    args.json       the params, for programs that read them from a file
    started         there before the program is, and never again
    program         the process id of the program
    log.OFFSET      what the program printed, from that byte on
    metrics.jsonl   metric rows found in it
    stop, kill      the program is to end: if it can, or at once
    exit.json       how it ended; there once all other files are complete

Supervisors import this module. It stays with the few modules that start quickly, for each of
them costs every attempt its import.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

LOCK = "lock"
BELL = "bell"
PLAN = "plan.json"
ARGS = "args.json"
STARTED = "started"
PROGRAM = "program"
STOP = "stop"
KILL = "kill"
METRICS = "metrics.jsonl"
EXIT = "exit.json"
SUPERVISOR_ERRORS = "supervisor.err"


def has(folder: str, name: str) -> bool:
    """Tells whether a file of the folder is there."""
    return os.path.exists(os.path.join(folder, name))


def make_folder(folder: str) -> None:
    """Makes a folder that only its owner may enter, and the lock and the bell in it; idempotent."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    os.close(os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_CREAT, 0o600))
    with suppress(FileExistsError):
        os.mkfifo(os.path.join(folder, BELL), 0o600)


def read_text(folder: str, name: str) -> str:
    """Returns a file's content, nothing if it is not there."""
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def read_record(folder: str, name: str) -> dict[str, Any] | None:
    """Returns a file's content; None if it is not there, or broken as after a power failure."""
    try:
        record = json.loads(read_text(folder, name))
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def write_text(folder: str, name: str, text: str) -> None:
    """Writes a file that is there completely or not at all."""
    os.replace(_stage(folder, name, text), os.path.join(folder, name))


def write_record(folder: str, name: str, record: Mapping[str, Any]) -> None:
    """Writes a file that is there completely or not at all."""
    write_text(folder, name, json.dumps(record))


def write_lasting_record(folder: str, name: str, record: Mapping[str, Any]) -> None:
    """Writes a file that is there completely or not at all, and after a power failure still."""
    staging = _stage(folder, name, json.dumps(record))
    _sync(staging)
    os.replace(staging, os.path.join(folder, name))
    _sync(folder)


def create_lasting_record(folder: str, name: str, record: Mapping[str, Any]) -> None:
    """Makes a file that must not be there, so that after a power failure it still is.

    Raises:
        FileExistsError: It is there.
        FileNotFoundError: The folder is gone.
    """
    path = os.path.join(folder, name)
    _write(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, json.dumps(record))
    _sync(path)
    _sync(folder)


def mark(folder: str, name: str) -> None:
    """Makes an empty file; idempotent."""
    os.close(os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT, 0o600))


@contextmanager
def try_lock(folder: str) -> Iterator[bool]:
    """Yields whether the lock was free; if it was, it is held meanwhile."""
    descriptor = take_lock(folder)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def take_lock(folder: str) -> int | None:
    """Returns the descriptor that holds the lock, until it is closed; None if somebody else does.

    Raises:
        FileNotFoundError: The folder is gone.
    """
    descriptor = os.open(os.path.join(folder, LOCK), os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return descriptor


def ring(folder: str) -> None:
    """Wakes the supervisor; without one nothing happens."""
    with suppress(OSError):
        bell = os.open(os.path.join(folder, BELL), os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(bell, b".")
        finally:
            os.close(bell)


def _stage(folder: str, name: str, text: str) -> str:
    staging = os.path.join(folder, f".{name}-{os.urandom(4).hex()}")
    _write(staging, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, text)
    return staging


def _write(path: str, flags: int, text: str) -> None:
    with open(os.open(path, flags, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)


def _sync(path: str) -> None:
    """A new file survives a power failure only once its folder is written too."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
