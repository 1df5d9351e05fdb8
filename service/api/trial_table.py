"""A study's trials as CSV, with the columns of Optuna's `Study.trials_dataframe`.

Unlike there, values have their objectives' names only if there are several, and dictionaries and
lists are JSON. Ours come last: attempt, reason, constraints.

A text that a spreadsheet would run as a formula gets an apostrophe in front: attributes and
reasons come from whoever runs a trial, and may be opened by somebody else. The JSON export has
every text as it is.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, TextIO

from service.api.answers import to_number, to_timestamp
from service.domain.studies import Objective
from service.domain.trials import TrialView
from service.storage.exports import TrialColumns

TABLE_FIELDS = (
    "number",
    "state",
    "params",
    "values",
    "user_attrs",
    "constraints",
    "attempt",
    "reason",
    "started_at",
    "finished_at",
)
"""Fields of `TrialView` that rows are made from."""

# OWASP, "CSV Injection".
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class TrialTable:
    """Writes rows to `file`, the header at once."""

    def __init__(
        self, file: TextIO, objectives: tuple[Objective, ...], columns: TrialColumns
    ) -> None:
        self._n_values = len(objectives)
        self._columns = columns
        self._writer = csv.writer(file)
        self._writer.writerow(_list_headings(objectives, columns))

    def write(self, trials: Iterable[TrialView]) -> None:
        """Adds a row for each trial."""
        self._writer.writerows([_to_cell(value) for value in self._list(t)] for t in trials)

    def _list(self, trial: TrialView) -> Iterator[Any]:
        columns = self._columns
        yield trial.number
        yield from trial.values or [None] * self._n_values
        yield to_timestamp(trial.started_at)
        yield to_timestamp(trial.finished_at)
        yield _compute_duration(trial.started_at, trial.finished_at)
        yield from (trial.params.get(name) for name in columns.params)
        yield from (trial.user_attrs.get(name) for name in columns.user_attrs)
        yield trial.state.value
        yield trial.attempt
        yield trial.reason
        yield from ((trial.constraints or {}).get(name) for name in columns.constraints)


def _list_headings(objectives: tuple[Objective, ...], columns: TrialColumns) -> list[str]:
    several = len(objectives) > 1
    return [
        "number",
        *([f"values_{objective.name}" for objective in objectives] if several else ["value"]),
        "datetime_start",
        "datetime_complete",
        "duration",
        *(f"params_{name}" for name in columns.params),
        *(f"user_attrs_{name}" for name in columns.user_attrs),
        "state",
        "attempt",
        "reason",
        *(f"constraints_{name}" for name in columns.constraints),
    ]


def _compute_duration(started_at: datetime | None, finished_at: datetime | None) -> str | None:
    """As pandas writes a timedelta, and reads it."""
    if started_at is None or finished_at is None:
        return None
    days, rest = divmod(finished_at - started_at, timedelta(days=1))
    return f"{days} days {(datetime.min + rest).time().isoformat()}"


def _to_cell(value: Any) -> Any:
    match value:
        case float():
            return to_number(value)
        case str():
            return f"'{value}" if value.startswith(_FORMULA_STARTS) else value
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return value
