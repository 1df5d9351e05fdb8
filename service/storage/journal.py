"""Everything that can happen to a managed study, as values.

The engine's mirror records these, the writer turns a batch of them into rows. Times are naive and
local, as in Optuna's `FrozenTrial`; the writer converts them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from service.domain.attempts import AttemptState, StopCause
from service.domain.studies import StopReason, StudySettings, StudyState, TrialCounts
from service.domain.trials import AttemptPhase

REPLY_LIFETIME = timedelta(hours=24)

ANY_NUMBER = 2**31 - 1
"""How many attempts a sweep wants that has no limit."""


def is_rung(key: str) -> bool:
    """Whether a trial's system attribute is what successive halving notes about it."""
    return key.startswith("completed_rung_")


class AttrKind(StrEnum):
    """Who an attribute belongs to; Optuna keeps the two in tables of their own."""

    USER = "user"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class TrialCreated:
    """A trial with everything it has so far: id, number, params, attributes, values."""

    trial: FrozenTrial

    @property
    def trial_id(self) -> int:
        return self.trial._trial_id


@dataclass(frozen=True, slots=True)
class ParamSet:
    trial_id: int
    name: str
    internal_value: float
    distribution: BaseDistribution


@dataclass(frozen=True, slots=True)
class StateSet:
    """A trial's state changed from `expected`; the writer insists on finding that state."""

    trial_id: int
    expected: TrialState
    state: TrialState
    values: Sequence[float] | None
    at: datetime


@dataclass(frozen=True, slots=True)
class IntermediateValueSet:
    trial_id: int
    step: int
    value: float


@dataclass(frozen=True, slots=True)
class TrialAttrSet:
    trial_id: int
    kind: AttrKind
    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class StudyAttrSet:
    kind: AttrKind
    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class TrialRestarted:
    """A further attempt begins: what the earlier one reported, and what pruners noted, is gone."""

    trial_id: int


TrialChange = ParamSet | StateSet | IntermediateValueSet | TrialAttrSet | TrialRestarted
TrialMutation = TrialCreated | TrialChange
Mutation = TrialMutation | StudyAttrSet


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """What Asktell keeps about a trial beside Optuna's tables.

    Attributes:
        attempt: The latest one; 0 before the first.
        phase: Where that attempt is.
        ask_seq: Position of the first ask in the study's recorded order; None while only
            enqueued, and for what plain Optuna made.
        tell_seq: Position of its end; that of the ask for an imported trial.
        enqueue_seq: Position of the enqueueing; None if it was asked for directly.
        lease_seconds: Of the latest attempt; None: it stays live for ever.
        lease_expires_at: Aware. Of a queued attempt: until when it is kept at least.
        decision_step: Step of the last report that the pruner judged; None before one.
        should_prune: Its decision; once true it stays true for the attempt.
        reason: Why the trial failed, or why its latest attempt did.
    """

    number: int
    attempt: int
    phase: AttemptPhase
    ask_seq: int | None
    tell_seq: int | None = None
    enqueue_seq: int | None = None
    client_id: str | None = None
    lease_seconds: float | None = None
    lease_expires_at: datetime | None = None
    decision_step: int | None = None
    should_prune: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """An attempt in the hands of a worker.

    Attributes:
        claim: How many times it was handed out; only the worker of the last one is heard.
        external_ref: Its id in the outside system, once there is one.
        url: Where people can look at it there.
        note: What they should know of it, from its worker.
        stop: Set when the worker is to end it, for good.
        claimed_at: When it was handed out first; like the other times aware.
    """

    number: int
    attempt: int
    state: AttemptState
    claim: int
    worker_id: str
    worker_name: str
    host: str
    claimed_at: datetime
    external_ref: str | None = None
    url: str | None = None
    note: str | None = None
    stop: StopCause | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Parameters of a trial that its code declared, at one position of the recorded order."""

    trial_id: int
    seq: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredReply:
    """An answer that a repeat of the same request, by its idempotency key, gets again.

    Attributes:
        created_at: Aware; keys are kept for `REPLY_LIFETIME`.
    """

    operation: str
    key: str
    body_digest: bytes
    answer: Any
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """The summary row of a study as it is after a write.

    Attributes:
        started: Trials that count towards the budget.
        wake_at: When the study needs attention even if nobody calls: a lease or a time limit
            runs out; None: never.
        wanted: How many attempts workers could start now; 0 for what is no sweep.
    """

    revision: int
    last_seq: int
    state: StudyState
    is_paused: bool
    stop_reason: StopReason | None
    started: int
    wake_at: datetime | None
    counts: TrialCounts
    best_number: int | None
    best_value: float | None
    wanted: int = 0


@dataclass(slots=True)
class StudyWrite:
    """What one operation adds to one study.

    Attributes:
        revision_before: The revision that must be stored for the write to apply: whoever lost
            the study to another process finds a different one.
        records: By trial_id.
        launches: By number and attempt.
        settings: None leaves the stored ones.
    """

    study_id: int
    revision_before: int
    progress: StudyProgress
    mutations: list[Mutation] = field(default_factory=list)
    records: dict[int, TrialRecord] = field(default_factory=dict)
    launches: dict[tuple[int, int], Launch] = field(default_factory=dict)
    suggestions: list[Suggestion] = field(default_factory=list)
    replies: list[StoredReply] = field(default_factory=list)
    settings: StudySettings | None = None
