"""Which of the values that a run has logged of a metric is its result."""

import math
from collections.abc import Mapping, Sequence


class MetricValues:
    """The last and the best value of each metric, over all rows.

    Attributes:
        last: By name, whatever it is.
        best: By name; NaN only if there was nothing else.
    """

    def __init__(self, metrics: Sequence[str], directions: Sequence[str]) -> None:
        self.last: dict[str, float] = {}
        self.best: dict[str, float] = {}
        self._maximized = {
            name
            for name, direction in zip(metrics, directions, strict=False)
            if direction == "maximize"
        }

    def add(self, values: Mapping[str, float]) -> None:
        """Takes in the values of a row."""
        self.last.update(values)
        self._improve(values)

    def take_in(self, later: "MetricValues") -> None:
        """Takes in those of all rows that followed."""
        self.last.update(later.last)
        self._improve(later.best)

    def _improve(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            if name not in self.best or self._is_better(name, value):
                self.best[name] = value

    def _is_better(self, name: str, value: float) -> bool:
        best = self.best[name]
        is_better = value > best if name in self._maximized else value < best
        return is_better or math.isnan(best)


def to_number(value: object) -> float | None:
    """Returns a logged value as a number; None for what is none, truth values among it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        # JSON's integers have no limit.
        return math.inf if value > 0 else -math.inf
