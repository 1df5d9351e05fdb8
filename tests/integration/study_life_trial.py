"""One trial in plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from service.domain.trials import AttemptPhase, TrialState


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

    def is_overdue(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now
