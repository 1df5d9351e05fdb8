"""What travels as JSON, and what is refused before it does."""

import math
from typing import Any

import numpy as np
import pytest
from asktell._json import decode_number, encode_number, read_time, to_plain


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, 0.5),
        (1, 1.0),
        (True, 1.0),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3.0),
        (np.array([0.25]).reshape(()), 0.25),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (np.float64("-inf"), "-Infinity"),
    ],
)
def test_numbers_travel(value: Any, expected: float | str) -> None:
    encoded = encode_number(value)
    assert encoded == expected
    assert type(encoded) is type(expected)
    assert math.isnan(decode_number(encoded)) == math.isnan(float(value))


@pytest.mark.parametrize("value", ["1.5", b"1", None, [1.0], {}])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        encode_number(value)


def test_numpy_scalars_become_plain_wherever_they_are() -> None:
    plain = to_plain(
        {"a": np.float64(0.5), "b": (np.int32(2), [np.bool_(True)]), "c": np.str_("x")}
    )
    assert plain == {"a": 0.5, "b": [2, [True]], "c": "x"}
    assert type(plain["a"]) is float
    assert type(plain["b"][0]) is int
    assert type(plain["b"][1][0]) is bool
    assert type(plain["c"]) is str


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (object(), TypeError),
        ({1: 2}, TypeError),
        ({"a": {1, 2}}, TypeError),
        (np.array([1, 2]), ValueError),
        (math.nan, ValueError),
        ([np.float32("inf")], ValueError),
    ],
)
def test_what_has_no_json_form_is_refused(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        to_plain(value)


def test_times_are_aware() -> None:
    time = read_time("2026-01-02T03:04:05.678900Z")
    assert time.isoformat() == "2026-01-02T03:04:05.678900+00:00"
