"""One distribution as a client writes it, turned into Optuna's."""

import math
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from service.domain.arguments import did_you_mean, make_printable
from service.domain.errors import FieldError, InvalidSpace
from service.domain.warning_filters import ignore_warning
from service.search_space.scalars import (
    MAX_EXACT_INT,
    describe,
    find_name_problem,
    find_number_problem,
    find_scalar_problem,
)

_MAX_ROUNDS = 1000
_RANGE_KEYS = ("low", "high", "log", "step")
_KEYS: Mapping[str, tuple[str, ...]] = {
    "float": _RANGE_KEYS,
    "int": _RANGE_KEYS,
    "categorical": ("choices",),
}
# Optuna's own JSON form: class name, our type, what the class implies, attributes renamed.
_OPTUNA_FORMS: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, str]]] = {
    "FloatDistribution": ("float", {}, {}),
    "IntDistribution": ("int", {}, {}),
    "CategoricalDistribution": ("categorical", {}, {}),
    "UniformDistribution": ("float", {}, {}),
    "LogUniformDistribution": ("float", {"log": True}, {}),
    "DiscreteUniformDistribution": ("float", {}, {"q": "step"}),
    "IntUniformDistribution": ("int", {}, {}),
    "IntLogUniformDistribution": ("int", {"log": True}, {}),
}

space_type_names = ("normal", "log_normal", "beta")
"""Types that only the space of a study may have, see `service.search_space.entries`."""

type_names = (*_KEYS, *space_type_names)


def parse_distribution(name: str, document: Any) -> BaseDistribution:
    """Return the distribution that a trial declares for the parameter `name`.

    Args:
        document: Native JSON, `{"type": "float", "low": 0, "high": 1}`, or Optuna's own form.
            A range that its step does not divide is shortened, as Optuna does, without a warning.

    Raises:
        InvalidSpace: With every problem found; fields are dotted paths that start with `name`.
    """
    errors: list[FieldError] = []
    if problem := find_name_problem(name):
        errors.append(FieldError(str(name), problem))
    distribution = read_distribution(document, name, errors)
    if errors or distribution is None:
        raise InvalidSpace(
            f"The distribution of {describe(name)} is not valid; see errors.",
            errors=make_printable(errors),
        )
    return distribution


def read_distribution(
    document: Any, path: str, errors: list[FieldError]
) -> BaseDistribution | None:
    """Read a distribution, adding what is wrong with it to `errors`; None if anything is."""
    native = _to_native(document, path, errors)
    if native is None:
        return None
    kind = native.get("type")
    if not isinstance(kind, str) or kind not in _KEYS:
        errors.append(FieldError(f"{path}.type", _explain_type(native)))
        return None
    before = len(errors)
    check_keys(native, ("type", *_KEYS[kind]), path, errors)
    distribution = _READERS[kind](native, path, errors)
    return distribution if len(errors) == before else None


def is_optuna_form(document: Mapping[str, Any]) -> bool:
    return isinstance(document.get("name"), str) and isinstance(document.get("attributes"), Mapping)


def _to_native(document: Any, path: str, errors: list[FieldError]) -> Mapping[str, Any] | None:
    if not isinstance(document, Mapping):
        message = (
            'A distribution is an object such as {"type": "float", "low": 0, "high": 1}, not '
            f"{describe(document)}."
        )
        errors.append(FieldError(path, message))
        return None
    if not is_optuna_form(document):
        return document
    check_keys(document, ("name", "attributes"), path, errors)
    if document["name"] not in _OPTUNA_FORMS:
        nearest = did_you_mean(document["name"], _OPTUNA_FORMS)
        message = f"Optuna has no distribution {describe(document['name'])}.{nearest}"
        errors.append(FieldError(f"{path}.name", message))
        return None
    kind, implied, renamed = _OPTUNA_FORMS[document["name"]]
    attributes = {renamed.get(key, key): value for key, value in document["attributes"].items()}
    return {"type": kind, **implied, **attributes}


def _explain_type(native: Mapping[str, Any]) -> str:
    known = ", ".join(f'"{name}"' for name in _KEYS)
    if "type" not in native:
        return f'This distribution needs a "type": one of {known}.'
    kind = native["type"]
    if kind in space_type_names:
        return f"Only the space of a study may have the type {describe(kind)}; use one of {known}."
    nearest = did_you_mean(kind, type_names) if isinstance(kind, str) else ""
    return (
        f"{describe(kind)} is not a type of distribution; use one of {known}.{nearest} "
        '(A constant of this name is written {"value": …}.)'
    )


def check_keys(
    document: Mapping[str, Any], known: Iterable[str], path: str, errors: list[FieldError]
) -> None:
    known = tuple(known)
    for key in document:
        if key not in known:
            message = f"{describe(key)} is not known here.{did_you_mean(str(key), known)}"
            errors.append(FieldError(f"{path}.{key}", message))


