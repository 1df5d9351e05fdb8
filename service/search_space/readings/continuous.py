"""Parameters with a law that Optuna does not know."""

import math
from dataclasses import dataclass
from typing import Any

from service.search_space.readings.laws import SharedLaw
from service.search_space.scalars import describe, find_number_problem

_SLACK = 64.0  # of the distance of neighbours: what computing there and back may miss


@dataclass(frozen=True, slots=True)
class Continuous:
    """A number with a law, to as many digits as what is drawn decides.

    So what a person gives, such as 0.3, comes back as 0.3 and not as 0.30000000000000004.
    """

    law: SharedLaw

    def resolve(self, drawn: float) -> float:
        value, spacing = self.law.compute(drawn), self.law.compute_spacing(drawn) * _SLACK
        return round(value, -math.ceil(math.log10(spacing))) if spacing else value

    def find_drawn(self, value: float) -> float:
        return self.law.find_drawn(value)

    def find_problem(self, value: Any) -> str | None:
        if problem := find_number_problem(value):
            return problem
        low, high = map(self.resolve, (self.law.distribution.low, self.law.distribution.high))
        if not low <= value <= high:
            return f"{describe(value)} is outside the range {low} to {high} of what is drawn."
        return None

    def describe(self) -> str:
        return self.law.describe()
