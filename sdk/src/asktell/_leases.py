"""Leases of the trials that this process works on, renewed in the background.

An attempt of a trial counts as lost when the server hears nothing of it for the time of its lease.
Reports renew it; in between one thread or task per client sends heartbeats, or what was reported
while the server was away.
"""

from __future__ import annotations

import logging
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from asktell import _protocol
from asktell._errors import ApiError, ConflictError
from asktell._exchange import is_away
from asktell._records import read_optional_time
from asktell._reports import Delivery, Reports

if TYPE_CHECKING:
    from asktell._exchange import Exchange, Server
    from asktell._requests import Request
    from asktell._retries import Clock

# Trials of this process are heard of all the time, so the loss of one can be noticed soon.
DEFAULT_LEASE_SECONDS = 120.0

# Two more heartbeats may fail before the lease runs out, and each is tried several times.
RENEWED_AFTER = 1 / 3
RETRIED_AFTER = 1 / 12

SHORTEST_TIMEOUT_SECONDS = 1.0
LONGEST_TIMEOUT_SECONDS = 10.0
LONGEST_WAIT_SECONDS = 3600.0

# The trial has ended, or somebody else has it.
_NOT_OURS_CODES = frozenset({"lease-lost", "trial-not-running", "already-told", "python-failed"})

# Nothing that this process could do would make the trial its own again.
_FINAL_CODES = _NOT_OURS_CODES | {"trial-not-found", "study-not-found"}

_Result = TypeVar("_Result")

_logger = logging.getLogger("asktell")


class Keeper(Protocol):
    """Whoever renews leases; threads may share it if trials are worked on by threads."""

    @property
    def clock(self) -> Clock:
        """Source of time and jitter."""

    def watch(self, lease: Lease) -> None:
        """Renews the lease whenever it is due, until it is forgotten or nobody holds it."""

    def forget(self, lease: Lease) -> None:
        """Sends no more heartbeats for the lease."""


class Lease:
    """The right of one attempt to its trial; it is renewed as long as somebody holds this object.

    Attributes:
        reports: What the server has still to hear of the attempt, and its decision.
        expires_at: By the server's clock; None if it does not expire.
        due_at: When to send a heartbeat, by the client's monotonic clock.
        lost_by: The server's words when the trial is not this attempt's any more.
    """

    def __init__(
        self, keeper: Keeper, study: str, number: int, *, attempt: int, seconds: float
    ) -> None:
        self.heartbeat = _protocol.heartbeat(study, number, attempt=attempt)
        self.reports = Reports(study, number, attempt=attempt)
        self.expires_at: datetime | None = None
        self.due_at = 0.0
        self.lost_by: ApiError | None = None
        self._keeper = keeper
        self._clock = keeper.clock
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
            if not self.reports.is_away:
                self.close()
            return
        self.due_at = sent_at + self._seconds * RENEWED_AFTER
        self._keeper.watch(self)

    def put_off(self, now: float) -> None:
        """Lets the next heartbeat wait a little, because this one fails."""
        pause = self.reports.next_pause()
        self.due_at = now + (self._seconds * RETRIED_AFTER if pause is None else pause)

    def await_server(self, error: Exception) -> None:
        """Has the reports delivered as soon as the server is back."""
        self.reports.await_server(error, self._clock)
        self.put_off(self._clock.monotonic())
        self.keep_watched()

    def keep_watched(self) -> None:
        """Has it renewed even if its client was closed, or this process forked, meanwhile."""
        self._keeper.watch(self)

    def use(self, exchange: Exchange[_Result]) -> Exchange[_Result]:
        """Does what only whoever has the trial may do.

        Raises:
            ApiError: What the lease was lost by, before or by this.
        """
        self.check()
        return (yield from self.listen(exchange))

    def listen(self, exchange: Exchange[_Result]) -> Exchange[_Result]:
        """Does something about the trial, and gives the lease up if it is refused for good.

        Raises:
            ApiError: What it is refused by.
        """
        try:
            return (yield from exchange)
        except ApiError as error:
            self.note(error)
            raise

    def deliver(self, call: Callable[[Request], Exchange[Any]]) -> Exchange[None]:
        """Delivers all reports by `call`; what is refused is not kept.

        Raises:
            ApiError: The server refused some, or could not take them.
            ApiConnectionError: No answer came.
        """
        while (delivery := self.reports.next_delivery()) is not None:
            sent_at = self._clock.monotonic()
            try:
                answer = yield from self.use(call(delivery.request))
            except ApiError as error:
                if not is_away(error):
                    self.reports.drop(delivery)
                raise
            self.reports.confirm(delivery, answer)
            self.renew(answer["lease_expires_at"], sent_at=sent_at)

    def deliver_last(self, call: Callable[[Request], Exchange[Any]]) -> Exchange[None]:
        """As `deliver`, before a tell, which finds out by itself whether it is still welcome."""
        try:
            yield from self.deliver(call)
        except ConflictError as error:
            if not is_not_ours(error):
                raise

    def note(self, error: ApiError) -> None:
        """Gives the lease up if this refusal is final."""
        if error.code in _FINAL_CODES:
            self.lost_by = error
            self.close()

    def is_ended_by(self, error: BaseException) -> bool:
        """Whether this refusal says that the trial has ended, or is in other hands.

        An objective may raise what it was told of another trial; that says nothing of this one.
        """
        return error is self.lost_by and is_not_ours(error)

    def check(self) -> None:
        """Raises what the lease was lost by, if it was."""
        if self.lost_by is not None:
            raise self.lost_by

    def close(self) -> None:
        """Ends the heartbeats: the trial was told, or nobody works on it."""
        self._keeper.forget(self)


