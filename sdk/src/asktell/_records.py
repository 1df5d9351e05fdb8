"""What the server tells about studies and trials, as immutable values.

Each `read_*` function takes a decoded JSON document; fields that this version does not know are
ignored, so that an older client works with a newer server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypeVar

from asktell._json import decode_number, read_time
from asktell._optuna import (
    SYSTEM_ATTR_PREFIX,
    StudyDirection,
    TrialState,
    direction_named,
    trial_state_named,
)
from asktell._suggested import check_again, find_choice

_Choice = TypeVar("_Choice")


@dataclass(frozen=True, slots=True)
class Objective:
    """One value that a trial is told, and which way it improves."""

    name: str
    direction: StudyDirection


@dataclass(frozen=True, slots=True)
class TrialCounts:
    """How many trials of a study are in each state."""

    waiting: int
    running: int
    complete: int
    pruned: int
    fail: int
    total: int


@dataclass(frozen=True, slots=True)
class BestTrial:
    """Number and value of the best completed trial of a single-objective study."""

    number: int
    value: float


@dataclass(frozen=True, slots=True)
class StudySummary:
    """A study at one moment.

    Attributes:
        state: `active`; `paused`; `stopping` while the last trials run; `finished`.
        stop_reason: Why it starts no new trials: `stopped`, one of the budget's limits,
            `exhausted`, or `refused` (none of its trials can be launched). None while it does, or
            is only paused.
        started: Trials that count towards `max_trials`.
        max_trials: None is no limit.
        best: None before the first completed trial, and for several objectives.
        revision: Grows with every change of the study.
    """

    name: str
    state: str
    stop_reason: str | None
    started: int
    max_trials: int | None
    objectives: tuple[Objective, ...]
    counts: TrialCounts
    best: BestTrial | None
    revision: int
    created_at: datetime
    last_activity_at: datetime


@dataclass(frozen=True, slots=True)
class FrozenTrial:
    """A trial at one moment; the names are those of Optuna's FrozenTrial where it has them.

    Attributes:
        state: Optuna's own `TrialState` where optuna is imported.
        values: One per objective; for PRUNED the last reported value; None before that.
        intermediate_values: Reported values by step.
        constraints: Told values by name; the trial is feasible when all are zero or less.
        attempt: Which execution of the trial this is, from 1; 0 while enqueued.
        phase: Where that execution is: `queued`, `live`, `expired` or `ended`.
        lease_expires_at: It counts as lost unless something is heard of it until then.
        reason: Why it failed, in the words of whoever told it.
        ask_seq: Position of the ask in the study's recorded order of operations.
        tell_seq: Position of the tell in the same order; None while unfinished.
    """

    number: int
    state: TrialState
    params: dict[str, Any]
    values: list[float] | None
    intermediate_values: dict[int, float]
    user_attrs: dict[str, Any]
    constraints: dict[str, float]
    attempt: int
    phase: str
    lease_expires_at: datetime | None
    reason: str | None
    ask_seq: int | None
    tell_seq: int | None
    datetime_start: datetime | None
    datetime_complete: datetime | None

    @property
    def value(self) -> float | None:
        """The value of a single-objective trial, None if it has none.

        Raises:
            RuntimeError: The trial has several values.
        """
        if self.values is None:
            return None
        if len(self.values) > 1:
            raise RuntimeError("This trial has several objectives: use `values`.")
        return self.values[0]

    @property
    def last_step(self) -> int | None:
        """The largest step that was reported; None if none was."""
        return max(self.intermediate_values, default=None)

    @property
    def system_attrs(self) -> dict[str, Any]:
        """What integrations of Optuna kept with the trial; among `user_attrs` with a prefix."""
        return {
            key.removeprefix(SYSTEM_ATTR_PREFIX): value
            for key, value in self.user_attrs.items()
            if key.startswith(SYSTEM_ATTR_PREFIX)
        }

    @property
    def distributions(self) -> NoReturn:
        """Not known of a single trial; `Study.to_optuna` finds those of all.

        Raises:
            AttributeError: Always, so that who can do without them does.
        """
        raise AttributeError(
            f"Trial {self.number} comes without its distributions; "
            f"`study.to_optuna().trials[{self.number}]` has them."
        )

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """The parameter's value, so that an objective can be run on a trial once more.

        Raises:
            ValueError: The trial has no such parameter, or one of another kind.
        """
        document = {"type": "float", "low": low, "high": high, "step": step, "log": log}
        return float(self._find_again(name, document))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Likewise; see `suggest_float`."""
        document = {"type": "int", "low": low, "high": high, "step": step, "log": log}
        return int(self._find_again(name, document))

    def suggest_categorical(self, name: str, choices: Sequence[_Choice]) -> _Choice:
        """Likewise; see `suggest_float`. A value that is none of the choices is a ValueError."""
        value = self._find_again(name, {"type": "categorical"})
        return find_choice(name, value, choices)

    def _find_again(self, name: str, document: Mapping[str, Any]) -> Any:
        if name not in self.params:
            raise ValueError(f"Trial {self.number} has no parameter {name!r}.")
        check_again(name, self.params[name], document, document)
        return self.params[name]

    @property
    def duration(self) -> timedelta | None:
        """From ask to tell; None while unfinished."""
        if self.datetime_start is None or self.datetime_complete is None:
            return None
        return self.datetime_complete - self.datetime_start


