"""What a trial is to a client: its number, its parameters, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


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


@dataclass(frozen=True, slots=True)
class AskedTrial:
    """A trial handed to a client, with every declared parameter already chosen."""

    number: int
    attempt: int
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the pruner said about an attempt after its last report; `step` is None before one."""

    should_prune: bool
    step: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a client says that a trial ended.

    Attributes:
        values: One per objective for COMPLETE; None for PRUNED and FAIL.
        reason: Why it failed, in the client's words.
    """

    state: TrialState
    values: tuple[float, ...] | None = None
    reason: str | None = None
    user_attrs: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TrialView:
    """A trial as of the last commit.

    Attributes:
        values: One per objective; for PRUNED the value at the largest step, as in Optuna.
        intermediate_values: Reported values by step.
        ask_seq: Position of the ask in the study's recorded order; None if plain Optuna made it.
        tell_seq: Position of the tell in the same order; None while unfinished.
    """

    number: int
    state: TrialState
    params: Mapping[str, Any]
    values: tuple[float, ...] | None
    intermediate_values: Mapping[int, float]
    user_attrs: Mapping[str, Any]
    attempt: int
    decision: Decision
    reason: str | None
    ask_seq: int | None
    tell_seq: int | None
    started_at: datetime | None
    finished_at: datetime | None
