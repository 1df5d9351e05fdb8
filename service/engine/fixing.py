"""Fix: parameter values that a client wants a trial to have."""

from collections.abc import Mapping
from typing import Any

from service.domain.errors import FieldError, InvalidParams
from service.domain.studies import Component
from service.samplers import check_fixed_params
from service.search_space import SearchSpace, check_params, find_name_problem, find_scalar_problem


def check_fixed(
    sampler: Component, params: Mapping[str, Any], space: SearchSpace | None
) -> Mapping[str, Any]:
    """Returns the values by flattened name.

    Args:
        sampler: Of the study.
        params: Nested or flattened.
        space: None if the trial's own code will declare its parameters.

    Raises:
        InvalidParams: A value does not fit the space or can never be kept, or the sampler has no
            trial with such values.
    """
    if space is not None:
        params = check_params(space, params)
    else:
        _check_storable(params)
    check_fixed_params(sampler, space, params)
    return params


def _check_storable(params: Mapping[str, Any]) -> None:
    problems = {
        name: find_name_problem(name) or find_scalar_problem(params[name]) for name in params
    }
    errors = [FieldError(f"params.{name}", text) for name, text in problems.items() if text]
    if errors:
        raise InvalidParams(f"A fixed parameter cannot be kept: {errors[0].message}", errors=errors)
