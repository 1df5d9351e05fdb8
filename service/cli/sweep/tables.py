"""Sweeps and attempts as tables for people."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import asktell
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.cli.sweep.descriptions import (
    describe_best,
    describe_counts,
    describe_failure,
    describe_mirror,
    describe_params,
    format_age,
    format_number,
    to_line,
)
from service.cli.sweep.snapshots import Failure, Snapshot

_OVER_HEADS = ("sweep", "state", "trials", "best", "running", "queue", "waiting for")
_ATTEMPT_HEADS = ("attempt", "state", "worker", "claimed", "exit", "reason or note")
_PAGE = "page"
# A pipe has no width; a table that is cut there would be of no use to anybody.
_PIPE_WIDTH = 400


def print_sweeps(sweeps: Sequence[asktell.SweepSummary], now: datetime) -> None:
    """One line for each sweep."""
    if not sweeps:
        _open_console().print("There are no sweeps; `asktell sweep run FILE` starts one.")
        return
    has_pages = any(sweep.mirror and sweep.mirror.url for sweep in sweeps)
    table = _build_table((*_OVER_HEADS, _PAGE) if has_pages else _OVER_HEADS)
    for sweep in sweeps:
        page = (sweep.mirror and sweep.mirror.url) or "-"
        table.add_row(
            Text(to_line(sweep.name)),
            sweep.state,
            _describe_progress(sweep.study),
            format_number(sweep.study.best.value) if sweep.study.best else "-",
            str(sweep.open_attempts),
            Text(to_line(sweep.queue)),
            format_age(sweep.waiting_since, now),
            *([Text(to_line(page))] if has_pages else ()),
        )
    _open_console().print(table)


def print_sweep(
    snapshot: Snapshot,
    attempts: Iterable[asktell.Attempt],
    failures: Sequence[Failure],
    now: datetime,
) -> None:
    """One sweep with its newest attempts and its last failures."""
    console = _open_console()
    summary = snapshot.summary
    why = f" ({summary.study.stop_reason})" if summary.study.stop_reason else ""
    lines = [f"{to_line(summary.name)}: {summary.state}{why}", describe_counts(snapshot)]
    if snapshot.best is not None:
        lines += [str(describe_best(snapshot)), f"  {describe_params(snapshot.best.params)}"]
    lines += filter(None, [describe_mirror(summary.mirror), snapshot.hint])
    lines += [describe_failure(failure) for failure in failures]
    for line in lines:
        console.print(line, markup=False, highlight=False)
    console.print(_build_attempt_table(attempts, now))


def _build_attempt_table(attempts: Iterable[asktell.Attempt], now: datetime) -> Table:
    attempts = list(attempts)
    has_pages = any(attempt.url for attempt in attempts)
    table = _build_table((*_ATTEMPT_HEADS, _PAGE) if has_pages else _ATTEMPT_HEADS)
    for attempt in attempts:
        table.add_row(
            attempt.id,
            attempt.state,
            Text(to_line(attempt.worker or "-")),
            f"{format_age(attempt.claimed_at, now)} ago" if attempt.claimed_at else "-",
            _describe_exit(attempt),
            Text(to_line(attempt.reason or attempt.note or "")),
            *([Text(to_line(attempt.url or "-"))] if has_pages else ()),
        )
    return table


def _describe_progress(study: asktell.StudySummary) -> str:
    counts = study.counts
    ended = counts.complete + counts.pruned + counts.fail
    return f"{ended}/{study.max_trials or '∞'}"


def _describe_exit(attempt: asktell.Attempt) -> str:
    if attempt.signal is not None:
        return f"signal {attempt.signal}"
    return "-" if attempt.exit_code is None else str(attempt.exit_code)


def _build_table(heads: Iterable[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    return table


def _open_console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)
