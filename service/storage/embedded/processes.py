"""Servers that an earlier service left behind on a cluster, and how they end."""

import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from service.storage.embedded.cluster import Cluster
from service.storage.embedded.errors import EmbeddedPostgresError

_FAST_SECONDS = 60.0
_IMMEDIATE_SECONDS = 3.0
_KILLED_SECONDS = 10.0
_POLL_SECONDS = 0.02


def end_leftovers(cluster: Cluster) -> None:
    """Stop every process of a server on `cluster`, and remove its lock file if that is stale.

    The caller holds the service's lock, hence whatever runs there belongs to nobody. Processes
    are known by the cluster's name in their titles, never by the pid file, whose number may by
    now be that of another process. Where there is no /proc this does nothing and Postgres' own
    lock file decides.

    Raises:
        EmbeddedPostgresError: A server answers on the cluster that is not a process here.
    """
    if sys.platform != "linux":
        return
    if not (_end_postmaster(cluster) or _end_all(cluster, signal.SIGQUIT, _IMMEDIATE_SECONDS)):
        _end_all(cluster, signal.SIGKILL, _KILLED_SECONDS)
    _remove_stale_pid_file(cluster.folder / "postmaster.pid")


def list_processes(cluster: Cluster) -> list[int]:
    """Return the pids of the cluster's postmaster and of its children."""
    return [pid for pid in _list_pids() if _belongs_to(pid, cluster)]


def _end_postmaster(cluster: Cluster) -> bool:
    """Ask for a fast shutdown; without a postmaster its children are told by `_end_all`."""
    postmasters = [pid for pid in list_processes(cluster) if b"-D" in _read_arguments(pid)]
    for pid in postmasters:
        _signal(pid, signal.SIGINT)
    return _wait_until_none(cluster, _FAST_SECONDS if postmasters else 0)


def _end_all(cluster: Cluster, number: signal.Signals, seconds: float) -> bool:
    for pid in list_processes(cluster):
        _signal(pid, number)
    return _wait_until_none(cluster, seconds)


def _wait_until_none(cluster: Cluster, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while list_processes(cluster):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _remove_stale_pid_file(pid_file: Path) -> None:
    """Postgres trips over a pid file whose number is that of any process of the same user."""
    with suppress(FileNotFoundError):
        lines = pid_file.read_text().splitlines()
        if len(lines) > 4 and _answers(Path(lines[4], f".s.PGSQL.{lines[3]}")):
            raise EmbeddedPostgresError(
                f"A Postgres that is no process of this machine answers on {pid_file.parent}. "
                "Stop the container or service that runs it, or use another data directory."
            )
        pid_file.unlink()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def _list_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _belongs_to(pid: int, cluster: Cluster) -> bool:
    name = cluster.name.encode()
    try:
        is_of_account = Path(f"/proc/{pid}").stat().st_uid == cluster.account.uid
        return is_of_account and any(name in word for word in _read_arguments(pid))
    except OSError:
        return False


def _read_arguments(pid: int) -> list[bytes]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return []


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
