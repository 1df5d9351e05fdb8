"""What a person who waits for a sweep wants to see, fetched with as few requests as it takes."""

from dataclasses import dataclass
from itertools import islice

import asktell

_BAD_ENDS = ("failed", "lost")
_OPEN = ("launching", "running", "stopping")
_SEEN_NOWHERE = ("process",)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A sweep at one moment.

    Attributes:
        best: The best trial; None before there is one, and for several objectives.
        failure: The attempt that failed last.
        newest: The newest attempt that runs, of sweeps whose attempts are somewhere to be seen.
        hint: What keeps it from going on, and what to do about that.
    """

    summary: asktell.SweepSummary
    best: asktell.FrozenTrial | None
    failure: asktell.Attempt | None
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
        self._failure: asktell.Attempt | None = None
        self._failures_seen = 0
        self._newest: asktell.Attempt | None = None
        self._revision_seen: int | None = None

    def take(self) -> Snapshot:
        """The sweep as it is now.

        Raises:
            asktell.AsktellError: The server does not answer, or the sweep is gone.
        """
        if self._opened is None:
            self._opened = self._client.get_sweep(self._name)
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

    def _find_failure(
        self, sweep: asktell.Sweep, summary: asktell.SweepSummary
    ) -> asktell.Attempt | None:
        failures = sum(summary.attempts.get(state, 0) for state in _BAD_ENDS)
        if failures != self._failures_seen:
            newest = sweep.attempts(_BAD_ENDS, page_size=1)
            self._failure = next(islice(newest, 1), None)
            self._failures_seen = failures
        return self._failure

    def _find_newest(
        self, sweep: asktell.Sweep, summary: asktell.SweepSummary
    ) -> asktell.Attempt | None:
        if summary.executor in _SEEN_NOWHERE or not summary.open_attempts:
            return None
        if summary.study.revision != self._revision_seen:
            self._newest = next(iter(sweep.attempts(_OPEN, page_size=1)), None)
            self._revision_seen = summary.study.revision
        return self._newest

    def _find_hint(self, summary: asktell.SweepSummary) -> str | None:
        if summary.state == "paused":
            return f"paused: `asktell sweep resume {summary.name}` lets it go on"
        if summary.state != "active" or summary.wanted == 0 or summary.open_attempts:
            return None
        there = [each for each in self._client.list_workers() if _serves_queue(each, summary)]
        if any(summary.executor in worker.executors for worker in there):
            return None
        return _advise(summary, has_workers=bool(there))


def _serves_queue(worker: asktell.Worker, summary: asktell.SweepSummary) -> bool:
    return worker.queue == summary.queue and worker.state == "active" and not worker.is_away


def _advise(summary: asktell.SweepSummary, *, has_workers: bool) -> str:
    nobody = f"no worker for queue {summary.queue}"
    start = f"start `asktell worker --queue {summary.queue}`"
    if not has_workers:
        return f"{nobody}: {start}"
    return (
        f"{nobody} has the executor {summary.executor}: {start} where its package is installed, "
        "or see the --executors of those that run"
    )
