"""The summary of a run, of the metrics that matter."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from service.schedulers.executors.wandb.runs.metric_values import to_number

# Of `define_metric(..., summary="min,last")`; those that fit a direction, the best first.
_DEFINED = frozenset({"min", "max", "mean", "best", "last", "first", "copy"})
_FITTING = {"minimize": ("min", "best", "last"), "maximize": ("max", "best", "last")}
_EXTREMES: Final[Mapping[str, Mapping[str, Callable[[Sequence[float]], float]]]] = {
    "minimize": {"min": min, "max": max, "best": min},
    "maximize": {"min": min, "max": max, "best": max},
}
_MAX_NAMES = 10_000


class _Found(NamedTuple):
    """A value, and which one of those that a program may define; empty if it has defined none."""

    name: str
    value: float


class RunSummary:
    """Takes in changes of a run's summary; everything but the wanted metrics is passed over."""

    def __init__(self, metrics: Sequence[str], directions: Sequence[str]) -> None:
        self._directions = dict(zip(metrics, directions, strict=False))
        self._numbers: dict[str, float] = {}
        # Programs log the same names again and again.
        self._wanted: dict[str, bool] = {}

    def wants(self, key: str) -> bool:
        """Tells whether a value of this name can matter."""
        is_wanted = self._wanted.get(key)
        if is_wanted is None:
            is_wanted = any(_are_related(key, name) for name in self._directions)
            if len(self._wanted) < _MAX_NAMES:
                self._wanted[key] = is_wanted
        return is_wanted

    def set(self, key: str, value: object) -> None:
        """Takes in a value, which may be nested, instead of what the name had before."""
        if self.wants(key):
            self.remove(key)
            self._set_nested(key, value)

    def remove(self, key: str) -> None:
        """Takes in that the name has no value any more."""
        for name in [name for name in self._numbers if _is_within(name, key)]:
            del self._numbers[name]

    def replace(self, summary: Mapping[str, object]) -> None:
        """Takes in a whole summary instead of what was there before."""
        self._numbers.clear()
        for key, value in summary.items():
            self.set(key, value)

    def list_values(self, earlier: "RunSummary | None" = None) -> dict[str, float]:
        """Returns the value of each metric that has one.

        A metric whose summary its program has defined is an object there, `{"max": 0.9}`: the one
        that fits its direction counts, else the last value, else the only one.

        Args:
            earlier: Of the same run before it was resumed, if it was: from then on wandb takes no
                minimum or maximum over what was logged before.
        """
        found = {name: self._find_value(name) for name in self._directions}
        if earlier is not None:
            found = {
                name: self._join(name, earlier._find_value(name), later)
                for name, later in found.items()
            }
        return {name: each.value for name, each in found.items() if each is not None}

    def _set_nested(self, key: str, value: object) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                self._set_nested(f"{key}.{name}", inner)
        elif self.wants(key) and (number := to_number(value)) is not None:
            self._numbers[key] = number

    def _find_value(self, metric: str) -> _Found | None:
        if metric in self._numbers:
            return _Found("", self._numbers[metric])
        defined = {
            name: self._numbers[nested]
            for name in _DEFINED
            if (nested := f"{metric}.{name}") in self._numbers
        }
        fitting = [each for each in _FITTING[self._directions[metric]] if each in defined]
        if fitting or len(defined) == 1:
            name = next(iter(fitting or defined))
            return _Found(name, defined[name])
        return None

    def _join(self, metric: str, earlier: _Found | None, later: _Found | None) -> _Found | None:
        if earlier is None or later is None:
            return later or earlier
        choose = _EXTREMES[self._directions[metric]].get(later.name)
        if choose is None or earlier.name != later.name:
            return later
        numbers = [each.value for each in (earlier, later) if not math.isnan(each.value)]
        return _Found(later.name, choose(numbers)) if numbers else later


def _are_related(one: str, other: str) -> bool:
    return _is_within(one, other) or _is_within(other, one)


def _is_within(key: str, outer: str) -> bool:
    return key == outer or key.startswith(f"{outer}.")
