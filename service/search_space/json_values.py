"""JSON values of any depth."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from service.search_space.scalars import describe, find_scalar_problem, find_text_problem

_MAX_DEPTH = 32
_MAX_SHOWN = 60


def is_same_json(one: Any, other: Any) -> bool:
    """Tell whether two values are the same JSON: true is not 1, 1.0 is."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(is_same_json, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(is_same_json(one[k], other[k]) for k in one)
    # Python calls true and 1 equal.
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def list_json_problems(value: Any, path: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Return what of a value cannot be kept: the dotted path to it from `path`, and why."""
    if depth > _MAX_DEPTH:
        yield path, f"Lists and mappings may be nested at most {_MAX_DEPTH} deep."
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if problem := _find_key_problem(key):
                yield path, problem
            yield from list_json_problems(inner, f"{path}.{key}", depth + 1)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from list_json_problems(inner, f"{path}.{index}", depth + 1)
    elif problem := find_scalar_problem(value):
        yield path, problem


def show_json(value: Any) -> str:
    """Return a value as messages and tables may show it: never long."""
    if not isinstance(value, Mapping | list | tuple):
        return describe(value)
    text = json.dumps(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _find_key_problem(key: Any) -> str | None:
    if not isinstance(key, str):
        return f"The names in an object are strings, not {describe(key)}."
    return find_text_problem(key)
