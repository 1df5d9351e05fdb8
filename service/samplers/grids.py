"""The values that a finite sampler visits."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

MAX_COMBINATIONS = 100_000


def count_values(distribution: BaseDistribution) -> float:
    """Return how many values a parameter can take; infinity for a float without a step."""
    match distribution:
        case CategoricalDistribution():
            return len(distribution.choices)
        case IntDistribution():
            return (distribution.high - distribution.low) // distribution.step + 1
        case FloatDistribution(step=None):
            return 1 if distribution.single() else math.inf
        case FloatDistribution(step=float(step)):
            return round((distribution.high - distribution.low) / step) + 1
        case _:
            return math.inf


def count_combinations(grid: Mapping[str, Sequence[Any]]) -> int:
    return math.prod(len(values) for values in grid.values())


def list_values(distribution: BaseDistribution) -> list[Any]:
    """Return every value of a parameter that has finitely many (see `count_values`)."""
    match distribution:
        case CategoricalDistribution():
            return list(distribution.choices)
        case IntDistribution():
            return list(range(distribution.low, distribution.high + 1, distribution.step))
        case FloatDistribution(step=float(step)):
            low, decimal_step = Decimal(str(distribution.low)), Decimal(str(step))
            return [
                float(low + index * decimal_step)
                for index in range(int(count_values(distribution)))
            ]
        case FloatDistribution():
            return [distribution.low]
        case _:
            raise AssertionError(f"{distribution} is not finite")


def first_value(distribution: BaseDistribution) -> Any:
    """Return some value that the parameter can take."""
    match distribution:
        case CategoricalDistribution():
            return distribution.choices[0]
        case IntDistribution() | FloatDistribution():
            return distribution.low
        case _:
            raise AssertionError(f"{distribution} is not a distribution of a search space")