def _read_float(
    native: Mapping[str, Any], path: str, errors: list[FieldError]
) -> FloatDistribution | None:
    found = _read_range(native, path, errors, find_number_problem)
    if found is None:
        return None
    low, high, log, step = float(found[0]), float(found[1]), found[2], found[3]
    if problem := _find_range_problem(low, high, log=log, step=step):
        errors.append(FieldError(path, problem))
        return None
    if log and (low <= 0 or step is not None):
        errors.append(FieldError(f"{path}.log", _explain_log(step, "greater than 0")))
        return None
    if step is not None:
        settled = _settle_high(low, high, float(step))
        if settled is None:
            message = "Write low, high and step with fewer digits: their sums cannot be kept."
            errors.append(FieldError(f"{path}.step", message))
            return None
        high = settled
    return FloatDistribution(low, high, log=log, step=step)


def _read_int(
    native: Mapping[str, Any], path: str, errors: list[FieldError]
) -> IntDistribution | None:
    found = _read_range(native, path, errors, _find_integer_problem)
    if found is None:
        return None
    low, high, log = int(found[0]), int(found[1]), found[2]
    step = None if found[3] is None else int(found[3])
    if problem := _find_range_problem(low, high, log=log, step=step):
        errors.append(FieldError(path, problem))
        return None
    if log and (low < 1 or step not in (None, 1)):
        errors.append(FieldError(f"{path}.log", _explain_log(step, "1 or more")))
        return None
    step = step or 1
    return IntDistribution(low, low + (high - low) // step * step, log=log, step=step)


def _read_categorical(
    native: Mapping[str, Any], path: str, errors: list[FieldError]
) -> CategoricalDistribution | None:
    choices = native.get("choices")
    if not isinstance(choices, list | tuple) or not choices:
        message = '"choices" must be a list with at least one value.'
        errors.append(FieldError(f"{path}.choices", message))
        return None
    seen: dict[Any, int] = {}
    before = len(errors)
    for index, choice in enumerate(choices):
        problem = find_scalar_problem(choice)
        if problem is None and choice in seen:
            twin = seen[choice]
            problem = (
                f"{describe(choice)} equals choice {twin}, {describe(choices[twin])}; "
                "choices must differ (true equals 1, and 1 equals 1.0)."
            )
        if problem:
            errors.append(FieldError(f"{path}.choices.{index}", problem))
        else:
            seen[choice] = index
    return CategoricalDistribution(choices) if len(errors) == before else None


_READERS: Mapping[
    str, Callable[[Mapping[str, Any], str, list[FieldError]], BaseDistribution | None]
] = {"float": _read_float, "int": _read_int, "categorical": _read_categorical}


def _read_range(
    native: Mapping[str, Any],
    path: str,
    errors: list[FieldError],
    find_problem: Callable[[Any], str | None],
) -> tuple[Any, Any, bool, Any] | None:
    before = len(errors)
    for key in ("low", "high", "step"):
        if key == "step" and native.get(key) is None:
            continue
        problem = find_problem(native[key]) if key in native else f'"{key}" is missing.'
        if problem:
            errors.append(FieldError(f"{path}.{key}", problem))
    log = native.get("log")
    if log is not None and not isinstance(log, bool):
        message = f'"log" must be true or false, not {describe(log)}.'
        errors.append(FieldError(f"{path}.log", message))
    if len(errors) > before:
        return None
    return native["low"], native["high"], bool(log), native.get("step")


def _find_integer_problem(value: Any) -> str | None:
    if problem := find_number_problem(value):
        return problem
    if value != int(value) or abs(value) > MAX_EXACT_INT:
        return f"This must be an integer between -2**53 and 2**53, not {describe(value)}."
    return None


def _find_range_problem(low: float, high: float, *, log: bool, step: float | None) -> str | None:
    if low > high:
        return f'"low" must not be greater than "high", but {low} > {high}.'
    if not math.isfinite(high - low):
        return 'The range from "low" to "high" is too wide for a float.'
    if step is None:
        return None
    if step <= 0:
        return f'"step" must be greater than 0, not {step}.'
    if not log and (high - low) / step > MAX_EXACT_INT:
        return 'There are more than 2**53 steps from "low" to "high"; use a larger "step".'
    return None


def _explain_log(step: float | None, low: str) -> str:
    if step is not None:
        return '"log" and "step" exclude each other; leave one out.'
    return f'With "log" the lower bound must be {low}.'


def _settle_high(low: float, high: float, step: float) -> float | None:
    """Return the last value on the step that Optuna keeps when it reads its own JSON back.

    Optuna shortens the range to a decimal sum and rounds that to a float. If it rounds down, the
    next reader finds the last step missing and shortens again.
    """
    ignore_warning("The distribution is specified by", UserWarning)
    for _ in range(_MAX_ROUNDS):
        shortened = _shorten(low, high, step)
        if shortened == high:
            return high
        high = shortened
    return None


def _shorten(low: float, high: float, step: float) -> float:
    """Return the last value on the step, by the decimal arithmetic of `optuna.distributions`."""
    width = Decimal(str(high)) - Decimal(str(low))
    decimal_step = Decimal(str(step))
    if width % decimal_step == 0:
        return high
    return float(width // decimal_step * decimal_step + Decimal(str(low)))
