"""What a trial is to a client: its number, its parameters, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from service.domain.studies import AttemptEnd


class TrialState(StrEnum):
    """Optuna's trial states, by Optuna's names."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"

    @property
    def is_finished(self) -> bool:
        return self in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class AttemptPhase(StrEnum):
    """Where the latest attempt of a trial is.

    `QUEUED`: the next ask hands out a further (or, of an enqueued trial, the first) attempt.
    `LIVE`: a client has it. `EXPIRED`: nobody heard of it for the time of its lease, and it was
    the last one allowed; a result is still taken, for one lease time more. `ENDED`: so has the
    trial.
    """

    QUEUED = "queued"
    LIVE = "live"
    EXPIRED = "expired"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class AskedTrial:
    """A trial handed to a client, with every declared parameter already chosen.

    Attributes:
        attempt: From 1.
        lease_expires_at: The attempt counts as lost without a report or heartbeat until then;
            None: never.
        user_attrs: What was enqueued with it, or kept of an earlier attempt.
    """

    number: int
    attempt: int
    params: Mapping[str, Any]
    lease_expires_at: datetime | None
    user_attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the pruner said about an attempt after its last report, and until when it is live.

    Attributes:
        step: Of that report; None before one.
        lease_expires_at: None: never, or the trial has ended.
        lease_seconds: How long the attempt stays live without a word; None: for ever.
    """

    should_prune: bool
    step: int | None
    lease_expires_at: datetime | None = None
    lease_seconds: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a client says that a trial ended.

    Attributes:
        values: One per objective for COMPLETE; None for PRUNED and FAIL.
        reason: Why it failed, in the client's words.
        constraints: By name; satisfied if ≤ 0. None if the client said nothing of them.
        attempt: Who says it; None for whoever is at it.
        cause: Of a FAIL; decides whether the trial is tried again.
    """

    state: TrialState
    values: tuple[float, ...] | None = None
    reason: str | None = None
    user_attrs: Mapping[str, Any] | None = None
    constraints: Mapping[str, float] | None = None
    attempt: int | None = None
    cause: AttemptEnd = AttemptEnd.FAILED


@dataclass(frozen=True, slots=True)
class TrialView:
    """A trial as of the last commit.

    Attributes:
        values: One per objective; for PRUNED the value at the largest step, as in Optuna.
        intermediate_values: Reported values by step.
        constraints: By name; None if none were told.
        attempt: The latest one; 0 for an enqueued trial that nobody has asked for.
        ask_seq: Position of the ask in the study's recorded order; None if plain Optuna made it.
        tell_seq: Position of the tell in the same order; None while unfinished.
    """

    number: int
    state: TrialState
    params: Mapping[str, Any]
    values: tuple[float, ...] | None
    intermediate_values: Mapping[int, float]
    user_attrs: Mapping[str, Any]
    constraints: Mapping[str, float] | None
    attempt: int
    phase: AttemptPhase
    decision: Decision
    reason: str | None
    ask_seq: int | None
    tell_seq: int | None
    started_at: datetime | None
    finished_at: datetime | None
