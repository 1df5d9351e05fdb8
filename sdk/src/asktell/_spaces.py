"""What a program sees of a trial's parameters, made from what the server stores of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any


def build_params(space: Mapping[str, Any] | None, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as an ask hands them out: in the groups of the space, with its constants.

    Args:
        space: The declared search space in the API's form; None where there is none.
        chosen: Values by flattened name, as trials show them.
    """
    if space is None:
        return dict(chosen)
    return _nest({**dict(_find_constants(space, "", chosen)), **chosen})


def _find_constants(
    group: Mapping[str, Any], prefix: str, chosen: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    for key, entry in group.items():
        name = prefix + key
        if name in chosen:
            continue
        if not isinstance(entry, Mapping):
            yield name, entry
        elif is_constant(entry):
            yield name, entry["value"]
        elif not is_parameter(entry):
            yield from _find_constants(entry, f"{name}.", chosen)


def is_constant(entry: Mapping[str, Any]) -> bool:
    """Tells a constant in its wrapping from a group with a member of the name `value`."""
    return "value" in entry and "type" not in entry and not isinstance(entry["value"], Mapping)


def is_parameter(entry: Mapping[str, Any]) -> bool:
    """Tells a parameter, in the API's form or in Optuna's, from a group of parameters."""
    if isinstance(entry.get("type"), str) or isinstance(entry.get("choices"), list):
        return True
    is_range = "low" in entry and not isinstance(entry["low"], Mapping)
    return is_range or isinstance(entry.get("name"), str)


def check_bounds(name: str, entry: Any) -> None:
    """Refuses a range that no JSON could say.

    Raises:
        ValueError: A bound or the step is NaN or infinite.
    """
    if not isinstance(entry, Mapping):
        return
    for key in ("low", "high", "step"):
        bound = entry.get(key)
        if isinstance(bound, Real) and not math.isfinite(bound):
            flaw = "NaN" if math.isnan(bound) else "infinite"
            raise ValueError(f'"{key}" of "{name}" is {flaw}; it has to be a finite number.')


def _nest(params: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in params.items():
        *path, last = name.split(".")
        group = nested
        for part in path:
            group = group.setdefault(part, {})
        group[last] = value
    return nested
