"""The progress bar of `Study.optimize`, drawn by tqdm where that is installed."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asktell._records import StudySummary
    from asktell._retries import Clock
    from asktell._study import Study


class ProgressBar:
    """Counts the trials of one `optimize`, or its seconds, and names the best of the study.

    Threads may share it. Nothing is drawn without tqdm, and a warning says so.

    Args:
        study: Of which to say how far it is; one request after each trial.
        n_trials: How many there will be; None if nobody knows.
        timeout_seconds: What to count instead, if there is no number of trials.
        clock: Source of time.
    """

    def __init__(
        self, study: Study, *, n_trials: int | None, timeout_seconds: float | None, clock: Clock
    ) -> None:
        self._study = study
        self._clock = clock
        self._started_at = clock.monotonic()
        self._seconds = timeout_seconds if n_trials is None else None
        self._lock = threading.Lock()
        self._bar = _open_bar(n_trials, self._seconds)

    def advance(self) -> None:
        """Notes that a trial has ended."""
        if self._bar is None:
            return
        summary = self._study.summary()
        with self._lock:
            self._bar.set_description(_describe_best(summary), refresh=False)
            self._bar.set_postfix_str(_describe_counts(summary), refresh=False)
            self._bar.update(self._find_step())

    def close(self) -> None:
        """Leaves it as it is and draws no more."""
        if self._bar is not None:
            self._bar.close()

    def _find_step(self) -> float:
        if self._seconds is None:
            return 1
        assert self._bar is not None
        elapsed = self._clock.monotonic() - self._started_at
        return float(min(elapsed, self._seconds) - self._bar.n)


def _open_bar(n_trials: int | None, seconds: float | None) -> Any:
    try:
        from tqdm.auto import tqdm
    except ModuleNotFoundError:
        warnings.warn("No progress bar is shown without tqdm: pip install tqdm.", stacklevel=5)
        return None
    if seconds is None:
        return tqdm(total=n_trials, unit="trial")
    form = "{desc}{percentage:3.0f}%|{bar}| {elapsed}/" + tqdm.format_interval(seconds)
    return tqdm(total=seconds, bar_format=form + "{postfix}")


def _describe_best(summary: StudySummary) -> str:
    if summary.best is None:
        return ""
    return f"Best trial: {summary.best.number}. Best value: {summary.best.value:.6g}"


def _describe_counts(summary: StudySummary) -> str:
    counts = summary.counts
    return f"{counts.complete + counts.pruned + counts.fail} finished in {summary.name!r}"
