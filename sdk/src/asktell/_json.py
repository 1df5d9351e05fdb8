"""How values travel: numbers that JSON lacks, times, and what numpy or torch hand us."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from asktell._texts import encode_text

_PLAIN = (str, int, float, bool, type(None))


def encode_number(value: Any) -> float | str:
    """A finite float as itself; NaN and the infinities as the strings that the API defines.

    Raises:
        TypeError: It is not a number. Text that looks like one is refused too.
        ValueError: It has more than one element.
    """
    if isinstance(value, (str, bytes)):
        raise TypeError(f"A number is needed, not the text {value!r}.")
    number = float(value)
    if math.isfinite(number):
        return number
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def decode_number(value: float | str) -> float:
    """The inverse of `encode_number`."""
    return float(value)


def read_time(text: str) -> datetime:
    """An aware datetime from RFC 3339 in UTC."""
    # Python 3.10 does not know "Z".
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def to_plain(value: Any) -> Any:
    """The same value in JSON's types, numpy and torch scalars turned into Python's, deep.

    Raises:
        TypeError: Something in it has no JSON form.
        ValueError: A NaN or an infinity, or an array of several elements.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f'JSON has no {value!r} here; pass it as text, such as "{value!r}".')
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Mapping):
        return {_to_key(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return _scalar_to_plain(value)


def dump(document: Any) -> bytes:
    """Compact JSON; `document` is already plain.

    Raises:
        ValueError: There is text in it that is no Unicode, or a number that JSON lacks.
    """
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return encode_text(text)


def _to_key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"Names in JSON are text, not {key!r}.")
    return key


def _scalar_to_plain(value: Any) -> Any:
    # numpy.float64 is a float and numpy.str_ a str, yet both have `item`; arrays and tensors of
    # one element have it as well, which is how a loss usually arrives.
    item = getattr(value, "item", None)
    if callable(item):
        return to_plain(item())
    if isinstance(value, _PLAIN):
        return value
    raise TypeError(f"A {type(value).__name__} has no JSON form: {value!r}.")
