"""What a study does, in plain values: one thing after another, no engine, no database."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from service.domain.errors import (
    IdempotencyKeyReused,
    InvalidReport,
    InvalidValues,
    ParallelismReached,
    StudyFinished,
    StudyPaused,
    TrialNotFound,
    TrialNotRunning,
)
from service.domain.studies import (
    DEFAULT_LEASE_SECONDS,
    AttemptEnd,
    RetryMode,
    StopReason,
    StudySettings,
    StudyState,
    TrialCounts,
)
from service.domain.trials import AttemptPhase, Outcome, TrialState
from tests.integration.study_life_trial import PlainTrial

PRUNED_ABOVE = 7.0
"""A report above this is what the study's ThresholdPruner prunes for."""

Granted = tuple[int, int, datetime | None]
"""Number, attempt, and until when it is live."""

# Ahead of the database's own clock, by which it forgets idempotency keys.
_BEGINNING = datetime(2100, 1, 1, tzinfo=UTC)
_NO_MORE_ATTEMPTS = "Nobody came back."


@dataclass(slots=True)
class PlainStudy:
    """One study that minimises; what is refused raises before anything has changed.

    Attributes:
        declared: Names that every started trial gets; none if its code suggests them.
        ends: Numbers of the trials that have ended, in that order.
    """

    settings: StudySettings
    declared: frozenset[str]
    now: datetime = _BEGINNING
    trials: list[PlainTrial] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    is_paused: bool = False
    stop_reason: StopReason | None = None
    replies: dict[str | None, tuple[Any, list[Granted]]] = field(default_factory=dict)
    started: int = 0
    first_asked_at: datetime | None = None

    def fork(self) -> "PlainStudy":
        """Returns a study of its own that is where this one is."""
        trials = [trial.fork() for trial in self.trials]
        return replace(self, trials=trials, ends=list(self.ends), replies=dict(self.replies))

    # What clients do

    def ask(
        self,
        count: int,
        fixed: Mapping[str, Any],
        lease_seconds: float | Literal["study"] | None,
        *,
        key: str | None,
    ) -> list[Granted]:
        """Returns what is handed out; for a known key what was."""
        body = (count, fixed, lease_seconds)
        if key in self.replies:
            first, answer = self.replies[key]
            if first != body:
                raise IdempotencyKeyReused("")
            return answer
        if lease_seconds == "study":
            lease_seconds = self.settings.lease_seconds
        answer = self._hand_out(count, fixed, lease_seconds)
        if key is not None:
            self.replies[key] = (body, answer)
        return answer

    def _hand_out(
        self, count: int, fixed: Mapping[str, Any], lease_seconds: float | None
    ) -> list[Granted]:
        retries = [] if fixed or not self._retries else self._list(lambda trial: trial.is_retry)
        left = 0 if self.stop_reason else min(count, self._trials_left)
        if not retries and not left:
            raise StudyFinished("")
        if self.is_paused:
            raise StudyPaused("")
        room = min(count, self._room)
        if not room:
            raise ParallelismReached("")
        numbers = retries[:room]
        numbers += [self._start(fixed) for _ in range(min(room - len(numbers), left))]
        for number in numbers:
            self._grant(self.trials[number], lease_seconds)
        self._settle()
        return [(n, self.trials[n].attempt, self.trials[n].expires_at) for n in numbers]

    def report(self, number: int, points: Sequence[tuple[int, float]], attempt: int | None) -> None:
        trial = self._get_running(number)
        if any(step < 0 for step, _ in points):
            raise InvalidReport("")
        trial.check_attempt(attempt)
        self._renew(trial)
        new = {step: value for step, value in reversed(points) if step not in trial.reports}
        for step in sorted(new):
            trial.reports[step] = new[step]
            trial.judged_at = step
            trial.should_prune |= trial.reports[max(trial.reports)] > PRUNED_ABOVE

    def heartbeat(self, number: int, attempt: int | None) -> None:
        self.report(number, [], attempt)

    def decide(self, number: int, attempt: int | None) -> None:
        self._get(number).check_attempt(attempt)

    def suggest(self, number: int, names: set[str]) -> set[str]:
        trial = self._get_running(number)
        trial.names |= names
        return names

    def tell(self, outcomes: Sequence[tuple[int, Outcome]]) -> None:
        for number, outcome in outcomes:
            self._tell_one(number, outcome)
        self._settle()

    def enqueue(self, fixed: Mapping[str, Any]) -> list[int]:
        if self.stop_reason is not None:
            raise StudyFinished("")
        self.trials.append(PlainTrial(TrialState.WAITING, fixed=fixed))
        return [len(self.trials) - 1]

    def import_trial(
        self, outcome: Outcome, reports: Mapping[int, float], names: set[str]
    ) -> list[int]:
        trial = PlainTrial(
            attempt=1,
            reports=dict(reports),
            constraints=outcome.constraints,
            is_imported=True,
            names=names,
        )
        self.trials.append(trial)
        self._end(trial, outcome.state, outcome.values, outcome.reason)
        self._settle()
        return [len(self.trials) - 1]

    # What people do

    def pause(self) -> None:
        self.is_paused = True

    def stop(self) -> None:
        if self.state is not StudyState.FINISHED:
            self.is_paused, self.stop_reason = False, StopReason.STOPPED

    def resume(self) -> None:
        reason = self._find_stop_reason()
        if reason is not None and not (self.is_paused and reason is StopReason.MAX_TRIALS):
            raise StudyFinished("")
        self.is_paused, self.stop_reason = False, reason

    def configure(self, part: str | None, name: str, value: Any) -> None:
        if part is not None:
            name, value = part, replace(getattr(self.settings, part), **{name: value})
        self.settings = replace(self.settings, **{name: value})
        if self.stop_reason is not StopReason.STOPPED:
            self.stop_reason = self._find_stop_reason()

    # What time does

    def expire(self) -> None:
        """Looks once at what is overdue, with what was known of the study before."""
        is_closed, retries = self.stop_reason is not None, self._retries
        for trial in sorted(self.trials, key=lambda trial: trial.is_retry and not retries):
            is_due = trial.is_overdue(self.now)
            is_left = trial.is_retry and (not retries or (is_closed and is_due))
            if trial.phase is AttemptPhase.LIVE and is_due:
                self._lose(trial)
            elif is_left or (trial.phase is AttemptPhase.EXPIRED and is_due):
                self._give_up(trial)
        self._settle()

    def restart(self) -> None:
        """Another process has the study: whoever called in vain gets the whole lease again."""
        for trial in self.trials:
            if trial.lease_seconds is not None and trial.phase is not AttemptPhase.ENDED:
                trial.expires_at = self._until(trial.lease_seconds)

    # What anybody sees

    @property
    def state(self) -> StudyState:
        if self.stop_reason is None:
            return StudyState.PAUSED if self.is_paused else StudyState.ACTIVE
        is_running = any(trial.state is TrialState.RUNNING for trial in self.trials)
        return StudyState.STOPPING if is_running else StudyState.FINISHED

    @property
    def counts(self) -> TrialCounts:
        states = [trial.state.name.lower() for trial in self.trials]
        return TrialCounts(**{state: states.count(state) for state in states})

    @property
    def best(self) -> int | None:
        """The lowest value of a feasible trial, of equal ones the lower number."""
        reached = [
            (trial.values, number)
            for number, trial in enumerate(self.trials)
            if trial.state is TrialState.COMPLETE and trial.is_feasible
        ]
        return min(reached)[1] if reached else None

    @property
    def due_at(self) -> datetime | None:
        """When somebody must look at the study though nobody calls."""
        dues = [
            self.now if trial.is_retry and not self._retries else trial.expires_at
            for trial in self.trials
            if trial.phase is not AttemptPhase.ENDED and (self.stop_reason or not trial.is_retry)
        ]
        is_running = any(trial.state is TrialState.RUNNING for trial in self.trials)
        if self.stop_reason is None or (self._retries and is_running):
            dues.append(self._deadline)
        return min((due for due in dues if due is not None), default=None)

    # How

    @property
    def _retries(self) -> bool:
        return self.stop_reason in (None, StopReason.MAX_TRIALS)

    @property
    def _room(self) -> int:
        live = self._list(lambda trial: trial.phase is AttemptPhase.LIVE)
        return max(0, (self.settings.parallelism or 10**9) - len(live))

    @property
    def _trials_left(self) -> int:
        return max(0, (self.settings.budget.max_trials or 10**9) - self.started)

    @property
    def _deadline(self) -> datetime | None:
        if self.settings.budget.max_seconds is None or self.first_asked_at is None:
            return None
        return self.first_asked_at + timedelta(seconds=self.settings.budget.max_seconds)

    def _list(self, wanted: Callable[[PlainTrial], bool]) -> list[int]:
        return [number for number, trial in enumerate(self.trials) if wanted(trial)]

    def _until(self, lease_seconds: float | None) -> datetime | None:
        return None if lease_seconds is None else self.now + timedelta(seconds=lease_seconds)

    def _get(self, number: int) -> PlainTrial:
        if number >= len(self.trials):
            raise TrialNotFound("")
        return self.trials[number]

    def _get_running(self, number: int) -> PlainTrial:
        trial = self._get(number)
        if trial.state is not TrialState.RUNNING:
            raise TrialNotRunning("")
        return trial

    def _start(self, fixed: Mapping[str, Any]) -> int:
        waiting = [] if fixed else self._list(lambda trial: trial.state is TrialState.WAITING)
        if not waiting:
            self.trials.append(PlainTrial(fixed=fixed))
        number = waiting[0] if waiting else len(self.trials) - 1
        self.trials[number].state = TrialState.RUNNING
        self.trials[number].names = set(self.declared)
        self.started += 1
        self.first_asked_at = self.first_asked_at or self.now
        return number

    def _grant(self, trial: PlainTrial, lease_seconds: float | None) -> None:
        if trial.attempt and self.settings.retry.mode is RetryMode.RESTART:
            trial.reports, trial.judged_at, trial.should_prune = {}, None, False
        trial.phase, trial.attempt = AttemptPhase.LIVE, trial.attempt + 1
        trial.lease_seconds, trial.expires_at = lease_seconds, self._until(lease_seconds)

    def _renew(self, trial: PlainTrial) -> None:
        if trial.phase is AttemptPhase.QUEUED and trial.lease_seconds is None:
            return
        if self._room:
            trial.phase = AttemptPhase.LIVE
        trial.expires_at = self._until(trial.lease_seconds)

    def _may_retry(self, trial: PlainTrial, end: AttemptEnd) -> bool:
        policy = self.settings.retry
        return self._retries and end in policy.on and trial.attempt < policy.max_attempts

    def _tell_one(self, number: int, outcome: Outcome) -> None:
        trial = self._get(number)
        if (outcome.state is TrialState.COMPLETE) != (outcome.values is not None):
            raise InvalidValues("")
        if trial.state is TrialState.WAITING:
            raise TrialNotRunning("")
        if trial.phase is AttemptPhase.LIVE or outcome.attempt not in range(1, trial.attempt):
            trial.check_attempt(outcome.attempt)
        if trial.state.is_finished:
            trial.check_repeat(outcome)
            return
        if outcome.state is TrialState.FAIL and self._may_retry(trial, outcome.cause):
            if trial.phase is not AttemptPhase.QUEUED:
                trial.expires_at = self._until(trial.lease_seconds or DEFAULT_LEASE_SECONDS)
                trial.phase, trial.lease_seconds = AttemptPhase.QUEUED, None
            return
        if outcome.state is TrialState.COMPLETE or any(each.constraints for each in self.trials):
            trial.constraints = outcome.constraints
        self._end(trial, outcome.state, outcome.values, outcome.reason)

    def _lose(self, trial: PlainTrial) -> None:
        if trial.should_prune:
            self._give_up(trial)
            return
        is_retried = self._may_retry(trial, AttemptEnd.LOST)
        trial.phase = AttemptPhase.QUEUED if is_retried else AttemptPhase.EXPIRED
        trial.expires_at = self._until(trial.lease_seconds)

    def _give_up(self, trial: PlainTrial) -> None:
        state = TrialState.PRUNED if trial.should_prune else TrialState.FAIL
        self._end(trial, state, reason=_NO_MORE_ATTEMPTS)

    def _end(
        self,
        trial: PlainTrial,
        state: TrialState,
        values: tuple[float, ...] | None = None,
        reason: str | None = None,
    ) -> None:
        if state is TrialState.PRUNED and trial.reports:
            values = (trial.reports[max(trial.reports)],)
        trial.state, trial.phase, trial.values = state, AttemptPhase.ENDED, values
        trial.reason, trial.expires_at = reason, None
        self.ends.append(next(n for n, other in enumerate(self.trials) if other is trial))

    # When it is over

    def _settle(self) -> None:
        if self._retries:
            self.stop_reason = self._find_stop_reason() or self.stop_reason

    def _find_stop_reason(self) -> StopReason | None:
        budget = self.settings.budget
        best = self.best
        value = math.inf if best is None else self.trials[best].values[0]
        deadline = self._deadline
        spent = {
            StopReason.TARGET: budget.target is not None and value <= budget.target,
            StopReason.MAX_FAILURES: self._count_failures() >= (budget.max_failures or math.inf),
            StopReason.PATIENCE: self._count_patience() >= (budget.patience or math.inf),
            StopReason.MAX_SECONDS: deadline is not None and deadline <= self.now,
            StopReason.MAX_TRIALS: self.started >= (budget.max_trials or math.inf),
        }
        return next((reason for reason, is_spent in spent.items() if is_spent), None)

    def _count_failures(self) -> int:
        ends = [self.trials[number] for number in self.ends]
        states = [trial.state for trial in ends if not trial.is_imported]
        others = [place for place, state in enumerate(states) if state is not TrialState.FAIL]
        return len(states) - 1 - max(others, default=-1)

    def _count_patience(self) -> int:
        count, best = 0, math.inf
        for trial in map(self.trials.__getitem__, self.ends):
            count += trial.state is not TrialState.FAIL and not trial.is_imported
            if trial.state is TrialState.COMPLETE and trial.is_feasible and trial.values[0] < best:
                count, best = 0, trial.values[0]
        return count
