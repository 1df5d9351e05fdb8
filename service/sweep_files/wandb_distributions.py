"""W&B's distributions, and what each becomes.

Facts, checked against the sampling of the `sweeps` package 0.3.0: an inverse log uniform value has
the law of a log uniform one; the bounds of `log_uniform` and `inv_log_uniform` are exponents of e.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.search_space import (
    describe,
    find_lattice_ends,
    find_number_problem,
    is_same_json,
    list_json_problems,
)

NATIVE_KEYS = {
    "min": "low",
    "max": "high",
    "q": "quantum",
    "log": "log",
    "step": "step",
    "value": "value",
    "values": "choices",
    "probabilities": "probabilities",
    "mu": "mu",
    "sigma": "sigma",
    "a": "a",
    "b": "b",
}
"""Under which name a key of W&B's shows up in an entry of ours."""

_Parameter = Mapping[str, Any]
_Problem = tuple[tuple[str | int, ...], str]
_RANGE = ("min", "max")
_MAX_EXPONENT = 700.0  # e to this power is near the largest float


@dataclass(frozen=True, slots=True)
class Form:
    """One distribution.

    Attributes:
        required, optional: Keys, beside `distribution`.
        build: Makes an entry of ours from a parameter without problems.
        is_integral: The bounds are integers.
        is_positive: The lower bound is above 0.
        is_exponential: The bounds are exponents.
        refusal: Why it is not taken, if it never is.
        find_note: What the user should know of a parameter.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    build: Callable[[_Parameter], Any] | None = None
    is_integral: bool = False
    is_positive: bool = False
    is_exponential: bool = False
    refusal: str | None = None
    find_note: Callable[[_Parameter], str | None] = lambda _: None

    def find_missing(self, parameter: _Parameter) -> Iterator[_Problem]:
        """The required keys that a parameter lacks."""
        for key in self.required:
            if key not in parameter:
                yield (key,), "This is missing."


def find_problems(form: Form, parameter: _Parameter) -> Iterator[_Problem]:
    """What is wrong with the values of a parameter, by the paths in it."""
    keys = [key for key in (*form.required, *form.optional) if key in parameter]
    problems = [problem for key in keys for problem in _CHECKS[key](key, parameter[key])]
    yield from problems
    if not problems and {*_RANGE} <= {*keys}:
        yield from _find_range_problems(form, parameter["min"], parameter["max"])
        width = max(abs(parameter["min"]), abs(parameter["max"]))
        if math.isinf(2.0 * width / _get_quantum(parameter)):
            yield ("q",), "This is too small for the range."


def _find_range_problems(form: Form, low: float, high: float) -> Iterator[_Problem]:
    if form.is_integral:
        for key, bound in (("min", low), ("max", high)):
            if isinstance(bound, float):
                yield (key,), f"This must be an integer, not {bound}."
    if form.is_positive and low <= 0:
        yield ("min",), f"With this distribution it must be above 0, not {low}."
    if form.is_exponential and max(abs(low), abs(high)) > _MAX_EXPONENT:
        yield ("max",), f"The bounds are exponents of e here; e**{high} is too large or small."
    if low >= high:
        yield ("min",), f"This must be less than max, but {low} is not less than {high}."


def _check_number(key: str, value: Any) -> Iterator[_Problem]:
    if problem := find_number_problem(value):
        yield (key,), problem


def _check_positive(key: str, value: Any) -> Iterator[_Problem]:
    if problem := find_number_problem(value):
        yield (key,), problem
    elif value <= 0:
        yield (key,), f"This must be above 0, not {value}."


def _check_flag(key: str, value: Any) -> Iterator[_Problem]:
    if not isinstance(value, bool):
        yield (key,), f"This must be true or false, not {describe(value)}."


def _check_values(key: str, values: Any) -> Iterator[_Problem]:
    if not isinstance(values, list) or not values:
        yield (key,), "This is a list of one value or more."


def _check_constant(key: str, value: Any) -> Iterator[_Problem]:
    for _, problem in list_json_problems(value, key):
        yield (key,), f"In a constant: {problem}"


_CHECKS: Mapping[str, Callable[[str, Any], Iterator[_Problem]]] = {
    "min": _check_number,
    "max": _check_number,
    "q": _check_positive,
    "step": _check_positive,
    "log": _check_flag,
    "values": _check_values,
    "probabilities": _check_values,
    "value": _check_constant,
    "mu": _check_number,
    "sigma": _check_positive,
    "a": _check_positive,
    "b": _check_positive,
}


def _build_constant(parameter: _Parameter) -> Any:
    value = parameter["value"]
    if _is_group(value) or not isinstance(value, dict):
        return _wrap(value)
    return {"type": "categorical", "choices": [value]}


def _is_group(value: Any) -> bool:
    """Tells a mapping that our spaces can say as a group of constants."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(name and "." not in name for name in value)
        and all(_is_group(inner) for inner in value.values() if isinstance(inner, dict))
    )


def _wrap(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _wrap(inner) for name, inner in value.items()}
    return {"value": value}


def _build_categorical(parameter: _Parameter) -> Any:
    return {"type": "categorical", **_rename(parameter, "values", "probabilities")}


def _build_grid_choices(parameter: _Parameter) -> Any:
    """The values that W&B's grid visits: of equal ones the first."""
    choices: list[Any] = []
    for value in parameter["values"]:
        if not any(is_same_json(value, choice) for choice in choices):
            choices.append(value)
    return {"type": "categorical", "choices": choices}


def _build_int(parameter: _Parameter) -> Any:
    return {"type": "int", **_rename(parameter, "min", "max", "log", "step")}


def _build_float(parameter: _Parameter) -> Any:
    return {"type": "float", **_rename(parameter, "min", "max", "log", "step")}


