"""What a study is: its spec, its state, and the summary that lists show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Direction(StrEnum):
    """Which way an objective improves; the words are Optuna's."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class StudyState(StrEnum):
    """Whether a study hands out trials.

    `ACTIVE` does; `FINISHED` does not, because its sampler has nothing left to suggest.
    """

    ACTIVE = "active"
    FINISHED = "finished"


class IfExists(StrEnum):
    """What creating a study does when one of that name exists."""

    FAIL = "fail"
    LOAD = "load"


@dataclass(frozen=True, slots=True)
class Objective:
    """One value that a trial is told, and which way it improves."""

    name: str
    direction: Direction


@dataclass(frozen=True, slots=True)
class Component:
    """A sampler or pruner as users name it: Optuna's class name and its arguments."""

    type: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StudySpec:
    """Everything that decides what a study suggests and prunes; fixed at creation.

    Attributes:
        space: The declared search space as the client wrote it (native JSON), or None when each
            trial declares its parameters itself (define by run).
        seed: Base of every random draw of the study, 0 ≤ seed < 2**32.
    """

    name: str
    objectives: tuple[Objective, ...]
    space: Mapping[str, Any] | None
    sampler: Component
    pruner: Component | None
    seed: int
    user_attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrialCounts:
    """How many trials of a study are in each of Optuna's states."""

    waiting: int = 0
    running: int = 0
    complete: int = 0
    pruned: int = 0
    fail: int = 0

    @property
    def total(self) -> int:
        return self.waiting + self.running + self.complete + self.pruned + self.fail


@dataclass(frozen=True, slots=True)
class BestTrial:
    """Number and value of the best completed trial of a single-objective study."""

    number: int
    value: float


@dataclass(frozen=True, slots=True)
class StudySummary:
    """One row of the study list, as of the last commit."""

    study_id: int
    name: str
    state: StudyState
    objectives: tuple[Objective, ...]
    counts: TrialCounts
    best: BestTrial | None
    revision: int
    created_at: datetime
    last_activity_at: datetime
