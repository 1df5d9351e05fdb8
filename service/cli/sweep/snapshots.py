"""What a person who waits for a sweep wants to see, fetched with as few requests as it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Self

import asktell

from service.cli.calls import get_sweep

BAD_ENDS = ("failed", "lost")
_OPEN = ("launching", "running", "stopping")
_PAGE = 1000
_SEEN_NOWHERE = ("process",)


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with a trial.

    Attributes:
        attempt: Which execution of the trial; None: it failed before a worker had it, for its
            Python did for instance.
        state: As attempts end.
        reason: In words.
    """

    trial: int
    attempt: int | None
    state: str
    reason: str | None
    ended_at: datetime | None

    @classmethod
    def of_attempt(cls, attempt: asktell.Attempt) -> Self:
        """Of one that failed, was lost or was cancelled."""
        number, reason = attempt.attempt, attempt.reason
        return cls(attempt.trial, number, attempt.state, reason, attempt.ended_at)

    @classmethod
    def of_trial(cls, trial: asktell.FrozenTrial) -> Self:
        """Of one that failed without an attempt."""
        return cls(trial.number, None, "failed", trial.reason, trial.datetime_complete)


def list_failures(
    sweep: asktell.Sweep, states: Sequence[str], *, n_failed: int, limit: int
) -> list[Failure]:
    """The newest failures first, those of trials that no worker had among them.

    Args:
        states: Those of attempts that count.
        n_failed: How many trials of the sweep have failed.
    """
    attempts = islice(sweep.attempts(states, page_size=limit), limit)
    failures = [Failure.of_attempt(attempt) for attempt in attempts]
    if n_failed:
        trials = sweep.study.get_trials(states=["FAIL"], page_size=_PAGE)
        newest = sorted(trials, key=_tell_age, reverse=True)[:limit]
        failures += [Failure.of_trial(each) for each in newest if not _was_attempted(sweep, each)]
    return sorted(failures, key=_tell_age, reverse=True)[:limit]


def _tell_age(failed: Failure | asktell.FrozenTrial) -> tuple[float, int]:
    """Sorts by when it failed; what has not ended comes first."""
    if isinstance(failed, Failure):
        at, number = failed.ended_at, failed.trial
    else:
        at, number = failed.datetime_complete, failed.number
    return (0.0 if at is None else at.timestamp(), number)


def _was_attempted(sweep: asktell.Sweep, trial: asktell.FrozenTrial) -> bool:
    return next(sweep.attempts(trial=trial.number, page_size=1), None) is not None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A sweep at one moment.

    Attributes:
        best: The best trial; None before there is one, and for several objectives.
        failure: The last one.
        newest: The newest attempt that runs, of sweeps whose attempts are somewhere to be seen.
        hint: What keeps it from going on, and what to do about that.
    """

    summary: asktell.SweepSummary
    best: asktell.FrozenTrial | None
    failure: Failure | None
    newest: asktell.Attempt | None
    hint: str | None

    @property
    def ended(self) -> int:
        """How many trials have."""
        counts = self.summary.study.counts
        return counts.complete + counts.pruned + counts.fail

    @property
    def left(self) -> int | None:
        """How many trials the budget still has for the future; None: any number."""
        progress = self.summary.study
        if progress.max_trials is None:
            return None
        return max(0, progress.max_trials - progress.started)

    @property
    def has_succeeded(self) -> bool:
        """Whether it came to its end, and to a result."""
        summary = self.summary
        return summary.state == "finished" and summary.study.counts.complete > 0


class Snapshots:
    """Looks at one sweep again and again; asks for details only when they have changed.

    Args:
        client: Of its own, for it need not be patient: the next look comes soon.
        name: The sweep's.
    """

    def __init__(self, client: asktell.Client, name: str) -> None:
        self._client = client
        self._name = name
        self._opened: asktell.Sweep | None = None
        self._best: asktell.FrozenTrial | None = None
        self._failure: Failure | None = None
        self._failures_seen = (0, 0)
        self._newest: asktell.Attempt | None = None
        self._newest_of: int | None = None
        self._revision_seen: int | None = None

    def take(self) -> Snapshot:
        """The sweep as it is now.

        Raises:
            asktell.AsktellError: The server does not answer, or the sweep is gone.
        """
        if self._opened is None:
            self._opened = get_sweep(self._client, self._name)
        sweep = self._opened
        summary = sweep.summary()
        return Snapshot(
            summary,
            self._find_best(sweep, summary),
            self._find_failure(sweep, summary),
            self._find_newest(sweep, summary),
            self._find_hint(summary),
        )

    def _find_best(
        self, sweep: asktell.Sweep, summary: asktell.SweepSummary
    ) -> asktell.FrozenTrial | None:
        best = summary.study.best
        if best is None:
            return None
        if self._best is None or self._best.number != best.number:
            self._best = sweep.study.get_trial(best.number)
        return self._best

    def _find_failure(self, sweep: asktell.Sweep, summary: asktell.SweepSummary) -> Failure | None:
        n_failed = summary.study.counts.fail
        seen = (sum(summary.attempts.get(state, 0) for state in BAD_ENDS), n_failed)
        if seen != self._failures_seen:
            found = list_failures(sweep, BAD_ENDS, n_failed=n_failed, limit=1)
            self._failure = found[0] if found else None
            self._failures_seen = seen
        return self._failure

    def _find_newest(
        self, sweep: asktell.Sweep, summary: asktell.SweepSummary
    ) -> asktell.Attempt | None:
        if summary.executor in _SEEN_NOWHERE or not summary.open_attempts:
            return None
        if summary.study.revision != self._newest_of:
            self._newest = next(iter(sweep.attempts(_OPEN, page_size=1)), None)
            self._newest_of = summary.study.revision
        return self._newest

    def _find_hint(self, summary: asktell.SweepSummary) -> str | None:
        if summary.state == "paused":
            return f"paused: `asktell sweep resume {summary.name}` lets it go on"
        if summary.is_over or not (self._is_still(summary) or _is_waiting(summary)):
            return None
        is_left = summary.open_attempts > 0
        there = [
            each
            for each in self._client.list_workers()
            if _serves_queue(each, summary) and (is_left or each.state == "active")
        ]
        if any(summary.executor in worker.executors for worker in there):
            return None
        return _advise(summary, has_workers=bool(there))

    def _is_still(self, summary: asktell.SweepSummary) -> bool:
        """Whether attempts are open, and nothing is new of them since the last look."""
        before, self._revision_seen = self._revision_seen, summary.study.revision
        return summary.open_attempts > 0 and before in (None, summary.study.revision)


def _is_waiting(summary: asktell.SweepSummary) -> bool:
    return summary.state == "active" and summary.wanted != 0 and not summary.open_attempts


def _serves_queue(worker: asktell.Worker, summary: asktell.SweepSummary) -> bool:
    return worker.queue == summary.queue and not worker.is_away


def _advise(summary: asktell.SweepSummary, *, has_workers: bool) -> str:
    nobody = f"no worker for queue {summary.queue}"
    if summary.open_attempts:
        nobody = f"{nobody} follows what runs"
    start = f"start `asktell worker --queue {summary.queue}`"
    if not has_workers:
        return f"{nobody}: {start}"
    if not summary.open_attempts:
        nobody = f"{nobody} has the executor {summary.executor}"
    return (
        f"{nobody}: {start} where the package of {summary.executor} is installed, "
        "or see the --executors of those that run"
    )
