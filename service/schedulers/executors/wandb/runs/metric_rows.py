"""The rows of a run, kept small: many attempts may have a hundred thousand each."""

from array import array
from collections.abc import Mapping, Sequence
from typing import overload

from service.schedulers.executors.base import MOST_ROWS, MetricRow


class MetricRows(Sequence[MetricRow]):
    """Rows in the order in which they came.

    Args:
        metrics: What a row may have values of.
    """

    def __init__(self, metrics: Sequence[str]) -> None:
        self._metrics = tuple(metrics)
        self._steps = array("q")
        self._values = [array("d") for _ in metrics]
        # NaN is a value.
        self._has_values = [bytearray() for _ in metrics]

    def append(self, step: int, values: Mapping[str, float]) -> None:
        """Adds a row that has some of the metrics."""
        self._steps.append(step)
        columns = zip(self._metrics, self._values, self._has_values, strict=True)
        for name, column, has_value in columns:
            column.append(values.get(name, 0.0))
            has_value.append(name in values)

    def __len__(self) -> int:
        return len(self._steps)

    @overload
    def __getitem__(self, index: int) -> MetricRow: ...

    @overload
    def __getitem__(self, index: slice) -> list[MetricRow]: ...

    def __getitem__(self, index: int | slice) -> MetricRow | list[MetricRow]:
        if isinstance(index, slice):
            return self._cut(index)
        columns = zip(self._metrics, self._values, self._has_values, strict=True)
        values = {name: column[index] for name, column, has_value in columns if has_value[index]}
        return MetricRow(self._steps[index], values)

    def read_from(self, cursor: int) -> list[MetricRow]:
        """Returns what a sighting has to hold of the rows from this one on.

        Looks are frequent and rows may be many: no more of them than can be told, and one.
        """
        return self[cursor : cursor + MOST_ROWS + 1]

    def _cut(self, part: slice) -> list[MetricRow]:
        """Column by column, which takes a third of the time."""
        steps = self._steps[part]
        found: list[dict[str, float]] = [{} for _ in steps]
        columns = zip(self._metrics, self._values, self._has_values, strict=True)
        for name, column, has_value in columns:
            for values, value, is_there in zip(found, column[part], has_value[part], strict=True):
                if is_there:
                    values[name] = value
        return list(map(MetricRow, steps, found))
