"""What a run says of an attempt's objectives, wherever that is read."""

from collections.abc import Mapping, Sequence

from service.schedulers.executors.base import Launch
from service.schedulers.executors.process.metric_files import MAX_ROWS
from service.schedulers.executors.wandb.runs.metric_rows import MetricRows
from service.schedulers.executors.wandb.runs.metric_values import MetricValues, to_number
from service.schedulers.executors.wandb.runs.run_summary import RunSummary

_MAX_STEP = 2**31 - 1


class RunMetrics:
    """Takes in what a run logs, row by row, and its summary.

    Args:
        metrics: Names as they are logged; those of nested values are joined by dots.
        directions: Of each metric, "minimize" or "maximize".
        step_metric: Whose values are the steps, instead of W&B's own.
        value: Which value of a metric counts: "last", "best" or "summary".
        max_rows: Of later ones only the values count.

    Attributes:
        keys: Names of what has to be given of each row.
        rows: All rows with at least one of the metrics, in the order in which they came, up to a
            limit.
        summary: That of the run; given only if it counts.
        earlier: What an attempt that had to leave off had logged of the same run. Its values count,
            its rows are not this attempt's.
    """

    def __init__(
        self,
        metrics: Sequence[str],
        directions: Sequence[str],
        *,
        step_metric: str | None = None,
        value: str = "last",
        max_rows: int = MAX_ROWS,
    ) -> None:
        steps = () if step_metric is None else (step_metric,)
        self.keys = tuple(dict.fromkeys((*metrics, *steps)))
        self.rows = MetricRows(metrics)
        self.summary = RunSummary(metrics, directions)
        self.earlier: RunMetrics | None = None
        self._metrics = tuple(metrics)
        self._directions = tuple(directions)
        self._step_metric = step_metric
        self._value = value
        self._max_rows = max_rows
        self._values = MetricValues(metrics, directions)

    @classmethod
    def from_launch(cls, launch: Launch, *, max_rows: int = MAX_ROWS) -> "RunMetrics":
        """Returns them empty, by what the attempt's sweep says of its metrics."""
        return cls(
            launch.metrics,
            launch.directions,
            step_metric=launch.arguments.get("step_metric"),
            value=launch.arguments.get("value") or "last",
            max_rows=max_rows,
        )

    @property
    def is_by_summary(self) -> bool:
        """Whether the summary counts."""
        return self._value == "summary"

    def add(self, logged: Mapping[str, object], step: int) -> None:
        """Takes in what was logged at one of W&B's steps, after all before."""
        found = {key: to_number(logged[key]) for key in self.keys if key in logged}
        numbers = {key: number for key, number in found.items() if number is not None}
        values = {name: numbers[name] for name in self._metrics if name in numbers}
        if not values:
            return
        self._values.add(values)
        if len(self.rows) < self._max_rows:
            self.rows.append(self._find_step(numbers, step), values)

    def list_values(self) -> dict[str, float]:
        """Returns the value of each metric that has one: the last, the best or the summary's."""
        if self._value == "summary":
            return self.summary.list_values(None if self.earlier is None else self.earlier.summary)
        whole = MetricValues(self._metrics, self._directions)
        for part in (self.earlier, self):
            if part is not None:
                whole.take_in(part._values)
        return whole.best if self._value == "best" else whole.last

    def _find_step(self, numbers: Mapping[str, float], step: int) -> int:
        own = -1.0 if self._step_metric is None else numbers.get(self._step_metric, -1.0)
        if 0 <= own <= _MAX_STEP and own == int(own):
            return int(own)
        return min(step, _MAX_STEP)
