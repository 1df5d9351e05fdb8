"""What clients sent and what they were answered, written down for a judge to read afterwards."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

DOCUMENTED = frozenset({200, 404, 409, 422, 429, 503})
"""What a client that sends well-formed JSON with its token may be answered."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request and its answer.

    Attributes:
        verb: The last part of the path: ask, report, heartbeat, prune or tell.
        number: The trial's; None for an ask.
        expected: Statuses that the documentation allows for this request.
        sent_at: Just before it was sent; `answered_at` just after the answer was there.
    """

    verb: str
    number: int | None
    body: Mapping[str, Any]
    status: int
    answer: Mapping[str, Any]
    sent_at: datetime
    answered_at: datetime
    key: str | None = None
    expected: frozenset[int] = DOCUMENTED

    @property
    def is_accepted(self) -> bool:
        return self.status == 200

    @property
    def attempt(self) -> int | None:
        """Who the client says it is."""
        return self.body.get("attempt")

    @property
    def code(self) -> str | None:
        """Of the problem that was answered."""
        return self.answer.get("code")

    @property
    def ends_trial(self) -> bool:
        return self.verb == "tell" and self.is_accepted and self.answer["phase"] == "ended"


@dataclass(frozen=True, slots=True)
class Lease:
    """One attempt, and until when an answer promised that it is live; None: for ever."""

    number: int
    attempt: int
    until: datetime | None
    call: Call

    def holds_at(self, other: Call) -> bool:
        """Whether another call came and was answered while this promise was good."""
        is_later = self.call.answered_at < other.sent_at
        return is_later and (self.until is None or other.answered_at < self.until)


@dataclass(frozen=True, slots=True)
class StoredTrial:
    """A trial as the database has it; `points` are its intermediate values, NaN as "NaN"."""

    number: int
    state: str
    attempt: int
    phase: str
    values: Sequence[float] = ()
    points: Mapping[int, float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The study after one commit.

    Attributes:
        live: Attempts that count towards `parallelism`.
        started: Trials that count towards `max_trials`.
        at_odds: Trials that have ended for us and not for Optuna, or the other way round.
    """

    live: int
    started: int
    most_attempts: int
    at_odds: int


def list_grants(calls: Sequence[Call]) -> Iterator[Lease]:
    """Every attempt that was handed out; repeats of an ask give it again."""
    for call in calls:
        if call.verb == "ask" and call.is_accepted:
            for trial in call.answer["trials"]:
                yield Lease(trial["number"], trial["attempt"], _read_end(trial), call)


def list_leases(calls: Sequence[Call]) -> Iterator[Lease]:
    """Every attempt that was handed out or renewed in its own name."""
    yield from list_grants(calls)
    for call in calls:
        renews = call.verb in ("report", "heartbeat") and call.is_accepted
        if renews and call.number is not None and call.attempt is not None:
            yield Lease(call.number, call.attempt, _read_end(call.answer), call)


def _read_end(answer: Mapping[str, Any]) -> datetime | None:
    until = answer["lease_expires_at"]
    return None if until is None else datetime.fromisoformat(until)
