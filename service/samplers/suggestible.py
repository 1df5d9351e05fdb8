"""Whether a sampler can suggest certain parameters."""

import math
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from service.domain.arguments import did_you_mean
from service.domain.errors import FieldError, InvalidParams
from service.domain.studies import Component
from service.samplers.grids import MAX_COMBINATIONS, count_values, list_values
from service.samplers.kinds import find_grid, find_inner
from service.search_space import SearchSpace, find_value_problem

# Each list is an array of floats, made anew for every draw.
_MOST_LISTED = 1_000_000


def check_suggestible(component: Component, distributions: Mapping[str, BaseDistribution]) -> None:
    """Check that a resolved sampler can suggest parameters that a trial declares itself.

    Raises:
        InvalidParams: A parameter that is not in the grid, a range that cannot be enumerated, a
            fixed value outside its distribution.
    """
    errors = list_unsuggestible(component, distributions, "sampler")
    if errors:
        raise InvalidParams(
            f"The study's sampler cannot do this: {errors[0].message}", errors=errors
        )


def check_fixed_params(
    component: Component, space: SearchSpace | None, params: Mapping[str, Any]
) -> None:
    """Check that a resolved sampler can complete a trial some of whose values are fixed.

    Args:
        params: By flattened name (see `check_params`).

    Raises:
        InvalidParams: A grid has no point for a trial that fixes some parameters but not all.
    """
    grid = find_grid(component)
    missing = _list_open(grid, space, params) if params and grid else []
    if missing:
        message = f"With GridSampler fix every parameter or none; missing: {', '.join(missing)}."
        raise InvalidParams(message, errors=[FieldError(name, message) for name in missing])


def _list_open(
    grid: Mapping[str, Any], space: SearchSpace | None, params: Mapping[str, Any]
) -> list[str]:
    """Return the names for which a trial with these fixed values would need a point of the grid."""
    if space is None:
        return [name for name in grid if name not in params]
    return [
        parameter.name
        for parameter in space.parameters
        if parameter.name in grid
        and parameter.name not in params
        and not parameter.distribution.single()
        and space.is_active(parameter, space.resolve(params))
    ]


def list_unsuggestible(
    component: Component, distributions: Mapping[str, BaseDistribution], path: str
) -> list[FieldError]:
    """Return why a resolved sampler cannot suggest these parameters; empty if it can."""
    args = component.args
    match component.type:
        case "GridSampler":
            return _list_outside_grid(args["search_space"], distributions, f"{path}.args")
        case "BruteForceSampler":
            return list_endless(distributions, path)
        case "GPSampler":
            return _list_too_fine(distributions, path)
        case "ImputingSampler":
            return _list_unsuggestible_inside(component, distributions, path)
        case "PartialFixedSampler":
            fixed = args["fixed_params"]
            rest = {name: found for name, found in distributions.items() if name not in fixed}
            errors = _list_outside_fixed(fixed, distributions, f"{path}.args")
            return errors + _list_unsuggestible_inside(component, rest, path)
        case _:
            return []


def _list_unsuggestible_inside(
    component: Component, distributions: Mapping[str, BaseDistribution], path: str
) -> list[FieldError]:
    inner = find_inner(component)
    if inner is None:
        return []
    return list_unsuggestible(inner, distributions, f"{path}.args.base_sampler")


def _list_too_fine(distributions: Mapping[str, BaseDistribution], path: str) -> list[FieldError]:
    """Return the parameters of which `optuna._gp.search_space` would make too long a list."""
    return [
        FieldError(
            path,
            f'"{name}" has {count:.0f} values, and GPSampler lists them all; use a larger step, so '
            f"that there are at most {_MOST_LISTED}, or another sampler.",
        )
        for name, found in distributions.items()
        if _MOST_LISTED < (count := count_values(found)) < math.inf
    ]


def list_undeclared(component: Component, space: SearchSpace, path: str) -> list[FieldError]:
    """Return the names in a resolved sampler's arguments that the space does not declare."""
    known = space.distributions
    errors = [
        FieldError(
            f"{path}.args.{argument}.{name}",
            f"The search space has no such parameter.{did_you_mean(name, known)}",
        )
        for argument in ("search_space", "fixed_params")
        for name in component.args.get(argument, ())
        if name not in known
    ]
    inner = find_inner(component)
    if component.type == "PartialFixedSampler" and inner is not None:
        errors += list_undeclared(inner, space, f"{path}.args.base_sampler")
    return errors


def list_unnameable(component: Component, space: SearchSpace, path: str) -> list[FieldError]:
    """Return the names in a resolved sampler's arguments whose drawn values are not the trial's."""
    errors = [
        FieldError(
            f"{path}.args.{argument}.{name}",
            f"This is {space.readings[name].describe()}, of which no values can be named here; use "
            "a range with a step, or choices that are scalars and differ.",
        )
        for argument in ("search_space", "fixed_params")
        for name, values in component.args.get(argument, {}).items()
        if name in space.readings
        and not (argument == "search_space" and _are_all_places(space, name, values))
    ]
    inner = find_inner(component)
    if component.type == "PartialFixedSampler" and inner is not None:
        errors += list_unnameable(inner, space, f"{path}.args.base_sampler")
    return errors


def _are_all_places(space: SearchSpace, name: str, values: Any) -> bool:
    """Tell the grid's own list of the places of all choices from values that somebody named."""
    distribution = space.distributions[name]
    return isinstance(distribution, CategoricalDistribution) and values == list_values(distribution)


def list_endless(distributions: Mapping[str, BaseDistribution], path: str) -> list[FieldError]:
    """Return the parameters that have too many values to visit each."""
    return [
        FieldError(
            path,
            f'"{name}" has endlessly many values; give it a step, or choices of no probability.',
        )
        if count_values(found) == math.inf
        else FieldError(path, f'"{name}" has too many values to visit them all; use a larger step.')
        for name, found in distributions.items()
        if count_values(found) > MAX_COMBINATIONS
    ]


def _list_outside_grid(
    grid: Mapping[str, Any], distributions: Mapping[str, BaseDistribution], path: str
) -> list[FieldError]:
    errors = [
        FieldError(f"{path}.search_space", f'"{name}" is missing from the grid.')
        for name, found in distributions.items()
        if name not in grid and not found.single()
    ]
    for name, found in distributions.items():
        problems = (find_value_problem(found, value) for value in grid.get(name, ()))
        errors += [FieldError(f"{path}.search_space.{name}", text) for text in problems if text]
    return errors


def _list_outside_fixed(
    fixed: Mapping[str, Any], distributions: Mapping[str, BaseDistribution], path: str
) -> list[FieldError]:
    problems = (
        (name, find_value_problem(distributions[name], value))
        for name, value in fixed.items()
        if name in distributions
    )
    return [FieldError(f"{path}.fixed_params.{name}", text) for name, text in problems if text]
