"""What the values of a parameter can be compared with."""

from collections.abc import Sequence
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution

from service.search_space.conditions import is_number
from service.search_space.readings import IndexedChoices, Quantised, WeightedChoices
from service.search_space.spaces import Parameter

_OF_A_STEP = 1e-8  # as Optuna has it


def can_be_number(parameter: Parameter) -> bool:
    """Tell whether a trial may have a number for a parameter, which has an order then."""
    choices = _find_choices(parameter)
    return choices is None or any(map(is_number, choices))


def find_tolerance(parameter: Parameter) -> float:
    """Return how far values may be apart that count as equal.

    One on a step is computed, and so may miss its decimal spelling.
    """
    match parameter.reading, parameter.distribution:
        case Quantised(quantum=quantum), _:
            return quantum * _OF_A_STEP
        case None, FloatDistribution(step=float(step)):
            return step * _OF_A_STEP
        case _:
            return 0.0


def _find_choices(parameter: Parameter) -> Sequence[Any] | None:
    match parameter.reading, parameter.distribution:
        case IndexedChoices(choices=choices) | WeightedChoices(choices=choices), _:
            return choices
        case None, CategoricalDistribution(choices=choices):
            return choices
        case _:
            return None
