"""The metric rows of an attempt, one JSON object a line."""

import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from service.schedulers.executors.process.collecting import Row
from service.schedulers.executors.process.folders import METRICS

MAX_ROWS = 100_000
"""Of an attempt. Of later ones only the last value of each metric is kept."""


class Position(NamedTuple):
    """Where row number `row` begins."""

    row: int
    offset: int


FIRST = Position(0, 0)


class MetricWriter:
    """Appends rows up to the limit."""

    def __init__(self, folder: str) -> None:
        path = os.path.join(folder, METRICS)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._rows = 0

    def write(self, rows: Sequence[Row]) -> None:
        kept = rows[: MAX_ROWS - self._rows]
        self._rows += len(kept)
        view = memoryview("".join(f"{json.dumps(row._asdict())}\n" for row in kept).encode())
        while view:
            view = view[os.write(self._file, view) :]


def read_rows(
    folder: str, start: int, *, near: Position = FIRST, limit: int | None = None
) -> tuple[list[Row], Position]:
    """Reads rows from number `start` on; a line that is no row is passed over.

    Args:
        near: A position at or before it, to read less.
        limit: How many rows at most.

    Returns:
        The rows and the position of the first one: until they were sent, they are read again.
    """
    rows: list[Row] = []
    number, offset = near if near.row <= start else FIRST
    try:
        stream = open(os.path.join(folder, METRICS), "rb")  # noqa: SIM115 (closed just below)
    except FileNotFoundError:
        return [], FIRST
    with stream:
        stream.seek(offset)
        # A line without an end is still being written, or was when the machine failed.
        while len(rows) != limit and (line := stream.readline()).endswith(b"\n"):
            row = _to_row(line)
            if number < start:
                number, offset = number + (row is not None), offset + len(line)
            elif row is not None:
                rows.append(row)
    return rows, Position(number, offset)


def are_values(values: dict[Any, Any]) -> bool:
    """Tells whether these are metrics as supervisors write them."""
    return all(isinstance(value, float) for value in values.values())


def _to_row(line: bytes) -> Row | None:
    """None for a line that is not of a supervisor's making: programs can write to the file."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match found:
        case {"step": int(step), "values": dict(values)} if are_values(values):
            return Row(step, values)
    return None
