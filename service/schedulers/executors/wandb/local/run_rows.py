"""Reads rows of metrics in the history that a run has logged."""

import math
from collections.abc import Sequence

from service.schedulers.executors.base import MetricRow
from service.schedulers.executors.wandb.local.run_records import History, read_key

_MAX_STEP = 2**31 - 1


class RowReader:
    """Finds metrics by their names; of nested ones the names are joined by dots."""

    def __init__(self, metrics: Sequence[str], step_metric: str | None) -> None:
        self._metrics = tuple(metrics)
        self._step_metric = step_metric
        self._wanted = frozenset((*metrics, step_metric))

    def read(self, history: History) -> MetricRow | None:
        """Returns a row of history; None if it has none of the metrics."""
        found = {}
        for item in history.item:
            key = read_key(item)
            if key in self._wanted and (number := read_number(item.value_json)) is not None:
                found[key] = number
        values = {name: found[name] for name in self._metrics if name in found}
        return MetricRow(self._find_step(history, found), values) if values else None

    def _find_step(self, history: History, found: dict[str, float]) -> int:
        step = found.get(self._step_metric, -1.0) if self._step_metric is not None else -1.0
        if 0 <= step <= _MAX_STEP and step == int(step):
            return int(step)
        return min(history.step.num, _MAX_STEP)


def read_number(value_json: str) -> float | None:
    """Returns a logged number, which may be NaN or an infinity; None for anything else."""
    # Of all JSON only numbers are numbers to Python, and this is much faster than to parse it.
    try:
        return float(value_json)
    except ValueError:
        return None


def to_number(value: object) -> float | None:
    """Returns what was parsed as a number; None for anything else, truth values among it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        # JSON's integers have no limit.
        return math.inf if value > 0 else -math.inf
