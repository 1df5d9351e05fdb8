"""Plain values and names: what a database, a JSON reader and a float all keep exactly."""

import math
from typing import Any

from service.domain.limits import MAX_NAME_LENGTH

MAX_EXACT_INT = 2**53


def find_name_problem(name: Any) -> str | None:
    """Return why `name` cannot name a parameter, or None."""
    if not isinstance(name, str) or not name:
        return "A parameter's name must be a string that is not empty."
    if len(name) > MAX_NAME_LENGTH:
        return f"A parameter's name may have at most {MAX_NAME_LENGTH} characters."
    return find_text_problem(name)


def find_text_problem(text: str) -> str | None:
    """Return why Postgres could not store `text`, or None."""
    if "\0" in text:
        return "Text must not contain the NUL character."
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "Text must be valid Unicode; it contains half of a surrogate pair."
    return None


def find_scalar_problem(value: Any) -> str | None:
    """Return why `value` is not a null, boolean, number or string that can be kept, or None."""
    match value:
        case None | bool():
            return None
        case int():
            return find_number_problem(value)
        case float():
            return find_number_problem(value)
        case str():
            return find_text_problem(value)
        case _:
            return f"This must be null, a boolean, a number or a string, not {describe(value)}."


def find_number_problem(value: Any) -> str | None:
    """Return why `value` is not a finite number that a float holds exactly, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"This must be a number, not {describe(value)}."
    if isinstance(value, float) and not math.isfinite(value):
        return "This must be a finite number; NaN and infinities are not."
    if isinstance(value, int) and abs(value) > MAX_EXACT_INT:
        return "Integers must lie between -2**53 and 2**53: beyond, a float is not exact."
    return None


def describe(value: Any) -> str:
    """Return `value` as an error message may show it: in JSON's words, never long."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() if abs(value) > 10**20:
            return "a very large integer"
        case str():
            return f'"{ascii(value)[1:-1][:60]}"'
        case int() | float():
            return str(value)
        case dict():
            return "an object"
        case list() | tuple():
            return "a list"
        case _:
            return f"a {type(value).__name__}"
