"""W&B's filters of runs and sweeps, which are written like MongoDB's."""

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from tests.wandb_backend.world import Unknown

Found = TypeVar("Found")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda value, wanted: bool(value == wanted),
    "$ne": lambda value, wanted: bool(value != wanted),
    "$in": lambda value, wanted: value in wanted,
    "$nin": lambda value, wanted: value not in wanted,
}


def filter_found(
    found: Iterable[Found], filters: str | None, describe: Callable[[Found], dict[str, Any]]
) -> list[Found]:
    """Those that match; `describe` names the values that filters may ask for.

    Raises:
        Unknown: A filter that is not known here.
    """
    wanted = json.loads(filters or "{}")
    return [each for each in found if _matches(describe(each), wanted)]


def _matches(values: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(_matches_key(values, key, each) for key, each in wanted.items())


def _matches_key(values: dict[str, Any], key: str, wanted: Any) -> bool:
    if key == "$and":
        return all(_matches(values, each) for each in wanted)
    if key == "$or":
        return any(_matches(values, each) for each in wanted)
    if key not in values:
        raise Unknown(f"filter {key}")
    if not isinstance(wanted, dict):
        wanted = {"$eq": wanted}
    return all(_compare(operator, values[key], each) for operator, each in wanted.items())


def _compare(operator: str, value: Any, wanted: Any) -> bool:
    if operator not in _OPERATORS:
        raise Unknown(f"filter {operator}")
    return _OPERATORS[operator](value, wanted)
