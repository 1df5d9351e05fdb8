"""Parameter values that a client fixes for a trial."""

from collections.abc import Mapping
from typing import Any

from service.domain.arguments import did_you_mean, make_printable
from service.domain.errors import FieldError, InvalidParams
from service.search_space.scalars import describe
from service.search_space.spaces import Parameter, SearchSpace
from service.search_space.values import find_value_problem


def check_params(space: SearchSpace, params: Mapping[str, Any]) -> None:
    """Check values fixed for a trial, by flattened name, against the declared space.

    Raises:
        InvalidParams: With an entry for every parameter that is unknown, a constant, of the
            wrong type, out of range, or unused because of another fixed value.
    """
    known = {parameter.name: parameter for parameter in space.parameters}
    found = ((name, _find_problem(space, known, params, name)) for name in params)
    errors = make_printable(FieldError(str(name), problem) for name, problem in found if problem)
    if errors:
        raise InvalidParams(
            f"params do not fit the study's search space: {errors[0].field}: {errors[0].message}",
            errors=errors,
        )


def _find_problem(
    space: SearchSpace, known: Mapping[str, Parameter], params: Mapping[str, Any], name: str
) -> str | None:
    if name in space.constants:
        return "This is a constant of the study; leave it out."
    if name not in known:
        return f"The search space has no such parameter.{did_you_mean(str(name), known)}"
    parameter = known[name]
    if problem := find_value_problem(parameter.distribution, params[name]):
        return problem
    return _find_contradiction(known, parameter, params)


def _find_contradiction(
    known: Mapping[str, Parameter], parameter: Parameter, params: Mapping[str, Any]
) -> str | None:
    for other, values in parameter.when.items():
        if other in params and params[other] not in values:
            allowed = " or ".join(describe(value) for value in values)
            return (
                f'This is used only when "{other}" is {allowed}; it is {describe(params[other])}.'
            )
        if other not in params and (problem := _find_contradiction(known, known[other], params)):
            return problem
    return None
