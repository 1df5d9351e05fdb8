"""Choices that Optuna does not know: lists, mappings, equal ones, likelier ones."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution

from service.search_space.json_values import is_same_json, show_json

_MAX_SHOWN = 20
_LAST_SHARE = math.nextafter(1.0, 0.0)


@dataclass(frozen=True, slots=True)
class IndexedChoices:
    """One of several values of any type, drawn by its place among them."""

    choices: Sequence[Any]

    @property
    def distribution(self) -> CategoricalDistribution:
        return CategoricalDistribution(range(len(self.choices)))

    def resolve(self, drawn: int) -> Any:
        return self.choices[drawn]

    def find_drawn(self, value: Any) -> int:
        return next(_find_places(self.choices, value))

    def find_problem(self, value: Any) -> str | None:
        return _find_choice_problem(self.choices, value)

    def describe(self) -> str:
        return f"one of {_list_shown(show_json(choice) for choice in self.choices)}"


@dataclass(frozen=True, slots=True)
class WeightedChoices:
    """One of several values of any type, each as often as its probability says.

    Drawn is a share of 1, of which each value has a part, in their order.

    Attributes:
        probabilities: One per choice, with a sum of about 1; what that lacks is given to the last
            choice whose own is above 0.
    """

    choices: Sequence[Any]
    probabilities: Sequence[float]
    _bounds: Sequence[float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        n_choices = len(self.probabilities)
        n_drawn = max(n for n in range(1, n_choices + 1) if self.probabilities[n - 1] > 0)
        bounds = [min(bound, 1.0) for bound in accumulate(self.probabilities, initial=0.0)]
        bounds[n_drawn:] = [1.0] * (n_choices + 1 - n_drawn)
        object.__setattr__(self, "_bounds", bounds)

    @property
    def distribution(self) -> FloatDistribution:
        return FloatDistribution(0.0, 1.0)

    def resolve(self, drawn: float) -> Any:
        # 1 itself may be drawn, too; it belongs to the last part.
        return self.choices[bisect_right(self._bounds, min(drawn, _LAST_SHARE)) - 1]

    def find_drawn(self, value: Any) -> float:
        return next(self._find_middles(value))

    def find_problem(self, value: Any) -> str | None:
        if problem := _find_choice_problem(self.choices, value):
            return problem
        if next(self._find_middles(value), None) is None:
            return f"{show_json(value)} is never drawn, because its probability is 0."
        return None

    def list_drawn(self) -> list[Any]:
        """Return the choices that are drawn at all."""
        return [choice for choice in self.choices if self.find_problem(choice) is None]

    def describe(self) -> str:
        pairs = zip(self.choices, self.probabilities, strict=True)
        return f"one of {_list_shown(f'{show_json(choice)} ({p:g})' for choice, p in pairs)}"

    def _find_middles(self, value: Any) -> Iterator[float]:
        for place in _find_places(self.choices, value):
            middle = (self._bounds[place] + self._bounds[place + 1]) / 2
            if is_same_json(self.resolve(middle), value):
                yield middle


def _find_places(choices: Sequence[Any], value: Any) -> Iterator[int]:
    return (place for place, choice in enumerate(choices) if is_same_json(choice, value))


def _find_choice_problem(choices: Sequence[Any], value: Any) -> str | None:
    if next(_find_places(choices, value), None) is not None:
        return None
    shown = _list_shown(show_json(choice) for choice in choices)
    return f"{show_json(value)} is not one of the choices: {shown}."


def _list_shown(texts: Iterator[str]) -> str:
    shown = list(texts)
    return ", ".join(shown[:_MAX_SHOWN]) + (", …" if len(shown) > _MAX_SHOWN else "")
