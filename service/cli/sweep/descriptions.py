"""The words for sweeps, trials and attempts that all views of a terminal share."""

from collections.abc import Iterator

import asktell

from service.cli.formats import format_number, to_line
from service.cli.sweep.snapshots import Failure, Snapshot

_LONGEST_REASON = 300


def describe_counts(snapshot: Snapshot) -> str:
    """How many trials are where."""
    counts = snapshot.summary.study.counts
    parts = [
        f"{counts.complete} complete",
        f"{counts.pruned} pruned",
        f"{counts.fail} failed",
        f"{counts.running} running",
    ]
    return ", ".join([*parts, f"{snapshot.left} left"] if snapshot.left is not None else parts)


def describe_best(snapshot: Snapshot) -> str | None:
    """Value and number of the best trial, its parameters apart."""
    if snapshot.best is None:
        return None
    objective = snapshot.summary.study.objectives[0].name
    return f"best {objective} {format_number(snapshot.best.value)} (trial {snapshot.best.number})"


def describe_failure(failure: Failure) -> str:
    """Which attempt failed, and why."""
    reason = to_line(failure.reason or failure.state)
    if len(reason) > _LONGEST_REASON:
        reason = f"{reason[:_LONGEST_REASON]}…"
    if failure.state == "lost":
        # Its trial may have gone on, and completed.
        return f"attempt {failure.attempt} of trial {failure.trial} was lost: {reason}"
    again = f" (attempt {failure.attempt})" if (failure.attempt or 1) > 1 else ""
    return f"trial {failure.trial}{again} {failure.state}: {reason}"


def describe_mirror(mirror: asktell.Mirror | None) -> str | None:
    """Where the sweep is in W&B, or why it is not there."""
    if mirror is None or (mirror.problem is None and mirror.url is None):
        return None
    if mirror.problem is not None:
        what = "not in W&B" if mirror.external_ref is None else "out of touch with W&B"
        return f"{what}: {to_line(mirror.problem)}"
    return f"in W&B: {to_line(mirror.url or '')}"


def describe_outside(attempt: asktell.Attempt) -> Iterator[str]:
    """The page of an attempt in an outside system, and what its worker has to say of it."""
    for words in (attempt.url, attempt.note):
        if words is not None:
            yield f"trial {attempt.trial}: {to_line(words)}"
