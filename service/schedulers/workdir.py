"""A worker's folder, which is what makes it the same worker when it is started again."""

import fcntl
import json
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

_LOCK_FILE = "worker.lock"
_IDENTITY_FILE = "worker.json"
_PREEMPTED_FOLDER = "preempted"

_log = structlog.get_logger(__name__)


class WorkdirUnusable(Exception):
    """The folder cannot be a worker's; the message says what to do."""


class Workdir:
    """The folder of one running worker; open it with `open_workdir`.

    Attributes:
        path: Absolute, links resolved.
        worker_id: Made at the first start in this folder.
    """

    def __init__(self, path: Path, worker_id: str) -> None:
        self.path = path
        self.worker_id = worker_id

    def note_preempted(self, attempt_id: str) -> None:
        """Keeps, until it is forgotten, that the worker is why this attempt ends."""
        folder = self.path / _PREEMPTED_FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / attempt_id).touch()

    def was_preempted(self, attempt_id: str) -> bool:
        """Whether this or an earlier life of the worker noted it."""
        return (self.path / _PREEMPTED_FOLDER / attempt_id).exists()

    def forget(self, attempt_id: str) -> None:
        """Removes what was noted about the attempt; idempotent."""
        (self.path / _PREEMPTED_FOLDER / attempt_id).unlink(missing_ok=True)


@contextmanager
def open_workdir(path: Path, *, host: str | None = None) -> Iterator[Workdir]:
    """The folder, made if there is none, as long as no other worker has it.

    The system lets go of it when this process ends, however it does.

    Args:
        host: The machine, else this one. A folder that another one made was copied, with the
            machine perhaps: the worker here is another one.

    Raises:
        WorkdirUnusable: Another worker runs in it, or it cannot be made or read.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (path / _LOCK_FILE).open("w")
    except OSError as error:
        raise WorkdirUnusable(
            f"The working directory {path} cannot be used ({error.strerror}); choose another by "
            "--workdir or ASKTELL_WORKER_WORKDIR."
        ) from error
    host = host or socket.gethostname()
    with lock:
        _lock_out_others(lock.fileno(), path)
        folder = path.resolve()
        yield Workdir(folder, _get_or_make_id(folder / _IDENTITY_FILE, host))


def _lock_out_others(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WorkdirUnusable(
            f"Another worker is running in {path}. Give this one a folder of its own by --workdir "
            "or ASKTELL_WORKER_WORKDIR, or stop the other."
        ) from None


def _get_or_make_id(path: Path, host: str) -> str:
    try:
        kept = json.loads(path.read_text())
        worker_id, made_by = str(kept["worker_id"]), kept.get("host", host)
    except FileNotFoundError:
        return _make_id(path, host)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkdirUnusable(
            f"{path} cannot be read ({error}). If no program of this worker is running any more, "
            "delete it: the worker then starts as a new one."
        ) from error
    if made_by == host:
        return worker_id
    _log.warning("worker.renewed", path=str(path), host=host, former_host=made_by)
    return _make_id(path, host)


def _make_id(path: Path, host: str) -> str:
    worker_id = uuid.uuid4().hex
    aside = path.with_suffix(".new")
    with aside.open("w") as file:
        json.dump({"worker_id": worker_id, "host": host}, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    return worker_id
