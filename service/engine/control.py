"""What decides whether a study hands out trials: its settings, people, and its budget."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain.studies import Budget, Direction, StopReason, StudySettings, StudyState
from service.engine.tally import Tally


@dataclass(frozen=True, slots=True)
class Control:
    """The part of a study that may be changed while it runs.

    Attributes:
        stop_reason: Set once; a reason that ends further attempts as well may replace one that
            does not.
    """

    settings: StudySettings
    is_paused: bool = False
    stop_reason: StopReason | None = None

    @property
    def hands_out_retries(self) -> bool:
        """Whether trials that were started before may still get a further attempt."""
        return self.stop_reason is None or self.stop_reason.allows_retries

    def get_state(self, *, has_unfinished: bool) -> StudyState:
        """The state that clients see."""
        if self.stop_reason is not None:
            return StudyState.STOPPING if has_unfinished else StudyState.FINISHED
        return StudyState.PAUSED if self.is_paused else StudyState.ACTIVE


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a study has come.

    Attributes:
        best_value: Of the best feasible trial, one objective; None before one.
        is_exhausted: The sampler has nothing left to suggest.
    """

    tally: Tally
    direction: Direction
    best_value: float | None
    is_exhausted: bool


def find_stop_reason(budget: Budget, standing: Standing, now: datetime) -> StopReason | None:
    """Returns why the study should start no new trials; a reason without retries comes first."""
    return next(
        (reason for reason, holds in _REASONS if holds(budget, standing, now)),
        None,
    )


def find_deadline(budget: Budget, tally: Tally) -> datetime | None:
    """Returns when `max_seconds` will be over, once the first trial was asked for."""
    if budget.max_seconds is None or tally.first_asked_at is None:
        return None
    return tally.first_asked_at + timedelta(seconds=budget.max_seconds)


def _has_reached_target(budget: Budget, standing: Standing, _now: datetime) -> bool:
    if budget.target is None or standing.best_value is None:
        return False
    if standing.direction is Direction.MINIMIZE:
        return standing.best_value <= budget.target
    return standing.best_value >= budget.target


def _has_failed_too_often(budget: Budget, standing: Standing, _now: datetime) -> bool:
    return _is_reached(budget.max_failures, standing.tally.failures_in_row)


def _has_lost_patience(budget: Budget, standing: Standing, _now: datetime) -> bool:
    return _is_reached(budget.patience, standing.tally.without_improvement)


def _has_run_out_of_time(budget: Budget, standing: Standing, now: datetime) -> bool:
    deadline = find_deadline(budget, standing.tally)
    return deadline is not None and now >= deadline


def _has_started_all(budget: Budget, standing: Standing, _now: datetime) -> bool:
    return _is_reached(budget.max_trials, standing.tally.started)


def _is_reached(limit: int | None, count: int) -> bool:
    return limit is not None and count >= limit


_Holds = Callable[[Budget, Standing, datetime], bool]
_REASONS: tuple[tuple[StopReason, _Holds], ...] = (
    (StopReason.TARGET, _has_reached_target),
    (StopReason.MAX_FAILURES, _has_failed_too_often),
    (StopReason.PATIENCE, _has_lost_patience),
    (StopReason.MAX_SECONDS, _has_run_out_of_time),
    (StopReason.EXHAUSTED, lambda _budget, standing, _now: standing.is_exhausted),
    (StopReason.MAX_TRIALS, _has_started_all),
)
