"""Arguments of samplers that a type annotation cannot describe."""

from collections.abc import Callable, Mapping
from typing import Any

from service.domain.errors import FieldError
from service.samplers.grids import MAX_COMBINATIONS, count_combinations
from service.search_space import find_scalar_problem


def list_value_problems(
    sampler: str, args: Mapping[str, Any], *, n_objectives: int
) -> list[FieldError]:
    """Return what is wrong with a grid, with fixed values, or with reference points."""
    checks: Mapping[str, Callable[[], list[FieldError]]] = {
        "GridSampler": lambda: _check_grid(args.get("search_space")),
        "PartialFixedSampler": lambda: _check_fixed(args.get("fixed_params")),
        "NSGAIIISampler": lambda: _check_points(args.get("reference_points"), n_objectives),
    }
    return checks[sampler]() if sampler in checks else []


def _check_grid(grid: Any) -> list[FieldError]:
    if not isinstance(grid, Mapping) or not grid:
        return [FieldError("search_space", 'This must be an object such as {"x": [1, 2, 3]}.')]
    errors = [
        FieldError(f"search_space.{name}", problem)
        for name, values in grid.items()
        if (problem := _find_values_problem(values))
    ]
    if not errors and count_combinations(grid) > MAX_COMBINATIONS:
        message = (
            f"The grid has more than {MAX_COMBINATIONS} combinations; use fewer values, or "
            "RandomSampler."
        )
        errors.append(FieldError("search_space", message))
    return errors


def _find_values_problem(values: Any) -> str | None:
    if not isinstance(values, list | tuple) or not values or not all(map(_is_scalar, values)):
        return "This must be a list of nulls, booleans, finite numbers or strings."
    if len({(isinstance(value, bool), value) for value in values}) < len(values):
        return "A value appears twice; its combinations would be repeated."
    return None


def _check_fixed(fixed: Any) -> list[FieldError]:
    if not isinstance(fixed, Mapping):
        return []
    return [
        FieldError(f"fixed_params.{name}", "This must be null, a boolean, a number or a string.")
        for name, value in fixed.items()
        if not _is_scalar(value)
    ]


def _check_points(points: Any, n_objectives: int) -> list[FieldError]:
    if points is None or _is_matrix(points, n_objectives):
        return []
    message = f"This must be a list of points, each a list of {n_objectives} finite numbers."
    return [FieldError("reference_points", message)]


def _is_matrix(points: Any, n_columns: int) -> bool:
    return (
        isinstance(points, list | tuple)
        and len(points) > 0
        and all(isinstance(point, list | tuple) and len(point) == n_columns for point in points)
        and all(_is_number(number) for point in points for number in point)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and _is_scalar(value) and not isinstance(value, bool)


def _is_scalar(value: Any) -> bool:
    return find_scalar_problem(value) is None
