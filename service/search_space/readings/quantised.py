"""Quantised parameters: a sampler draws any float, the trial gets the nearest multiple.

W&B's `q_uniform` is such a parameter, and no distribution of Optuna's: the first and the last
multiple are drawn half as often as the others, and may lie outside the range.
"""

import math
from dataclasses import dataclass
from typing import Any

from service.search_space.readings.laws import Law
from service.search_space.scalars import MAX_EXACT_INT, describe, find_number_problem

_MAX_MULTIPLE = 2.0**50  # beyond, a float times its quantum may not come back
_TOLERANCE = 1e-8  # of a quantum, as Optuna has it for steps


@dataclass(frozen=True, slots=True)
class Quantised:
    """A number with a law, rounded to the multiples of a quantum.

    Halves go to the even multiple. An integer if the quantum is one.
    """

    law: Law
    quantum: float

    def resolve(self, drawn: float) -> float:
        return _round(self.law.compute(drawn), self.quantum)

    def find_drawn(self, value: float) -> float:
        return self.law.find_drawn(value)

    def find_problem(self, value: Any) -> str | None:
        if problem := find_number_problem(value):
            return problem
        first, last = map(self.resolve, (self.law.distribution.low, self.law.distribution.high))
        nearest = _round(value, self.quantum)
        if not first <= nearest <= last:
            return f"{describe(value)} is outside the range {first} to {last}."
        # Of large values, the tolerance is less than what a float can say.
        if value != nearest and abs(value - nearest) > _TOLERANCE * self.quantum:
            return f"{describe(value)} is not a multiple of {self.quantum}."
        return None

    def describe(self) -> str:
        return f"{self.law.describe()}, to the nearest multiple of {self.quantum}"


def find_lattice_ends(low: float, high: float, quantum: float) -> tuple[float, float]:
    """Return the first and the last value that a quantised parameter of a range has."""
    return _round(low, quantum), _round(high, quantum)


def find_quantum_problem(law: Law, quantum: Any) -> str | None:
    """Return why the values of a law cannot be rounded to multiples of `quantum`, or None."""
    if problem := find_number_problem(quantum):
        return problem
    if quantum <= 0:
        return f'"quantum" must be greater than 0, not {quantum}.'
    ends = law.compute(law.distribution.low), law.compute(law.distribution.high)
    bound = max(map(abs, ends))
    if bound / quantum > _MAX_MULTIPLE:
        return f'There are more than 2**50 multiples up to {bound:g}; use a larger "quantum".'
    if isinstance(quantum, int) and bound + quantum > MAX_EXACT_INT:
        return "Integers must lie between -2**53 and 2**53: beyond, a float is not exact."
    return None


def _round(value: float, quantum: float) -> float:
    multiple = value / quantum
    return round(multiple) * quantum if math.isfinite(multiple) else value
