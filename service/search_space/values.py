"""Whether a value belongs to a distribution."""

import math
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from service.search_space.json_values import is_same_json
from service.search_space.scalars import describe, find_number_problem

_STEP_TOLERANCE = 1e-8  # of a step, as in Optuna's FloatDistribution


def find_value_problem(distribution: BaseDistribution, value: Any) -> str | None:
    """Return why a parameter with this distribution cannot have `value`, or None."""
    match distribution:
        case CategoricalDistribution():
            return _find_choice_problem(distribution, value)
        case IntDistribution():
            return _find_int_problem(distribution, value)
        case FloatDistribution():
            return _find_float_problem(distribution, value)
        case _:
            return f"Values of a {type(distribution).__name__} cannot be given."


def _find_choice_problem(distribution: CategoricalDistribution, value: Any) -> str | None:
    if any(is_same_json(choice, value) for choice in distribution.choices):
        return None
    choices = ", ".join(describe(choice) for choice in distribution.choices[:20])
    return f"{describe(value)} is not one of the choices: {choices}."


def _find_int_problem(distribution: IntDistribution, value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return f"This must be an integer, not {describe(value)}."
    if not distribution.low <= value <= distribution.high:
        return _explain_range(distribution, value)
    if (value - distribution.low) % distribution.step:
        return _explain_step(distribution, value)
    return None


def _find_float_problem(distribution: FloatDistribution, value: Any) -> str | None:
    if problem := find_number_problem(value):
        return problem
    if not distribution.low <= value <= distribution.high:
        return _explain_range(distribution, value)
    if distribution.step is None:
        return None
    steps = (value - distribution.low) / distribution.step
    if not math.isclose(steps, round(steps), rel_tol=0, abs_tol=_STEP_TOLERANCE):
        return _explain_step(distribution, value)
    return None


def _explain_range(distribution: IntDistribution | FloatDistribution, value: Any) -> str:
    return f"{describe(value)} is outside the range {distribution.low} to {distribution.high}."


def _explain_step(distribution: IntDistribution | FloatDistribution, value: Any) -> str:
    return f"{describe(value)} is not {distribution.low} plus a multiple of {distribution.step}."
