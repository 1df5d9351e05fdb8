"""The metric rows of an attempt, one JSON object a line."""

import json
import os
from collections.abc import Sequence
from typing import NamedTuple

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
    """Reads rows from number `start` on.

    Args:
        near: A position at or before it, to read less.
        limit: How many rows at most.

    Returns:
        The rows and the position after them.
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
        while (line := stream.readline()).endswith(b"\n"):
            if number >= start:
                if len(rows) == limit:
                    return rows, Position(number, offset)
                rows.append(Row(**json.loads(line)))
            number, offset = number + 1, offset + len(line)
    return rows, Position(number, offset)
