"""What a trial is to choose for an input: a number of a range, or one of some choices."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from numbers import Integral, Real
from types import SimpleNamespace
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)


class Suggestion(ABC):
    """An input that every trial chooses anew."""

    @abstractmethod
    def draw(self, trial: Any, name: str) -> Any:
        """The value that this trial, Optuna's or ours, suggests for the parameter."""

    @abstractmethod
    def holds(self, value: Any) -> bool:
        """Whether it can be the value of such a parameter."""

    @abstractmethod
    def to_distribution(self) -> BaseDistribution:
        """The same in Optuna's words."""


class Number(Suggestion):
    """A number from `low` to `high`, both included.

    Raises:
        ValueError: Optuna could not suggest a value of this range.
    """

    low: Any
    high: Any
    step: Any
    log: bool

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low must not be greater than high, but {self.low} > {self.high}.")
        if not isinstance(self.log, bool):
            raise ValueError(f"log must be True or False, not {self.log!r}.")
        if self.log and self.low <= 0:
            raise ValueError(f"With log=True low must be greater than 0, not {self.low}.")
        self._check_step()

    def _check_step(self) -> None:
        if self.step is None:
            return
        if self.step <= 0:
            raise ValueError(f"step must be greater than 0, not {self.step}.")
        # One value alone leaves nothing to step over, and an integer always has a step.
        if self.low < self.high and self.step > self.high - self.low:
            raise ValueError(
                f"step must not be greater than the range: {self.step} > {self.high - self.low}."
            )

    def holds(self, value: Any) -> bool:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and self.low <= value <= self.high


@dataclass
class Float(Number):
    """A float. With `step` a multiple of it above `low`; with `log` drawn on a log scale."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        self.low = _to_float("low", self.low)
        self.high = _to_float("high", self.high)
        self.step = None if self.step is None else _to_float("step", self.step)
        super().__post_init__()
        if self.log and self.step is not None:
            raise ValueError("A float has a step or log=True, not both.")

    def draw(self, trial: Any, name: str) -> float:
        value: float = trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)
        return value

    def to_distribution(self) -> FloatDistribution:
        return FloatDistribution(self.low, self.high, step=self.step, log=self.log)


@dataclass
class Integer(Number):
    """An integer. With `step` a multiple of it above `low`; with `log` drawn on a log scale."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        self.low = _to_integer("low", self.low)
        self.high = _to_integer("high", self.high)
        self.step = _to_integer("step", self.step)
        super().__post_init__()
        if self.log and self.step != 1:
            raise ValueError("An integer has a step or log=True, not both.")

    def draw(self, trial: Any, name: str) -> int:
        value: int = trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)
        return value

    def to_distribution(self) -> IntDistribution:
        return IntDistribution(self.low, self.high, step=self.step, log=self.log)


@dataclass
class Category(Suggestion):
    """One of the choices.

    Raises:
        ValueError: There are none, or they have no order.
    """

    choices: list[Any]

    def __post_init__(self) -> None:
        unordered = (str, bytes, Mapping, AbstractSet)
        if not isinstance(self.choices, Iterable) or isinstance(self.choices, unordered):
            raise ValueError(f"choices must be a list, not {self.choices!r}.")
        self.choices = list(self.choices)
        if not self.choices:
            raise ValueError("choices must not be empty.")

    def draw(self, trial: Any, name: str) -> Any:
        return trial.suggest_categorical(name, self.choices)

    def holds(self, value: Any) -> bool:
        return value in self.choices

    def to_distribution(self) -> CategoricalDistribution:
        return CategoricalDistribution(self.choices)


suggest = SimpleNamespace(float=Float, integer=Integer, category=Category)
"""`suggest.float(low, high, step=None, log=False)`, `suggest.integer(low, high, step=1,
log=False)`, `suggest.category(choices)`."""


def _to_float(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {value!r}.")
    return float(value)


def _to_integer(name: str, value: Any) -> int:
    is_whole = isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
    if not is_whole or isinstance(value, bool):
        raise ValueError(f"{name} must be an integer, not {value!r}.")
    return int(value)
