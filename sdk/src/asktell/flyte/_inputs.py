"""The inputs of an objective, with suggestions in place of some values."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from asktell.flyte._suggestions import Suggestion


class Inputs:
    """What an optimizer was called with; each trial gets a copy of its own.

    Attributes:
        suggestions: By the name of their parameter: the keys that lead to them, joined by dots.

    Raises:
        ValueError: Two parameters would have the same name, or a suggestion is where it would
            not be found.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self.suggestions: dict[str, Suggestion] = {}
        for name, suggestion in _find_suggestions(given, ()):
            if name in self.suggestions:
                raise ValueError(f"Two suggestions would share the parameter {name!r}; rename one.")
            self.suggestions[name] = suggestion

    def resolve(self, trial: Any) -> dict[str, Any]:
        """A deep copy with the trial's values in place of the suggestions."""
        return process(trial, dict(copy.deepcopy(self._given)))


def process(trial: Any, inputs: dict[str, Any], root: list[str] | None = None) -> dict[str, Any]:
    """Replaces the suggestions in a dictionary, and in those within it, and returns it.

    Args:
        trial: Optuna's or ours.
        inputs: It is changed.
        root: The keys that lead to it.
    """
    for key, value in inputs.items():
        path = [*(root or ()), str(key)]
        if isinstance(value, Suggestion):
            inputs[key] = value.draw(trial, ".".join(path))
        elif isinstance(value, dict):
            inputs[key] = process(trial, value, path)
    return inputs


def _find_suggestions(
    inputs: Mapping[Any, Any], root: tuple[str, ...]
) -> Iterator[tuple[str, Suggestion]]:
    for key, value in inputs.items():
        path = (*root, str(key))
        if isinstance(value, Suggestion):
            yield ".".join(path), value
        elif isinstance(value, dict):
            yield from _find_suggestions(value, path)
        elif _hides_suggestion(value):
            raise ValueError(
                f"{'.'.join(path)!r} has a suggestion in a {type(value).__name__}, where it is not "
                "replaced; only dictionaries may hold some."
            )


def _hides_suggestion(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_hides_suggestion, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_hides_suggestion, value))
    return isinstance(value, Suggestion)