def open_lease(
    keeper: Keeper, study: str, asked: Mapping[str, Any], *, seconds: float | None, sent_at: float
) -> Lease:
    """The lease of a trial that was asked for, renewed from now on.

    Args:
        keeper: Who renews it.
        study: Name of the study.
        asked: The trial as the ask brought it.
        seconds: How long it is; None if there is none. That it ends all the same says that the
            attempt was given up, and may be heard of again.
        sent_at: When it was asked for, by the client's monotonic clock.
    """
    seconds = DEFAULT_LEASE_SECONDS if seconds is None else seconds
    lease = Lease(keeper, study, asked["number"], attempt=asked["attempt"], seconds=seconds)
    lease.renew(asked["lease_expires_at"], sent_at=sent_at)
    return lease


class Watch(ABC):
    """The leases of one client and when each is due; a subclass waits for that.

    Args:
        server: Who has to hear of them.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.clock = server.clock
        # Weak: a trial that nobody can tell any more must not stay running for ever.
        self._leases: weakref.WeakSet[Lease] = weakref.WeakSet()

    @abstractmethod
    def _guard(self) -> AbstractContextManager[Any]:
        """Held while the leases are looked at or changed; never while somebody waits."""

    def forget(self, lease: Lease) -> None:
        """Sends no more heartbeats for the lease."""
        # Nobody is woken up: the next trial usually needs it again.
        with self._guard():
            self._leases.discard(lease)

    def forget_trial(self, heartbeat: Request) -> None:
        """Sends no more of these heartbeats: the trial was told, but not by whoever holds it."""
        for lease in self._list_of(heartbeat):
            self.forget(lease)

    def deliver_last(self, heartbeat: Request) -> Exchange[None]:
        """Delivers the reports of a trial that is about to be told by its number."""
        for lease in self._list_of(heartbeat):
            yield from lease.deliver_last(self.server.call)

    def find_next_due(self) -> float | None:
        """When the next heartbeat is due; None if there is nothing to renew."""
        with self._guard():
            return min((lease.due_at for lease in self._leases), default=None)

    def beat(self) -> Exchange[None]:
        """Sends what is due."""
        now = self.clock.monotonic()
        due = self._list_due(now)
        for lease in due:
            lease.put_off(now)
        try:
            for lease in due:
                yield from self._renew(lease)
        except Exception as error:
            # The others would get no answer either, and this one took its time. Whatever it was,
            # what another thread has just closed or a proxy's broken answer, the next may do.
            _logger.debug("No heartbeat got through: %s", error)

    def _list_of(self, heartbeat: Request) -> list[Lease]:
        with self._guard():
            return [lease for lease in self._leases if lease.heartbeat.path == heartbeat.path]

    def _list_due(self, now: float) -> list[Lease]:
        with self._guard():
            return [lease for lease in self._leases if lease.due_at <= now]

    def _renew(self, lease: Lease) -> Exchange[None]:
        reports = lease.reports
        delivery = reports.next_delivery() if reports.is_away else None
        if delivery is None:
            yield from self._send(lease, None)
        while delivery is not None and (yield from self._send(lease, delivery)):
            delivery = reports.next_delivery()

    def _send(self, lease: Lease, delivery: Delivery | None) -> Exchange[bool]:
        """Sends reports or else a heartbeat; returns whether that renewed the lease."""
        if not self._is_watched(lease):
            return False
        sent_at = self.clock.monotonic()
        try:
            answer = yield from self._call(lease, delivery)
        except ApiError as error:
            self._take_refusal(lease, error)
            return False
        if not self._is_watched(lease):
            return False
        if delivery is not None:
            lease.reports.confirm(delivery, answer)
        lease.renew(answer["lease_expires_at"], sent_at=sent_at)
        return True

    def _call(self, lease: Lease, delivery: Delivery | None) -> Exchange[Any]:
        if delivery is None:
            return self.server.call_once(lease.heartbeat, timeout_seconds=lease.timeout_seconds)
        return self.server.call_once(delivery.request, timeout_seconds=LONGEST_TIMEOUT_SECONDS)

    def _take_refusal(self, lease: Lease, error: ApiError) -> None:
        # Whoever tells a trial while its heartbeat is under way has not lost it. Reports that are
        # refused are kept: the next report or the tell is refused as well, and raises that.
        if not self._is_watched(lease):
            return
        lease.note(error)
        level = logging.DEBUG if lease.lost_by is None else logging.WARNING
        _logger.log(level, "A heartbeat was refused: %s", error)

    def _is_watched(self, lease: Lease) -> bool:
        with self._guard():
            return lease in self._leases


def is_not_ours(error: BaseException) -> bool:
    """Whether this error says that the trial has ended, or is in other hands."""
    return isinstance(error, ConflictError) and error.code in _NOT_OURS_CODES