def read_summary(document: Mapping[str, Any]) -> StudySummary:
    best = document["best"]
    return StudySummary(
        name=document["name"],
        state=document["state"],
        stop_reason=document["stop_reason"],
        started=document["progress"]["started"],
        max_trials=document["progress"]["max_trials"],
        objectives=read_objectives(document),
        counts=_read_counts(document["counts"]),
        best=best and BestTrial(best["number"], decode_number(best["value"])),
        revision=document["revision"],
        created_at=read_time(document["created_at"]),
        last_activity_at=read_time(document["last_activity_at"]),
    )


def read_objectives(document: Mapping[str, Any]) -> tuple[Objective, ...]:
    return tuple(
        Objective(objective["name"], direction_named(objective["direction"]))
        for objective in document["objectives"]
    )


def find_metric_names(objectives: Sequence[Objective]) -> list[str] | None:
    """The names of the objectives; None for those that are nobody's choice."""
    names = [objective.name for objective in objectives]
    unnamed = ["value"] if len(names) == 1 else [f"value_{place}" for place in range(len(names))]
    return None if names == unnamed else names


def read_trial(document: Mapping[str, Any]) -> FrozenTrial:
    values = document["values"]
    return FrozenTrial(
        number=document["number"],
        state=trial_state_named(document["state"]),
        params=dict(document["params"]),
        values=None if values is None else [decode_number(value) for value in values],
        intermediate_values={
            point["step"]: decode_number(point["value"])
            for point in document["intermediate_values"]
        },
        user_attrs=dict(document["user_attrs"]),
        constraints={
            name: decode_number(value) for name, value in (document["constraints"] or {}).items()
        },
        attempt=document["attempt"],
        phase=document["phase"],
        lease_expires_at=read_optional_time(document["lease_expires_at"]),
        reason=document["reason"],
        ask_seq=document["ask_seq"],
        tell_seq=document["tell_seq"],
        datetime_start=read_optional_time(document["started_at"]),
        datetime_complete=read_optional_time(document["finished_at"]),
    )


def _read_counts(document: Mapping[str, int]) -> TrialCounts:
    return TrialCounts(
        waiting=document["waiting"],
        running=document["running"],
        complete=document["complete"],
        pruned=document["pruned"],
        fail=document["fail"],
        total=document["total"],
    )


def read_optional_time(text: str | None) -> datetime | None:
    return None if text is None else read_time(text)
