"""The one internal form of a declared search space."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution

from service.search_space.json_values import is_same_json
from service.search_space.readings import Reading, resolve_params
from service.search_space.values import find_value_problem


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value to be suggested.

    Attributes:
        name: Flattened name, groups joined with dots.
        distribution: Of what is drawn and what Optuna keeps.
        when: Values that other parameters must have for this one to be used, all of them at
            once; empty means always.
        reading: What a trial gets for what was drawn; None: that itself.
    """

    name: str
    distribution: BaseDistribution
    when: Mapping[str, tuple[Any, ...]]
    reading: Reading | None = None

    def resolve(self, drawn: Any) -> Any:
        """Return what a trial gets for a drawn value."""
        return drawn if self.reading is None else self.reading.resolve(drawn)

    def find_drawn(self, value: Any) -> Any:
        """Return what Optuna keeps for a value that the parameter can have."""
        if self.reading is not None:
            return self.reading.find_drawn(value)
        # As it comes back from the database: a 1 as 1.0 for a float.
        return self.distribution.to_external_repr(self.distribution.to_internal_repr(value))

    def find_problem(self, value: Any) -> str | None:
        """Return why the parameter can never have a value, or None."""
        if self.reading is not None:
            return self.reading.find_problem(value)
        return find_value_problem(self.distribution, value)


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """Parameters and constants of a study.

    Attributes:
        parameters: By name, except that each comes after those its `when` names. The order does
            not depend on that of the document: a stored space suggests as the original did.
        constants: Values that every trial gets, by flattened name.
        readings: Of the parameters that have one, by name.
    """

    parameters: tuple[Parameter, ...]
    constants: Mapping[str, Any]
    readings: Mapping[str, Reading] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        readings = {each.name: each.reading for each in self.parameters if each.reading is not None}
        object.__setattr__(self, "readings", readings)

    @property
    def is_conditional(self) -> bool:
        return any(parameter.when for parameter in self.parameters)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        return {parameter.name: parameter.distribution for parameter in self.parameters}

    def resolve(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return drawn parameters, by flattened name, as everybody but Optuna sees them."""
        return resolve_params(params, self.readings)

    def is_active(self, parameter: Parameter, chosen: Mapping[str, Any]) -> bool:
        """Tell whether a trial with the `chosen` values (of earlier parameters) uses it.

        Args:
            chosen: Resolved (see `resolve`).
        """
        return all(
            name in chosen and is_among(chosen[name], values)
            for name, values in parameter.when.items()
        )


def is_among(chosen: Any, values: Iterable[Any]) -> bool:
    """Tell whether a parameter's value is one of those that a `when` lists."""
    return any(_equal(chosen, value) for value in values)


def nest(params: Mapping[str, Any]) -> dict[str, Any]:
    """Rebuild groups from dotted names: `{"opt.lr": 1}` becomes `{"opt": {"lr": 1}}`.

    A name that another one stands in the way of (both `a` and `a.b`) stays as it is.
    """
    nested: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {"": nested}
    for name in params:
        *path, last = name.split(".")
        group = _open_group(path, groups, params)
        if group is None:
            nested[name] = params[name]
        else:
            group[last] = params[name]
    return nested


def flatten(group: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what `nest` would put into groups, by dotted name; an empty group is a value.

    A name comes twice if `group` has it both nested and with a dot.
    """
    for key, value in group.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _open_group(
    path: list[str], groups: dict[str, dict[str, Any]], params: Mapping[str, Any]
) -> dict[str, Any] | None:
    prefixes = [".".join(path[: depth + 1]) for depth in range(len(path))]
    if any(prefix in params or not prefix for prefix in prefixes):
        return None
    group = groups[""]
    for prefix, part in zip(prefixes, path, strict=True):
        if prefix not in groups:
            groups[prefix] = group[part] = {}
        group = groups[prefix]
    return group


def _equal(chosen: Any, value: Any) -> bool:
    # A float on a step is computed, low + k * step, and so may miss its decimal spelling.
    if isinstance(chosen, float) and isinstance(value, float):
        return math.isclose(chosen, value, rel_tol=1e-9, abs_tol=1e-12)
    return is_same_json(chosen, value)
