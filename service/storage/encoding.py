"""How Optuna's tables spell floats, distributions and times."""

import math
from datetime import UTC, datetime
from functools import lru_cache

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    distribution_to_json,
    json_to_distribution,
)

TypedFloat = tuple[float | None, str]
"""A float as Optuna stores it: the number if it has one, and the name of its kind."""

_NOT_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}


def encode_float(value: float) -> TypedFloat:
    """The columns for a value (`TrialValueModel`, `TrialIntermediateValueModel`)."""
    if math.isnan(value):
        return None, "NAN"
    if math.isinf(value):
        return None, "INF_POS" if value > 0 else "INF_NEG"
    return float(value), "FINITE"


def decode_float(value: float | None, kind: str) -> float:
    """The value that `encode_float` stored."""
    return float(value) if value is not None else _NOT_FINITE[kind]


def encode_distribution(distribution: BaseDistribution) -> str:
    """The text that Optuna would store."""
    # Categorical distributions over 1 and over True compare equal: no cache can tell them apart.
    if isinstance(distribution, CategoricalDistribution):
        return distribution_to_json(distribution)
    return _encode_numeric_distribution(distribution)


@lru_cache(maxsize=4096)
def decode_distribution(text: str) -> BaseDistribution:
    """The distribution of a stored text; one object for all trials that share it."""
    return json_to_distribution(text)


def encode_time(local: datetime | None) -> datetime | None:
    """Optuna 5 stores naive UTC for the naive local time of a `FrozenTrial`."""
    return None if local is None else local.astimezone(UTC).replace(tzinfo=None)


def decode_time(stored: datetime | None) -> datetime | None:
    """The stored moment, aware."""
    return None if stored is None else stored.replace(tzinfo=UTC)


def decode_local_time(stored: datetime | None) -> datetime | None:
    """The stored moment as a `FrozenTrial` holds it."""
    aware = decode_time(stored)
    return None if aware is None else aware.astimezone().replace(tzinfo=None)


@lru_cache(maxsize=4096)
def _encode_numeric_distribution(distribution: BaseDistribution) -> str:
    return distribution_to_json(distribution)
