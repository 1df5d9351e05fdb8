"""Sweeps and attempts as tables for people."""

from collections.abc import Sequence
from datetime import datetime

import asktell
import typer

from service.cli.formats import describe_params, format_age, format_number, to_line
from service.cli.sweep.descriptions import (
    describe_best,
    describe_counts,
    describe_failure,
    describe_mirror,
)
from service.cli.sweep.snapshots import Failure, Snapshot
from service.cli.tables import print_line, print_table

_OVER_HEADS = ("sweep", "state", "trials", "best", "running", "queue", "waiting for")
_ATTEMPT_HEADS = ("attempt", "state", "worker", "claimed", "exit", "reason, note")
_PAGE = "page"


def print_sweeps(sweeps: Sequence[asktell.SweepSummary], now: datetime) -> None:
    """One line for each sweep."""
    if not sweeps:
        typer.echo("There are no sweeps; `asktell sweep run FILE` starts one.")
        return
    pages = [sweep.mirror.url if sweep.mirror else None for sweep in sweeps]
    rows = [_describe_row(sweep, now) for sweep in sweeps]
    _print_with_pages(_OVER_HEADS, rows, pages)


def print_sweep(
    snapshot: Snapshot,
    attempts: Sequence[asktell.Attempt],
    failures: Sequence[Failure],
    now: datetime,
) -> None:
    """One sweep with its newest attempts and its last failures."""
    summary = snapshot.summary
    why = f" ({summary.study.stop_reason})" if summary.study.stop_reason else ""
    lines = [f"{to_line(summary.name)}: {summary.state}{why}", describe_counts(snapshot)]
    if snapshot.best is not None:
        lines += [str(describe_best(snapshot)), f"  {describe_params(snapshot.best.params)}"]
    lines += filter(None, [describe_mirror(summary.mirror), snapshot.hint])
    lines += [describe_failure(failure) for failure in failures]
    for line in lines:
        print_line(line)
    rows = [_describe_attempt(attempt, now) for attempt in attempts]
    _print_with_pages(_ATTEMPT_HEADS, rows, [attempt.url for attempt in attempts])


def _print_with_pages(
    heads: Sequence[str], rows: Sequence[Sequence[str]], pages: Sequence[str | None]
) -> None:
    """Print what has pages outside with a column of them."""
    if any(pages):
        heads = (*heads, _PAGE)
        rows = [(*row, page or "-") for row, page in zip(rows, pages, strict=True)]
    print_table(heads, rows)


def _describe_row(sweep: asktell.SweepSummary, now: datetime) -> Sequence[str]:
    return (
        sweep.name,
        sweep.state,
        _describe_progress(sweep.study),
        format_number(sweep.study.best.value) if sweep.study.best else "-",
        str(sweep.open_attempts),
        sweep.queue,
        format_age(sweep.waiting_since, now),
    )


def _describe_attempt(attempt: asktell.Attempt, now: datetime) -> Sequence[str]:
    return (
        attempt.id,
        attempt.state,
        attempt.worker or "-",
        f"{format_age(attempt.claimed_at, now)} ago" if attempt.claimed_at else "-",
        _describe_exit(attempt),
        "; ".join(filter(None, (attempt.reason, attempt.note))),
    )


def _describe_progress(study: asktell.StudySummary) -> str:
    counts = study.counts
    ended = counts.complete + counts.pruned + counts.fail
    return f"{ended}/{study.max_trials or '∞'}"


def _describe_exit(attempt: asktell.Attempt) -> str:
    if attempt.signal is not None:
        return f"signal {attempt.signal}"
    return "-" if attempt.exit_code is None else str(attempt.exit_code)
