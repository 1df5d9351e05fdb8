"""What a study is: its spec, its state, and the summary that lists show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from service.domain.user_code import UserCode


class Direction(StrEnum):
    """Which way an objective improves; the words are Optuna's."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class StudyState(StrEnum):
    """Whether a study hands out trials.

    `ACTIVE` does, `PAUSED` will again. `STOPPING` starts no new trials and waits for the running
    ones; `FINISHED` has none of those left. The `StopReason` says why.
    """

    ACTIVE = "active"
    PAUSED = "paused"
    STOPPING = "stopping"
    FINISHED = "finished"


class StopReason(StrEnum):
    """Why a study starts no new trials: a person, one of its budget's limits, or its sampler.

    `REFUSED`: what it is to launch is not there or does not fit it, so that none of its trials can
    start.
    """

    STOPPED = "stopped"
    CANCELLED = "cancelled"
    MAX_TRIALS = "max_trials"
    MAX_SECONDS = "max_seconds"
    MAX_FAILURES = "max_failures"
    TARGET = "target"
    PATIENCE = "patience"
    EXHAUSTED = "exhausted"
    REFUSED = "refused"

    @property
    def allows_retries(self) -> bool:
        """Whether trials that were started before may still get a further attempt."""
        return self in (StopReason.MAX_TRIALS, StopReason.EXHAUSTED)


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
class Budget:
    """When a study stops by itself; None is no limit.

    Attributes:
        max_trials: Trials started here, whatever their end; imported ones do not count.
        max_seconds: Since the first ask, pauses included.
        max_failures: FAIL trials in a row, in the order in which they ended.
        target: Stops once the best value is this good.
        patience: COMPLETE and PRUNED trials in a row without a new best value.
    """

    max_trials: int | None = None
    max_seconds: float | None = None
    max_failures: int | None = None
    target: float | None = None
    patience: int | None = None


class AttemptEnd(StrEnum):
    """How an attempt ended without a result.

    `LOST`: nobody heard of it for the time of its lease. `PREEMPTED`: its machine was taken away.
    `FAILED`: the training job said so.
    """

    LOST = "lost"
    PREEMPTED = "preempted"
    FAILED = "failed"


class RetryMode(StrEnum):
    """What a further attempt finds: nothing of the reports before it, or all of them."""

    RESTART = "restart"
    RESUME = "resume"


MOST_PREEMPTED_ATTEMPTS = 100
"""A program may call itself preempted each time, which must come to an end."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a trial gets a further attempt."""

    max_attempts: int = 3
    on: frozenset[AttemptEnd] = frozenset({AttemptEnd.LOST, AttemptEnd.PREEMPTED})
    mode: RetryMode = RetryMode.RESTART

    def allows(self, end: AttemptEnd, *, attempt: int, is_workers_doing: bool = False) -> bool:
        """Whether a trial whose `attempt` ended like this gets another one.

        Args:
            is_workers_doing: Its worker had to go, or its machine was taken away, which says
                nothing about the trial: only very many of these are enough.
        """
        most = self.max_attempts
        if is_workers_doing:
            most = max(most, MOST_PREEMPTED_ATTEMPTS)
        return end in self.on and attempt < most


DEFAULT_LEASE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class StudySettings:
    """What decides how long a study goes on and how its trials are handed out.

    May change while the study runs; nothing here changes what is suggested.

    Attributes:
        parallelism: Most attempts that are live at a time; None is no limit.
        lease_seconds: How long an attempt stays live without a report or heartbeat; None: for
            ever.
    """

    budget: Budget = Budget()
    parallelism: int | None = None
    lease_seconds: float | None = DEFAULT_LEASE_SECONDS
    retry: RetryPolicy = RetryPolicy()


@dataclass(frozen=True, slots=True)
class StudySpec:
    """Everything that decides what a study suggests and prunes; fixed at creation.

    Attributes:
        space: The declared search space as the client wrote it (native JSON), or None when each
            trial declares its parameters itself (define by run), or `user_code` does.
        seed: Base of every random draw of the study, 0 ≤ seed < 2**32.
        user_code: Python of the user's that declares the parameters of each trial, or from which
            sampler and pruner were taken.
    """

    name: str
    objectives: tuple[Objective, ...]
    space: Mapping[str, Any] | None
    sampler: Component
    pruner: Component | None
    seed: int
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    user_code: UserCode | None = None

    @property
    def has_terminator(self) -> bool:
        """Whether a function of the user's says when the study has enough."""
        return self.user_code is not None and self.user_code.has_terminator


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
    """One row of the study list, as of the last commit.

    Attributes:
        started: Trials that count towards `max_trials`.
        stop_reason: None while new trials are started or the study is only paused.
    """

    study_id: int
    name: str
    state: StudyState
    stop_reason: StopReason | None
    started: int
    max_trials: int | None
    objectives: tuple[Objective, ...]
    counts: TrialCounts
    best: BestTrial | None
    revision: int
    created_at: datetime
    last_activity_at: datetime
