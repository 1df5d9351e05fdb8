"""Values that are there already, and what is asked for once more; the rules are Optuna's.

See `optuna.distributions.check_distribution_compatibility` and `optuna.trial.FrozenTrial`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from asktell._json import to_plain

_Choice = TypeVar("_Choice")


def check_again(
    name: str, value: Any, first: Mapping[str, Any], document: Mapping[str, Any]
) -> None:
    """Compares a parameter with how it is declared now.

    Args:
        name: Of the parameter.
        value: Its value.
        first: How it was declared when it was first asked for, in the API's form.
        document: How it is declared now.

    Raises:
        ValueError: It is of another kind. If only its range is another one, that is a warning.
    """
    kind = document["type"]
    if first["type"] != kind or not _is_of_kind(value, kind):
        raise ValueError(
            f"{name!r} is {value!r} in this trial, chosen by another kind than {kind}."
        )
    if first != document or not _is_in_range(value, document):
        warnings.warn(
            f"{name!r} is {value!r} in this trial and stays so, whatever is declared now: "
            f"{dict(document)!r}.",
            stacklevel=2,
        )


def check_choices(name: str, choices: Sequence[Any]) -> None:
    """Refuses choices that only a declared parameter may have.

    Raises:
        TypeError: One is a list or a mapping.
    """
    for choice in choices:
        if isinstance(choice, (list, dict)):
            raise TypeError(f"A choice of {name!r} is None, a bool, a number or text: {choice!r}.")


def find_choice(name: str, value: Any, choices: Sequence[_Choice]) -> _Choice:
    """The caller's own object for a value.

    Raises:
        ValueError: It is none of the choices.
    """
    plain = [to_plain(choice) for choice in choices]
    for candidate, choice in zip(plain, choices, strict=True):
        if candidate == value:
            return choice
    raise ValueError(f"{name!r} is {value!r} in this trial, not one of {plain!r}.")


def _is_of_kind(value: Any, kind: str) -> bool:
    if kind == "categorical":
        return True
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return kind != "int" or float(value).is_integer()


def _is_in_range(value: Any, document: Mapping[str, Any]) -> bool:
    return "low" not in document or bool(document["low"] <= value <= document["high"])
