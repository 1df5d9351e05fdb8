"""Quantised parameters: a sampler draws any float, the trial gets the nearest multiple.

W&B's `q_uniform` is such a parameter, and no distribution of Optuna's: the first and the last
multiple are drawn half as often as the others, and may lie outside the range.
"""

import math
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution

from service.search_space.scalars import MAX_EXACT_INT, describe, find_number_problem

_MAX_MULTIPLE = 2.0**50  # beyond, a float times its quantum may not come back
_TOLERANCE = 1e-8  # of a quantum, as Optuna has it for steps


def resolve_value(value: Any, quantum: float | None) -> Any:
    """Return what a trial gets for a drawn value; for what was resolved before, the same.

    Halves go to the even multiple. An integer if the quantum is one.
    """
    return value if quantum is None else round(value / quantum) * quantum


def resolve_params(params: Mapping[str, Any], quanta: Mapping[str, float]) -> dict[str, Any]:
    """Return the parameters of a trial, by flattened name, as everybody but Optuna sees them."""
    if not quanta:
        return dict(params)
    return {name: resolve_value(value, quanta.get(name)) for name, value in params.items()}


def find_lattice_ends(low: float, high: float, quantum: float) -> tuple[float, float]:
    """Return the first and the last value that a quantised parameter has."""
    return resolve_value(low, quantum), resolve_value(high, quantum)


def find_drawn_value(distribution: FloatDistribution, value: float) -> float:
    """Return a value that may be drawn and gives `value`, which the parameter can have."""
    return min(max(float(value), distribution.low), distribution.high)


def find_quantum_problem(distribution: BaseDistribution, quantum: Any) -> str | None:
    """Return why a parameter drawn like this cannot have the quantum, or None."""
    if not isinstance(distribution, FloatDistribution):
        return 'Only the type "float" has a "quantum"; leave it out.'
    if distribution.step is not None:
        return '"quantum" and "step" exclude each other; leave one out.'
    if problem := find_number_problem(quantum):
        return problem
    if quantum <= 0:
        return f'"quantum" must be greater than 0, not {quantum}.'
    bound = max(abs(distribution.low), abs(distribution.high))
    if bound / quantum > _MAX_MULTIPLE:
        return 'There are more than 2**50 multiples up to "high"; use a larger "quantum".'
    if isinstance(quantum, int) and bound + quantum > MAX_EXACT_INT:
        return "Integers must lie between -2**53 and 2**53: beyond, a float is not exact."
    return None


def find_multiple_problem(
    distribution: FloatDistribution, quantum: float, value: Any
) -> str | None:
    """Return why a quantised parameter can never be `value`, or None."""
    if problem := find_number_problem(value):
        return problem
    first, last = find_lattice_ends(distribution.low, distribution.high, quantum)
    if not first <= resolve_value(value, quantum) <= last:
        return f"{describe(value)} is outside the range {first} to {last}."
    multiple = value / quantum
    if not math.isclose(multiple, round(multiple), rel_tol=0, abs_tol=_TOLERANCE):
        return f"{describe(value)} is not a multiple of {quantum}."
    return None
