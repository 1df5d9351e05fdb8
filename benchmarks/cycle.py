"""The unit of work that every benchmark repeats, and how its figures are summed up.

One cycle is an ask with five parameters, five reports each with the pruner's decision
(MedianPruner), and a tell.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

STEPS = 5

SPACE: dict[str, dict[str, Any]] = {
    "x": {"type": "float", "low": -5.0, "high": 5.0},
    "y": {"type": "float", "low": 0.0, "high": 10.0},
    "lr": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    "n": {"type": "int", "low": 1, "high": 64},
    "optimizer": {"type": "categorical", "choices": ["adam", "sgd", "rmsprop"]},
}

SAMPLERS = {"Random": "RandomSampler", "TPE": "TPESampler"}

_OPTIMIZER_COST = {"adam": 0.0, "sgd": 0.3, "rmsprop": 0.1}


def objective(params: dict[str, Any]) -> float:
    """A smooth function of all five parameters, least near x=1, y=3, lr=1e-3, n=16, adam."""
    return float(
        (params["x"] - 1) ** 2
        + (params["y"] - 3) ** 2 / 10
        + abs(math.log10(params["lr"]) + 3)
        + abs(params["n"] - 16) / 16
        + _OPTIMIZER_COST[params["optimizer"]]
    )


def value_at(params: dict[str, Any], step: int) -> float:
    """The objective as a training curve: it falls to its final value with the steps."""
    return objective(params) + (STEPS - 1 - step) * 0.1


@dataclass(slots=True)
class Timings:
    """Latencies in seconds of the operations of some cycles, and how many cycles there were."""

    cycles: int = 0
    ask: list[float] = field(default_factory=list)
    report: list[float] = field(default_factory=list)
    tell: list[float] = field(default_factory=list)

    def add(self, other: "Timings") -> None:
        self.cycles += other.cycles
        self.ask += other.ask
        self.report += other.report
        self.tell += other.tell

    def to_json(self) -> dict[str, Any]:
        return {"cycles": self.cycles, "ask": self.ask, "report": self.report, "tell": self.tell}


def timings_from_json(document: dict[str, Any]) -> Timings:
    """The timings that another process printed."""
    return Timings(**document)


def work_window(run_cycle: Callable[[], Timings], start: float, end: float) -> Timings:
    """Repeats a cycle from `start` to `end` (Unix times).

    What begins after the first fifth and ends in time counts.
    """
    time.sleep(max(0.0, start - time.time()))
    counted_from = start + (end - start) / 5
    total = Timings()
    while time.time() < end:
        counts = time.time() >= counted_from
        timings = run_cycle()
        if counts and time.time() < end:
            total.add(timings)
    return total


def percentile(values: Sequence[float], fraction: float) -> float:
    """The nearest-rank percentile; NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * fraction))]
