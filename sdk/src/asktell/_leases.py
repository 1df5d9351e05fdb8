"""Leases of the trials that this process works on, renewed in the background.

An attempt of a trial counts as lost when the server hears nothing of it for the time of its lease.
Reports renew it; in between one thread per client sends heartbeats.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from datetime import datetime
from typing import TYPE_CHECKING

from asktell._errors import ApiError
from asktell._records import read_optional_time

if TYPE_CHECKING:
    from asktell._connection import Connection, Request

# Trials of this process are heard of all the time, so the loss of one can be noticed soon.
DEFAULT_LEASE_SECONDS = 120.0

# Two more heartbeats may fail before the lease runs out, and each is tried several times.
RENEWED_AFTER = 1 / 3
RETRIED_AFTER = 1 / 12

SHORTEST_TIMEOUT_SECONDS = 1.0
LONGEST_TIMEOUT_SECONDS = 10.0
LONGEST_WAIT_SECONDS = 3600.0

# Nothing that this process could do would make the trial its own again.
_FINAL_CODES = frozenset({"lease-lost", "trial-not-running", "trial-not-found", "study-not-found"})

_logger = logging.getLogger("asktell")


class Lease:
    """The right of one attempt to its trial; it is renewed as long as somebody holds this object.

    Attributes:
        expires_at: By the server's clock; None if it does not expire.
        due_at: When to send a heartbeat, by the client's monotonic clock.
        lost_by: The server's words when the trial is not this attempt's any more.
    """

    def __init__(self, heartbeats: Heartbeats, heartbeat: Request, *, seconds: float) -> None:
        self.heartbeat = heartbeat
        self.expires_at: datetime | None = None
        self.due_at = 0.0
        self.lost_by: ApiError | None = None
        self._heartbeats = heartbeats
        self._seconds = seconds

    @property
    def timeout_seconds(self) -> float:
        """How long a heartbeat may take; the others are waiting for it."""
        fraction = self._seconds * RETRIED_AFTER
        return min(LONGEST_TIMEOUT_SECONDS, max(SHORTEST_TIMEOUT_SECONDS, fraction))

    def renew(self, expires_at: str | None, *, sent_at: float) -> None:
        """Takes note of an answer that renewed it, to a request that was sent then."""
        self.expires_at = read_optional_time(expires_at)
        if self.expires_at is None:
            self.close()
            return
        self.due_at = sent_at + self._seconds * RENEWED_AFTER
        self._heartbeats.watch(self)

    def put_off(self, now: float) -> None:
        """Lets the next heartbeat wait a little, because this one fails."""
        self.due_at = now + self._seconds * RETRIED_AFTER

    def note(self, error: ApiError) -> None:
        """Gives the lease up if this refusal is final."""
        if error.code in _FINAL_CODES:
            self.lost_by = error
            self.close()

    def check(self) -> None:
        """Raises what the lease was lost by, if it was."""
        if self.lost_by is not None:
            raise self.lost_by

    def close(self) -> None:
        """Ends the heartbeats: the trial was told, or nobody works on it."""
        self._heartbeats.forget(self)


class Heartbeats:
    """The heartbeats of one client's leases, sent by one thread that runs while there are any.

    Threads may share it. A forked child starts with none: its parent goes on with its own, and
    what the child asks for or reports on joins the child's.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._clock = connection.clock
        self.start_anew()
        _all_heartbeats.add(self)

    def start_anew(self) -> None:
        """Forgets the thread and the lock, which a fork leaves behind in the parent."""
        self._condition = threading.Condition()
        # Weak: a trial that nobody can tell any more must not stay running for ever.
        self._leases: weakref.WeakSet[Lease] = weakref.WeakSet()
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0

    def watch(self, lease: Lease) -> None:
        """Renews the lease whenever it is due, until it is forgotten or nobody holds it."""
        with self._condition:
            is_new = lease not in self._leases
            self._leases.add(lease)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="asktell-heartbeats", daemon=True
                )
                self._thread.start()
            elif is_new and lease.due_at < self._wakes_at:
                self._condition.notify()

    def forget(self, lease: Lease) -> None:
        """Sends no more heartbeats for the lease."""
        # The thread is not woken up: the next trial usually needs it again.
        with self._condition:
            self._leases.discard(lease)

    def forget_trial(self, heartbeat: Request) -> None:
        """Sends no more of these heartbeats: the trial was told, but not by whoever holds it."""
        with self._condition:
            for lease in list(self._leases):
                if lease.heartbeat.path == heartbeat.path:
                    self._leases.discard(lease)

    def close(self) -> None:
        """Forgets all leases, which ends the thread; a later report starts anew."""
        with self._condition:
            self._leases.clear()
            self._condition.notify()

    def _run(self) -> None:
        while self._wait_until_due():
            self._beat()

    def _wait_until_due(self) -> bool:
        with self._condition:
            while (due_at := self._find_next_due()) is not None:
                pause = due_at - self._clock.monotonic()
                if pause <= 0:
                    return True
                self._wakes_at = due_at
                self._clock.wait(self._condition, min(pause, LONGEST_WAIT_SECONDS))
            # Said while the lock is held: whoever comes next starts a thread of their own.
            self._thread = None
            return False

    def _find_next_due(self) -> float | None:
        return min((lease.due_at for lease in self._leases), default=None)

    def _beat(self) -> None:
        now = self._clock.monotonic()
        due = self._list_due(now)
        for lease in due:
            lease.put_off(now)
        try:
            for lease in due:
                self._renew(lease)
        except Exception as error:
            # The others would get no answer either, and this one took its time. Whatever it was,
            # what another thread has just closed or a proxy's broken answer, the next may do.
            _logger.debug("No heartbeat got through: %s", error)

    def _list_due(self, now: float) -> list[Lease]:
        with self._condition:
            return [lease for lease in self._leases if lease.due_at <= now]

    def _renew(self, lease: Lease) -> None:
        if not self._is_watched(lease):
            return
        sent_at = self._clock.monotonic()
        try:
            answer = self._connection.call_once(
                lease.heartbeat, timeout_seconds=lease.timeout_seconds
            )
        except ApiError as error:
            self._take_refusal(lease, error)
        else:
            if self._is_watched(lease):
                lease.renew(answer["lease_expires_at"], sent_at=sent_at)

    def _take_refusal(self, lease: Lease, error: ApiError) -> None:
        # Whoever tells a trial while its heartbeat is under way has not lost it.
        if not self._is_watched(lease):
            return
        lease.note(error)
        level = logging.DEBUG if lease.lost_by is None else logging.WARNING
        _logger.log(level, "A heartbeat was refused: %s", error)

    def _is_watched(self, lease: Lease) -> bool:
        with self._condition:
            return lease in self._leases


def _start_all_anew() -> None:
    for heartbeats in list(_all_heartbeats):
        heartbeats.start_anew()


_all_heartbeats: weakref.WeakSet[Heartbeats] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_all_anew)
