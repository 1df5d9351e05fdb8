"""A search space that the values of finished runs might have come from."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from service.search_space import find_scalar_problem, flatten

# Ranges over this many times their lower end are mostly searched on a log scale.
_LOG_RATIO = 1000
LABELS = "asktell"
"""What Asktell's own runs have in their configuration beside the parameters."""


def flatten_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a run's configuration by flattened name, without our labels."""
    flat = flatten(config)
    return {name: value for name, value in flat if name.partition(".")[0] != LABELS}


def guess_space(configs: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """Returns a space by flattened name, and the names that it has no place for.

    A name belongs to the space if all runs have it, with scalars. One value makes a constant,
    numbers a range from the least to the greatest, on a log scale if it is a wide one; anything
    else makes a choice of what there was.

    Args:
        configs: Of the runs; what is nested gets names that are joined by dots.
    """
    flat = [flatten_config(config) for config in configs]
    names = list(dict.fromkeys(chain.from_iterable(flat)))
    columns = {name: [config[name] for config in flat if name in config] for name in names}
    fitting = {
        name: values
        for name, values in columns.items()
        if len(values) == len(configs) and not any(map(find_scalar_problem, values))
    }
    space = {name: _guess(values) for name, values in fitting.items()}
    return space, [name for name in names if name not in fitting]


def _guess(values: Sequence[Any]) -> dict[str, Any]:
    different = _list_different(values)
    if len(different) == 1:
        return {"value": different[0]}
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in different):
        return {"type": "categorical", "choices": different}
    low, high = min(different), max(different)
    kind = "int" if all(isinstance(value, int) for value in different) else "float"
    return {"type": kind, "low": low, "high": high, "log": 0 < low * _LOG_RATIO <= high}


def _list_different(values: Sequence[Any]) -> list[Any]:
    """Of true and 1, which Python calls equal, only the first could be a choice."""
    return list(dict.fromkeys(values))
