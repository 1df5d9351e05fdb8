"""One parameter of a declared space as a client writes it: how it is drawn, and how it is read.

The laws and the defaults of their numbers are those of W&B's sweeps.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution

from service.domain.errors import FieldError
from service.search_space.distributions import check_keys, read_distribution
from service.search_space.json_values import list_json_problems
from service.search_space.readings import (
    Beta,
    Continuous,
    IndexedChoices,
    LogNormal,
    Normal,
    Quantised,
    Range,
    Reading,
    WeightedChoices,
)
from service.search_space.readings.laws import SHARES, SharedLaw
from service.search_space.readings.quantised import find_quantum_problem
from service.search_space.scalars import describe, find_number_problem, find_scalar_problem

Drawn = tuple[BaseDistribution, Reading | None]
_Errors = list[FieldError]

_MAX_EXPONENT = 700.0  # e to this power is near the largest float
_SUM_TOLERANCE = 1.001e-5  # of probabilities; W&B asks numpy.isclose


def read_entry(document: Mapping[str, Any], path: str, errors: _Errors) -> Drawn | None:
    """Read a parameter without its conditions, adding what is wrong with it to `errors`.

    Returns:
        What it is drawn from, and how that is read if it is not the value itself; None if
        anything is wrong.
    """
    kind = document.get("type")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    before = len(errors)
    found = (reader or _read_plain)(document, path, errors)
    return found if len(errors) == before else None


def _read_plain(document: Mapping[str, Any], path: str, errors: _Errors) -> Drawn | None:
    rest = {key: value for key, value in document.items() if key != "quantum"}
    distribution = read_distribution(rest, path, errors)
    quantum = document.get("quantum")
    if distribution is None or quantum is None:
        return None if distribution is None else (distribution, None)
    if not isinstance(distribution, FloatDistribution):
        message = 'Only "float", "normal", "log_normal" and "beta" have a "quantum"; leave it out.'
        errors.append(FieldError(f"{path}.quantum", message))
        return None
    if distribution.step is not None:
        message = '"quantum" and "step" exclude each other; leave one out.'
        errors.append(FieldError(f"{path}.quantum", message))
        return None
    reading = _quantise(Range(distribution), quantum, path, errors)
    return None if reading is None else (distribution, reading)


def _read_normal(document: Mapping[str, Any], path: str, errors: _Errors) -> Drawn | None:
    numbers = _read_numbers(document, {"mu": 0.0, "sigma": 1.0}, path, errors)
    if numbers is None:
        return None
    return _read_law(Normal(numbers["mu"], numbers["sigma"]), document, path, errors)


def _read_log_normal(document: Mapping[str, Any], path: str, errors: _Errors) -> Drawn | None:
    numbers = _read_numbers(document, {"mu": 0.0, "sigma": 1.0}, path, errors)
    if numbers is None:
        return None
    normal = Normal(numbers["mu"], numbers["sigma"])
    if max(abs(normal.compute(share)) for share in (SHARES.low, SHARES.high)) > _MAX_EXPONENT:
        message = (
            '"mu" and "sigma" are those of the logarithm; with these, e to its power is too large '
            "or small for a float."
        )
        errors.append(FieldError(path, message))
        return None
    return _read_law(LogNormal(normal), document, path, errors)


def _read_beta(document: Mapping[str, Any], path: str, errors: _Errors) -> Drawn | None:
    numbers = _read_numbers(document, {"a": 1.0, "b": 1.0}, path, errors)
    if numbers is None:
        return None
    return _read_law(Beta(numbers["a"], numbers["b"]), document, path, errors)


def _read_numbers(
    document: Mapping[str, Any], defaults: Mapping[str, float], path: str, errors: _Errors
) -> dict[str, float] | None:
    """Read the numbers of a law; all but `mu` are above 0."""
    before = len(errors)
    check_keys(document, ("type", "quantum", *defaults), path, errors)
    given = {key: document[key] for key in defaults if document.get(key) is not None}
    for key, value in given.items():
        problem = find_number_problem(value)
        if problem is None and key != "mu" and value <= 0:
            problem = f'"{key}" must be greater than 0, not {describe(value)}.'
        if problem:
            errors.append(FieldError(f"{path}.{key}", problem))
    return {**defaults, **given} if len(errors) == before else None


def _read_law(
    law: SharedLaw, document: Mapping[str, Any], path: str, errors: _Errors
) -> Drawn | None:
    ends = law.compute(SHARES.low), law.compute(SHARES.high)
    if not all(map(math.isfinite, ends)):
        errors.append(FieldError(path, "The values of this law do not fit a float."))
        return None
    if document.get("quantum") is None:
        return SHARES, Continuous(law)
    reading = _quantise(law, document["quantum"], path, errors)
    return None if reading is None else (SHARES, reading)


def _quantise(law: Range | SharedLaw, quantum: Any, path: str, errors: _Errors) -> Reading | None:
    if problem := find_quantum_problem(law, quantum):
        errors.append(FieldError(f"{path}.quantum", problem))
        return None
    return Quantised(law, quantum)


def _read_choices(document: Mapping[str, Any], path: str, errors: _Errors) -> Drawn | None:
    choices, probabilities = document.get("choices"), document.get("probabilities")
    if not isinstance(choices, list | tuple) or not choices or "quantum" in document:
        return _read_plain(document, path, errors)
    if probabilities is None and _are_plain(choices):
        rest = {key: value for key, value in document.items() if key != "probabilities"}
        return _read_plain(rest, path, errors)
    check_keys(document, ("type", "choices", "probabilities"), path, errors)
    for field, problem in list_json_problems(choices, f"{path}.choices"):
        errors.append(FieldError(field, problem))
    if probabilities is None:
        indexed = IndexedChoices(choices)
        return indexed.distribution, indexed
    if problems := list(_list_probability_problems(probabilities, len(choices))):
        errors += [FieldError(f"{path}.probabilities{place}", text) for place, text in problems]
        return None
    weighted = WeightedChoices(choices, probabilities)
    return weighted.distribution, weighted


def _are_plain(choices: Sequence[Any]) -> bool:
    """Tell whether Optuna knows such choices: scalars of which no two are equal."""
    if any(isinstance(choice, list | tuple | Mapping) for choice in choices):
        return False
    return any(map(find_scalar_problem, choices)) or len(set(choices)) == len(choices)


def _list_probability_problems(probabilities: Any, n_choices: int) -> list[tuple[str, str]]:
    """By what to add to the path of the probabilities."""
    if not isinstance(probabilities, list | tuple) or len(probabilities) != n_choices:
        return [("", f"This is a list of {n_choices} numbers, one for each choice.")]
    problems = [
        (f".{index}", problem)
        for index, value in enumerate(probabilities)
        if (problem := _find_probability_problem(value))
    ]
    total = 0.0 if problems else math.fsum(probabilities)
    if not problems and abs(total - 1) > _SUM_TOLERANCE:
        return [("", f"Probabilities sum to 1, but these sum to {total:g}.")]
    return problems


def _find_probability_problem(value: Any) -> str | None:
    if problem := find_number_problem(value):
        return problem
    return None if value >= 0 else f"A probability is not negative, but {describe(value)} is."


_READERS: Mapping[str, Callable[[Mapping[str, Any], str, _Errors], Drawn | None]] = {
    "normal": _read_normal,
    "log_normal": _read_log_normal,
    "beta": _read_beta,
    "categorical": _read_choices,
}
