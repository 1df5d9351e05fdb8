"""What a run in W&B says of an attempt's objectives."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.schedulers.executors.base import Launch, MetricRow
from service.schedulers.executors.process.metric_files import MAX_ROWS
from service.schedulers.executors.wandb.local.run_records import Item
from service.schedulers.executors.wandb.local.run_rows import to_number
from service.schedulers.executors.wandb.runs.metric_values import MetricValues
from service.schedulers.executors.wandb.runs.run_summary import RunSummary

_MAX_STEP = 2**31 - 1


class LaunchedMetrics:
    """The rows of an attempt, and the values that are told at its end.

    Attributes:
        rows: Those with an objective, in the order of W&B's steps; of very many the first ones.
    """

    def __init__(self, launch: Launch) -> None:
        self._names = launch.metrics
        self._directions = launch.directions
        self._step_metric: str | None = launch.arguments.get("step_metric")
        self._value: str = launch.arguments.get("value") or "last"
        self._values = MetricValues(launch.metrics, launch.directions)
        self.rows: list[MetricRow] = []

    @property
    def keys(self) -> tuple[str, ...]:
        """What is to be read of the run's history."""
        return self._names if self._step_metric is None else (*self._names, self._step_metric)

    def add(self, history: Iterable[Mapping[str, Any]]) -> None:
        """Takes in rows of the run's history that come after all before."""
        for each in history:
            found = {name: to_number(each.get(name)) for name in self._names}
            values = {name: value for name, value in found.items() if value is not None}
            if not values:
                continue
            self._values.add(values)
            if len(self.rows) < MAX_ROWS:
                self.rows.append(MetricRow(self._find_step(each), values))

    def find_values(self, summary: Mapping[str, Any]) -> dict[str, float]:
        """Returns the last, the best or the summary's value of each objective, as was asked for."""
        match self._value:
            case "summary":
                return self._find_in(summary)
            case "best":
                return dict(self._values.best)
        return dict(self._values.last)

    def _find_step(self, row: Mapping[str, Any]) -> int:
        own = None if self._step_metric is None else to_number(row.get(self._step_metric))
        if own is not None and 0 <= own <= _MAX_STEP and own == int(own):
            return int(own)
        return min(int(row["_step"]), _MAX_STEP)

    def _find_in(self, summary: Mapping[str, Any]) -> dict[str, float]:
        reading = RunSummary(self._names, self._directions)
        items: list[Item] = [_SummaryItem(key, json.dumps(value)) for key, value in summary.items()]
        reading.update(_Summary(items))
        return reading.list_values()


@dataclass(slots=True)
class _SummaryItem:
    """A value of a summary, as it would be in the run's log."""

    key: str
    value_json: str
    nested_key: Sequence[str] = ()


@dataclass(slots=True)
class _Summary:
    update: Sequence[Item]
    remove: Sequence[Item] = ()
