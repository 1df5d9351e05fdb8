"""Our records of a study's trials, indexed by what their latest attempts are at."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from operator import attrgetter

from service.domain.trials import AttemptPhase
from service.storage.journal import TrialRecord


class Attempts:
    """Every record of one study, and until when each unended attempt is good.

    An enqueued trial that nobody has asked for has no attempt.

    Args:
        records: By trial number.
        now: From here each lease starts anew: its holder may have called in vain for a while.
    """

    def __init__(self, records: Mapping[int, TrialRecord], *, now: datetime) -> None:
        self._records: dict[int, TrialRecord] = {}
        self._unended: dict[AttemptPhase, set[int]] = {phase: set() for phase in AttemptPhase}
        self._beats: dict[int, datetime] = {}
        self._wake_at: datetime | None = None
        for record in records.values():
            self.put(record)
            self._start_anew(record, now)

    @property
    def count_live(self) -> int:
        """How many attempts somebody is at."""
        return len(self._unended[AttemptPhase.LIVE])

    @property
    def count_leased(self) -> int:
        """How many attempts may still bring a result by themselves: live, or only just lost."""
        return self.count_live + len(self._unended[AttemptPhase.EXPIRED])

    @property
    def count_queued(self) -> int:
        """How many trials wait for a further attempt."""
        return len(self._unended[AttemptPhase.QUEUED])

    @property
    def wake_at(self) -> datetime | None:
        """No attempt is overdue before; None: none will ever be."""
        return self._wake_at if any(self._unended.values()) else None

    def find(self, number: int) -> TrialRecord | None:
        """The record of a trial, if there is such a trial."""
        return self._records.get(number)

    def list_retries(self) -> list[TrialRecord]:
        """Trials that wait for a further attempt, oldest first."""
        return [self._records[number] for number in sorted(self._unended[AttemptPhase.QUEUED])]

    def list_ended(self, *, after: int) -> list[TrialRecord]:
        """Trials that ended later than a place in the recorded order, in that order."""
        ended = [r for r in self._records.values() if r.tell_seq is not None and r.tell_seq > after]
        return sorted(ended, key=attrgetter("tell_seq"))

    def put(self, record: TrialRecord) -> None:
        """Takes over a record that is being written."""
        earlier = self._records.get(record.number)
        if earlier is not None:
            self._unended[earlier.phase].discard(record.number)
        if record.phase is not AttemptPhase.ENDED and record.attempt:
            self._unended[record.phase].add(record.number)
        self._records[record.number] = record
        self._beats.pop(record.number, None)
        self.wake_by(self.get_expiry(record))

    def beat(self, number: int, expires_at: datetime) -> None:
        """Renews a lease in memory only: a restart gives it its whole time again anyway."""
        self._beats[number] = expires_at

    def get_expiry(self, record: TrialRecord) -> datetime | None:
        """Until when an attempt is good; None: for ever, or it has ended."""
        if record.phase is AttemptPhase.ENDED:
            return None
        return self._beats.get(record.number, record.lease_expires_at)

    def list_overdue(self, now: datetime, *, queued: bool) -> list[TrialRecord]:
        """Attempts whose time is up, by number.

        Args:
            queued: Whether that includes those that wait for an ask; while the study hands out
                trials they wait as long as it takes.
        """
        waiting = self._unended[AttemptPhase.QUEUED] if queued else set()
        leased = self._unended[AttemptPhase.LIVE] | self._unended[AttemptPhase.EXPIRED] | waiting
        expiries = {number: self.get_expiry(self._records[number]) for number in sorted(leased)}
        ahead = [at for at in expiries.values() if at is not None and at > now]
        self._wake_at = min(ahead, default=None)
        return [
            self._records[number] for number, at in expiries.items() if at is not None and at <= now
        ]

    def wake_by(self, at: datetime | None) -> None:
        """Makes sure that overdue attempts are looked for at `at` or earlier."""
        # Renewing does not move it back: whoever wakes too early finds nothing and looks again.
        if at is not None and (self._wake_at is None or at < self._wake_at):
            self._wake_at = at

    def _start_anew(self, record: TrialRecord, now: datetime) -> None:
        if record.lease_seconds is not None and record.phase is not AttemptPhase.ENDED:
            self.beat(record.number, now + timedelta(seconds=record.lease_seconds))
            self.wake_by(now)
