"""The `trial` that a search space gets: one of Optuna's whose values come from elsewhere."""

import math
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

import numpy
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)

# Some 4200 digits; Python and what reads JSON for it take 4300.
_MOST_BITS = 14_000

Ask = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Takes a name and a distribution as native JSON; gives `{"value": …}` or `{"index": …}`."""


class AskingTrial(optuna.Trial):
    """A trial of a study in memory that asks for every value, once a name.

    Reports have no effect and nothing is pruned: only the search space counts.
    """

    def __init__(self, study: optuna.Study, number: int, ask: Ask) -> None:
        super().__init__(study, study._storage.create_new_trial(study._study_id))
        self._number = number
        self._ask = ask
        # Threads of a file may suggest, too.
        self._asking = Lock()

    @property
    def number(self) -> int:
        return self._number

    @property
    def relative_params(self) -> dict[str, Any]:
        return {}

    def report(self, value: float, step: int) -> None:
        """Do nothing."""

    def should_prune(self) -> bool:
        return False

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if not isinstance(name, str):
            raise TypeError(f"The name of a parameter is a string, not {name!r}")
        with self._asking:
            return self._find_value(name, distribution)

    def _find_value(self, name: str, distribution: BaseDistribution) -> Any:
        known = self._cached_frozen_trial
        if name in known.distributions:
            check_distribution_compatibility(known.distributions[name], distribution)
            return known.params[name]
        value = _read_answer(distribution, self._ask(name, _to_document(name, distribution)))
        known.distributions[name] = distribution
        known.params[name] = value
        return value


def create_trial(facts: Mapping[str, Any], number: int, ask: Ask) -> AskingTrial:
    """Return a trial of a study with the server's facts about it."""
    study = optuna.create_study(
        study_name=facts["name"],
        directions=facts["directions"],
        sampler=optuna.samplers.RandomSampler(),
        pruner=optuna.pruners.NopPruner(),
    )
    if facts["metric_names"]:
        study.set_metric_names(facts["metric_names"])
    for key, value in facts["user_attrs"].items():
        study.set_user_attr(key, value)
    return AskingTrial(study, number, ask)


def _to_document(name: str, distribution: BaseDistribution) -> dict[str, Any]:
    match distribution:
        case FloatDistribution():
            return {"type": "float", **_range(distribution)}
        case IntDistribution():
            return {"type": "int", **_range(distribution)}
        case CategoricalDistribution():
            choices = [to_plain(choice) for choice in distribution.choices]
            return {"type": "categorical", "choices": choices}
        case _:
            kind = type(distribution).__name__
            raise ValueError(
                f"The parameter {name} has a distribution that is not Optuna's: {kind}"
            )


def _range(distribution: FloatDistribution | IntDistribution) -> dict[str, Any]:
    names = ("low", "high", "log", "step")
    return {name: to_plain(getattr(distribution, name)) for name in names}


def _read_answer(distribution: BaseDistribution, answer: Mapping[str, Any]) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[answer["index"]]
    value = answer["value"]
    return float(value) if isinstance(distribution, FloatDistribution) else int(value)


def to_plain(value: Any) -> Any:
    """Return a value as JSON has it: NumPy's numbers and arrays, tuples and subclasses resolved.

    Raises:
        ValueError: JSON cannot say it.
    """
    match value:
        case None | bool():
            return value
        case numpy.generic() | numpy.ndarray():
            return to_plain(value.tolist())
        case int() if value.bit_length() <= _MOST_BITS:
            return int(value)
        case float() if math.isfinite(value):
            return float(value)
        case str():
            return str(value)
        case list() | tuple():
            return [to_plain(item) for item in value]
        case Mapping() if all(isinstance(key, str) for key in value):
            return {str(key): to_plain(item) for key, item in value.items()}
    raise ValueError(
        f"{_name_kind(value)} cannot be kept; only null, booleans, finite numbers, strings, and "
        "lists and mappings of these can"
    )


def _name_kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping with keys that are not strings"
    if isinstance(value, float):
        return str(value)
    if isinstance(value, int):
        return f"an integer beyond 2**{_MOST_BITS}"
    if hasattr(value, "__name__"):
        return f"a function or class ({value.__name__})"
    return f"a {type(value).__name__}"
