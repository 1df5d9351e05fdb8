"""Laws of numbers, as functions of what is drawn."""

import importlib
import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Protocol

from optuna.distributions import FloatDistribution

_LEAST_SHARE = 1e-9  # of a normal law: six standard deviations from the middle
_LEAST_VALUE = 1e-300
_BETA_ERROR = 32.0  # of scipy's functions, which miss the last digits
_STANDARD = NormalDist()
_WIDTH = math.sqrt(2 * math.pi)

SHARES = FloatDistribution(_LEAST_SHARE, 1 - _LEAST_SHARE)
"""From which `Normal`, `LogNormal` and `Beta` are drawn: the share of their values that are less.

Not from 0 to 1, where a normal law is infinite.
"""


class Law(Protocol):
    """A strictly or weakly increasing function of what is drawn.

    Attributes:
        distribution: Of what is drawn.
    """

    @property
    def distribution(self) -> FloatDistribution: ...

    def compute(self, drawn: float) -> float:
        """Return the value that belongs to what was drawn."""
        ...

    def find_drawn(self, value: float) -> float:
        """Return what is drawn for a value, or for the nearest that can be drawn."""
        ...

    def describe(self) -> str: ...


class SharedLaw(Law, Protocol):
    """A law that is drawn from `SHARES`, by the inverse of its distribution function."""

    def compute_spacing(self, drawn: float) -> float:
        """Return how far apart the values of neighbouring floats are; 0 if that is not known."""
        ...


@dataclass(frozen=True, slots=True)
class Range:
    """What is drawn is the value."""

    distribution: FloatDistribution

    def compute(self, drawn: float) -> float:
        return drawn

    def find_drawn(self, value: float) -> float:
        return min(max(float(value), self.distribution.low), self.distribution.high)

    def describe(self) -> str:
        low, high = self.distribution.low, self.distribution.high
        return f"FloatDistribution({low}, {high}{', log=True' if self.distribution.log else ''})"


@dataclass(frozen=True, slots=True)
class Normal:
    """The normal law, with the middle `mu` and the standard deviation `sigma`."""

    mu: float
    sigma: float

    @property
    def distribution(self) -> FloatDistribution:
        return SHARES

    def compute(self, drawn: float) -> float:
        return self.mu + self.sigma * _STANDARD.inv_cdf(drawn)

    def find_drawn(self, value: float) -> float:
        # Not NormalDist.cdf, which before Python 3.12 has no digits left far below the middle.
        deviation = (value - self.mu) / self.sigma
        return _clip(0.5 * math.erfc(-deviation / math.sqrt(2)))

    def compute_spacing(self, drawn: float) -> float:
        deviation = _STANDARD.inv_cdf(drawn)
        slope = self.sigma * _WIDTH * math.exp(deviation * deviation / 2)
        rounding = math.ulp(abs(self.mu) + self.sigma * abs(deviation))
        return max(math.ulp(drawn) * slope, rounding)

    def describe(self) -> str:
        return f"normal(mu={self.mu}, sigma={self.sigma})"


@dataclass(frozen=True, slots=True)
class LogNormal:
    """The law of e to the power of what has the normal law."""

    normal: Normal

    @property
    def distribution(self) -> FloatDistribution:
        return SHARES

    def compute(self, drawn: float) -> float:
        return math.exp(self.normal.compute(drawn))

    def find_drawn(self, value: float) -> float:
        return self.normal.find_drawn(math.log(value)) if value > 0 else SHARES.low

    def compute_spacing(self, drawn: float) -> float:
        value = self.compute(drawn)
        return max(value * self.normal.compute_spacing(drawn), math.ulp(value))

    def describe(self) -> str:
        return f"log_{self.normal.describe()}"


@dataclass(frozen=True, slots=True)
class Beta:
    """The beta law, between 0 and 1."""

    a: float
    b: float

    @property
    def distribution(self) -> FloatDistribution:
        return SHARES

    def compute(self, drawn: float) -> float:
        value = float(_load_special().betaincinv(self.a, self.b, drawn))
        # scipy gives the least float there is for what is too small for one.
        return value if value > _LEAST_VALUE else 0.0

    def find_drawn(self, value: float) -> float:
        within = min(max(value, 0.0), 1.0)
        return _clip(float(_load_special().betainc(self.a, self.b, within)))

    def compute_spacing(self, drawn: float) -> float:
        value = self.compute(drawn)
        if not 0 < value < 1:
            return 0.0
        density = (self.a - 1) * math.log(value) + (self.b - 1) * math.log1p(-value)
        slope = math.exp(float(_load_special().betaln(self.a, self.b)) - density)
        return max(math.ulp(drawn) * slope, math.ulp(value)) * _BETA_ERROR

    def describe(self) -> str:
        return f"beta(a={self.a}, b={self.b})"


def _load_special() -> Any:
    # Only when it is used: loading scipy takes a while.
    return importlib.import_module("scipy.special")


def _clip(share: float) -> float:
    return min(max(share, SHARES.low), SHARES.high)
