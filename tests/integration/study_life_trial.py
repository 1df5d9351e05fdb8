"""One trial in plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from service.domain.errors import AlreadyTold, Invalid, LeaseLost
from service.domain.trials import AttemptPhase, Outcome, TrialState


@dataclass(slots=True)
class PlainTrial:
    """One trial; `expires_at` of a queued attempt is until when it is kept at least."""

    state: TrialState = TrialState.RUNNING
    phase: AttemptPhase = AttemptPhase.QUEUED
    attempt: int = 0
    lease_seconds: float | None = None
    expires_at: datetime | None = None
    reports: dict[int, float] = field(default_factory=dict)
    judged_at: int | None = None
    should_prune: bool = False
    values: tuple[float, ...] | None = None
    constraints: Mapping[str, float] | None = None
    reason: str | None = None
    is_imported: bool = False
    names: set[str] = field(default_factory=set)
    fixed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_retry(self) -> bool:
        return self.phase is AttemptPhase.QUEUED and self.attempt > 0

    @property
    def is_feasible(self) -> bool:
        return all(value <= 0 for value in (self.constraints or {}).values())

    def fork(self) -> "PlainTrial":
        """Returns a trial of its own that is where this one is."""
        return replace(self, reports=dict(self.reports), names=set(self.names))

    def is_overdue(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def check_attempt(self, attempt: int | None) -> None:
        """Whether one may speak for the trial who was given this attempt at it."""
        if attempt in (None, self.attempt):
            return
        raise LeaseLost("") if 1 <= attempt < self.attempt else Invalid("")

    def check_repeat(self, outcome: Outcome) -> None:
        """Whether this is what was told of the trial, which has ended."""
        is_same = (
            outcome.state is self.state
            and outcome.values in (None, self.values)
            and outcome.reason in (None, self.reason)
            and self._are_told(outcome)
        )
        if not is_same:
            raise AlreadyTold("")

    def _are_told(self, outcome: Outcome) -> bool:
        """Of a trial without a result, constraints that were not kept are not compared."""
        is_compared = outcome.state is TrialState.COMPLETE or self.constraints is not None
        return not is_compared or outcome.constraints in (None, self.constraints)
