"""Parameter values that a client gives for a trial: fixed, enqueued or imported."""

from collections.abc import Iterator, Mapping
from typing import Any

from optuna.distributions import BaseDistribution

from service.domain.arguments import did_you_mean, make_printable
from service.domain.errors import FieldError, InvalidParams
from service.search_space.json_values import is_same_json, show_json
from service.search_space.scalars import describe
from service.search_space.spaces import Parameter, SearchSpace, is_among
from service.search_space.values import find_value_problem


def check_params(space: SearchSpace, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values fixed for a trial, by flattened name and in the order of the space.

    They are as Optuna keeps them: of a parameter that is read, what may have been drawn for it.

    Args:
        params: Nested as a trial's are shown, flat with dots, or a mixture of both. A constant of
            the space may be among them with exactly its value; it is left out of what is returned.

    Raises:
        InvalidParams: With an entry for every parameter that is unknown, given twice, of the
            wrong type, out of range, or conditional on what the other values do not settle, and
            for every constant with another value.
    """
    given, errors = _read(space, params)
    return _settle(space, given, errors)


def check_complete_params(space: SearchSpace, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters of a finished trial, by flattened name and in the order of the space.

    They are as `check_params` returns them.

    Args:
        params: As for `check_params`.

    Raises:
        InvalidParams: As for `check_params`, and with an entry for every parameter that is
            missing although the others make it part of the trial.
    """
    given, errors = _read(space, params)
    errors += [
        FieldError(parameter.name, "This parameter is missing; give the value that it had.")
        for parameter in space.parameters
        if parameter.name not in given and space.is_active(parameter, given)
    ]
    return _settle(space, given, errors)


def check_fixed_values(
    distributions: Mapping[str, BaseDistribution], fixed: Mapping[str, Any]
) -> None:
    """Check values fixed for a trial against the distributions that its code declares for them.

    Optuna itself takes a value that is out of range with a warning, and converts a string.

    Raises:
        InvalidParams: With an entry for every parameter that cannot have its fixed value.
    """
    found = (
        (name, find_value_problem(distributions[name], value))
        for name, value in fixed.items()
        if name in distributions
    )
    errors = make_printable(FieldError(name, problem) for name, problem in found if problem)
    if errors:
        raise InvalidParams(
            f'"{errors[0].field}" was fixed for this trial to a value that it cannot have: '
            f"{errors[0].message} Declare a distribution that has it, or tell the trial FAIL.",
            errors=errors,
        )


def _read(space: SearchSpace, params: Mapping[str, Any]) -> tuple[dict[str, Any], list[FieldError]]:
    known = {parameter.name: parameter for parameter in space.parameters}
    groups = _list_groups(space)
    given: dict[str, Any] = {}
    errors: list[FieldError] = []
    for name, value in _flatten(params, "", groups):
        if name in given:
            errors.append(FieldError(name, "This is given twice, in a group and with a dot."))
        given[name] = value
    found = ((name, _find_problem(space, known, groups, given, name)) for name in given)
    errors += [FieldError(name, problem) for name, problem in found if problem]
    return given, errors


def _settle(
    space: SearchSpace, given: Mapping[str, Any], errors: list[FieldError]
) -> dict[str, Any]:
    if errors:
        printable = make_printable(errors)
        first = printable[0]
        raise InvalidParams(
            f"params do not fit the study's search space: {first.field}: {first.message}",
            errors=printable,
        )
    return {
        parameter.name: parameter.find_drawn(given[parameter.name])
        for parameter in space.parameters
        if parameter.name in given
    }


def _list_groups(space: SearchSpace) -> set[str]:
    parts = [name.split(".") for name in (*space.distributions, *space.constants)]
    return {".".join(path[:depth]) for path in parts for depth in range(1, len(path))}


def _flatten(group: Mapping[str, Any], prefix: str, groups: set[str]) -> Iterator[tuple[str, Any]]:
    for key, value in group.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and name in groups:
            yield from _flatten(value, f"{name}.", groups)
        else:
            yield name, value


def _find_problem(
    space: SearchSpace,
    known: Mapping[str, Parameter],
    groups: set[str],
    given: Mapping[str, Any],
    name: str,
) -> str | None:
    if name in space.constants:
        return _find_constant_problem(space.constants[name], given[name])
    if name in groups:
        return (
            f"This is a group of parameters, so it must be an object, not {describe(given[name])}."
        )
    if name not in known:
        return f"The search space has no such parameter.{did_you_mean(name, known)}"
    parameter = known[name]
    if problem := parameter.find_problem(given[name]):
        return problem
    return _find_contradiction(known, parameter, given)


def _find_constant_problem(constant: Any, value: Any) -> str | None:
    if is_same_json(constant, value):
        return None
    return f"This is a constant of the study, {show_json(constant)}; leave it out."


def _find_contradiction(
    known: Mapping[str, Parameter], parameter: Parameter, given: Mapping[str, Any]
) -> str | None:
    for other, values in parameter.when.items():
        allowed = " or ".join(map(show_json, values))
        condition = f'This is used only when "{other}" is {allowed}'
        if other not in given and not known[other].distribution.single():
            return f'{condition}; give "{other}" as well.'
        if other in given and not is_among(given[other], values):
            return f"{condition}; it is {show_json(given[other])}."
        if other not in given and (problem := _find_contradiction(known, known[other], given)):
            return problem
    return None