def _build_log(parameter: _Parameter) -> Any:
    return {"type": "float", **_rename(parameter, "min", "max"), "log": True}


def _build_exponential(parameter: _Parameter) -> Any:
    low, high = math.exp(parameter["min"]), math.exp(parameter["max"])
    return {"type": "float", "low": low, "high": high, "log": True}


def _build_inverse_exponential(parameter: _Parameter) -> Any:
    low, high = math.exp(-parameter["max"]), math.exp(-parameter["min"])
    return {"type": "float", "low": low, "high": high, "log": True}


def _quantised(build: Callable[[_Parameter], Any]) -> Callable[[_Parameter], Any]:
    return lambda parameter: {**build(parameter), "quantum": _get_quantum(parameter)}


def _get_quantum(parameter: _Parameter) -> float:
    quantum: float = parameter.get("q", 1.0)
    return quantum


def _law(kind: str) -> Callable[[_Parameter], Any]:
    return lambda parameter: {"type": kind, **_rename(parameter, "mu", "sigma", "a", "b")}


def _build_grid_range(parameter: _Parameter) -> Any:
    """The points that W&B's grid visits: from min by q, without max."""
    low, high, quantum = parameter["min"], parameter["max"], _get_quantum(parameter)
    kind = "int" if isinstance(low, int) and isinstance(quantum, int) else "float"
    last = low + (math.ceil((high - low) / quantum) - 1) * quantum
    return {"type": kind, "low": low, "high": last, "step": quantum}


def _rename(parameter: _Parameter, *keys: str) -> dict[str, Any]:
    return {NATIVE_KEYS[key]: parameter[key] for key in keys if key in parameter}


def _describe_exponents(entry: Mapping[str, Any]) -> str:
    low, high, quantum = entry["low"], entry["high"], entry.get("quantum")
    name = "log_uniform_values"
    if quantum is not None:
        name = f"q_{name}"
        low, high = find_lattice_ends(low, high, quantum)
    return (
        f"The bounds are exponents of e here, as in W&B, so values go from {low:.3g} to "
        f"{high:.3g}; {name} takes the bounds themselves."
    )


def _describe_lattice(parameter: _Parameter) -> str | None:
    low, high = parameter["min"], parameter["max"]
    first, last = find_lattice_ends(low, high, _get_quantum(parameter))
    if low <= first and last <= high:
        return None
    return f"Values go from {first} to {last}: multiples of q, the nearest ones, as in W&B."


def _describe_repeated(parameter: _Parameter) -> str | None:
    if len(_build_grid_choices(parameter)["choices"]) == len(parameter["values"]):
        return None
    return "The grid visits values that are equal once, as in W&B."


def _describe_grid_range(parameter: _Parameter) -> str:
    built = _build_grid_range(parameter)
    return f"The grid has the values from {built['low']} by q to {built['high']}, as in W&B."


def _not_in_grid(name: str) -> Form:
    return Form(
        refusal=f"A grid cannot visit all values of {name}; use values, int_uniform or q_uniform."
    )


_EXTRAS = ("log", "step")
_NORMAL = ("mu", "sigma")
_BETA = ("a", "b")

DISTRIBUTIONS: Mapping[str, Form] = {
    "constant": Form(("value",), build=_build_constant),
    "categorical": Form(("values",), build=_build_categorical),
    "categorical_w_probabilities": Form(("values", "probabilities"), build=_build_categorical),
    "int_uniform": Form(_RANGE, _EXTRAS, _build_int, is_integral=True),
    "uniform": Form(_RANGE, _EXTRAS, _build_float),
    "q_uniform": Form(_RANGE, ("q",), _quantised(_build_float), find_note=_describe_lattice),
    "log_uniform_values": Form(_RANGE, build=_build_log, is_positive=True),
    "inv_log_uniform_values": Form(_RANGE, build=_build_log, is_positive=True),
    "q_log_uniform_values": Form(
        _RANGE, ("q",), _quantised(_build_log), is_positive=True, find_note=_describe_lattice
    ),
    "log_uniform": Form(
        _RANGE,
        build=_build_exponential,
        is_exponential=True,
        find_note=lambda it: _describe_exponents(_build_exponential(it)),
    ),
    "inv_log_uniform": Form(
        _RANGE,
        build=_build_inverse_exponential,
        is_exponential=True,
        find_note=lambda it: _describe_exponents(_build_inverse_exponential(it)),
    ),
    "q_log_uniform": Form(
        _RANGE,
        ("q",),
        _quantised(_build_exponential),
        is_exponential=True,
        find_note=lambda it: _describe_exponents(_quantised(_build_exponential)(it)),
    ),
    "normal": Form((), _NORMAL, _law("normal")),
    "q_normal": Form((), (*_NORMAL, "q"), _quantised(_law("normal"))),
    "log_normal": Form((), _NORMAL, _law("log_normal")),
    "q_log_normal": Form((), (*_NORMAL, "q"), _quantised(_law("log_normal"))),
    "beta": Form((), _BETA, _law("beta")),
    "q_beta": Form((), (*_BETA, "q"), _quantised(_law("beta"))),
}

_OF_GRID = ("constant", "categorical", "int_uniform", "q_uniform")
GRID_DISTRIBUTIONS: Mapping[str, Form] = {
    **{name: _not_in_grid(name) for name in DISTRIBUTIONS if name not in _OF_GRID},
    "categorical": Form(("values",), build=_build_grid_choices, find_note=_describe_repeated),
    "categorical_w_probabilities": Form(
        refusal="A grid visits each value once, so W&B takes no probabilities; leave them out."
    ),
    "q_uniform": Form(_RANGE, ("q",), _build_grid_range, find_note=_describe_grid_range),
}
"""What is different with `method: grid`."""
