"""Conditions on what trials have, as people write them: `lr<0.01`, `optimizer = adam`."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

from service.domain.errors import Invalid
from service.search_space.json_values import is_same_json
from service.search_space.scalars import describe

FORM = "NAME OP VALUE, where OP is one of <, <=, >, >=, = and !="

_OPERATOR = re.compile("<=|>=|!=|<|>|=")
_NUMBER = re.compile(
    r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE
)
_MOST_OPERATORS = 20  # of which one ends the name: a text of nothing else would cost too much
_QUOTES = ('"', "'")
_CONSTANTS = {"true": True, "false": False, "null": None}


class Comparison(StrEnum):
    """How a value is compared with that of a condition."""

    LESS = "<"
    LESS_EQUAL = "<="
    GREATER = ">"
    GREATER_EQUAL = ">="
    EQUAL = "="
    NOT_EQUAL = "!="

    @property
    def is_of_order(self) -> bool:
        return self not in (Comparison.EQUAL, Comparison.NOT_EQUAL)


_HOLD_FOR_EQUAL = (Comparison.EQUAL, Comparison.LESS_EQUAL, Comparison.GREATER_EQUAL)
_HOLD_FOR_LESS = (Comparison.LESS, Comparison.LESS_EQUAL, Comparison.NOT_EQUAL)
_HOLD_FOR_GREATER = (Comparison.GREATER, Comparison.GREATER_EQUAL, Comparison.NOT_EQUAL)


@dataclass(frozen=True, slots=True)
class Split:
    """One way to read a condition: parameters may have operators in their names."""

    name: str
    comparison: Comparison
    value: str


@dataclass(frozen=True, slots=True)
class Condition:
    """What a value must be.

    Attributes:
        number: What it is compared with as a number; None: it is none.
        others: What else it may be equal to, for quotes may be left out: `16` may be a text.
    """

    comparison: Comparison
    number: float | None
    others: tuple[Any, ...] = ()

    def holds(self, value: Any, *, tolerance: float = 0.0) -> bool:
        """Tell whether a value is like that; NaN never is, and nothing is like NaN.

        Args:
            tolerance: How far numbers may be apart that count as equal.
        """
        if not is_number(value):
            return self._holds_for_other(value)
        if self.number is None:
            return self.comparison is Comparison.NOT_EQUAL and not math.isnan(value)
        return self._holds_for_number(value, self.number, tolerance)

    def _holds_for_other(self, value: Any) -> bool:
        match self.comparison:
            case Comparison.EQUAL:
                return self._is_among_others(value)
            case Comparison.NOT_EQUAL:
                return not self._is_among_others(value)
            case _:
                return False

    def _is_among_others(self, value: Any) -> bool:
        return any(is_same_json(value, other) for other in self.others)

    def _holds_for_number(self, value: float, number: float, tolerance: float) -> bool:
        if math.isnan(value) or math.isnan(number):
            return False
        if value == number or abs(value - number) <= tolerance:
            return self.comparison in _HOLD_FOR_EQUAL
        return self.comparison in (_HOLD_FOR_LESS if value < number else _HOLD_FOR_GREATER)


def is_number(value: Any) -> bool:
    """Tell whether a value has an order: booleans have none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def find_splits(text: str) -> list[Split]:
    """Return all ways to read a condition, that with the longest name first."""
    return sorted(_list_splits(text), key=lambda split: len(split.name), reverse=True)


def parse_condition(split: Split) -> Condition:
    """Return what a condition says of what it names.

    Raises:
        Invalid: Its value cannot be compared like that; the message says why.
    """
    value = split.value.strip()
    if not value:
        raise Invalid(f'nothing follows "{split.comparison}"; an empty text is ""')
    condition = Condition(split.comparison, *_read_value(value))
    if split.comparison.is_of_order and condition.number is None:
        raise Invalid(
            f'"{split.comparison}" compares numbers, and {describe(value)} is none; use = or !='
        )
    return condition


def _list_splits(text: str) -> Iterator[Split]:
    for operator in islice(_find_operators(text), _MOST_OPERATORS):
        before, value = text[: operator.start()], text[operator.end() :]
        # Spaces may belong to the name.
        for name in dict.fromkeys((before, before.rstrip(), before.strip())):
            if name:
                yield Split(name, Comparison(operator[0]), value)


def _find_operators(text: str) -> Iterator[re.Match[str]]:
    """Also those that begin within another one: a name may end in "<" or "!"."""
    return filter(None, (_OPERATOR.match(text, place) for place in range(len(text))))


def _read_value(value: str) -> tuple[float | None, tuple[Any, ...]]:
    if value.startswith(_QUOTES):
        return None, (_read_quoted(value),)
    if value[0] in "<>=":
        raise Invalid(f'a value that begins with "{value[0]}" needs quotes around it')
    if _NUMBER.fullmatch(value):
        return float(value), (value,)
    return None, (value, *_read_json(value))


def _read_quoted(value: str) -> str:
    try:
        if value[0] == '"':
            return str(json.loads(value))
        if len(value) > 1 and value.find("'", 1) == len(value) - 1:
            return value[1:-1]
    except ValueError:
        pass
    raise Invalid("a value in quotes must end with its closing quote; JSON's are double ones")


def _read_json(value: str) -> Iterator[Any]:
    if value in _CONSTANTS:
        yield _CONSTANTS[value]
    elif value[0] in "[{":
        try:
            yield json.loads(value)
        except (ValueError, RecursionError):
            # A text like any other.
            return
