"""Sweep files: what parameters of W&B's form become, and what their ranges are said to be."""

import math
from typing import Any

import pytest

from service.sweep_files import convert_parameter
from tests.unit.sweep_file_use import read_parameters


@pytest.mark.parametrize(
    ("parameter", "entry"),
    [
        ({"value": 0}, {"value": 0}),
        ({"value": None, "distribution": "constant"}, {"value": None}),
        ({"value": [1, "a"]}, {"value": [1, "a"]}),
        ({"value": {"a": {"b": 1}, "c": [2]}}, {"a": {"b": {"value": 1}}, "c": {"value": [2]}}),
        ({"values": [1, "a", None]}, {"type": "categorical", "choices": [1, "a", None]}),
        ({"min": -5, "max": 0}, {"type": "int", "low": -5, "high": 0}),
        ({"min": 0, "max": 1.5}, {"type": "float", "low": 0, "high": 1.5}),
        (
            {"min": 0, "max": 1, "distribution": "uniform"},
            {"type": "float", "low": 0, "high": 1},
        ),
        (
            {"min": 1, "max": 9, "log": True},
            {"type": "int", "low": 1, "high": 9, "log": True},
        ),
        (
            {"min": 0.0, "max": 1.0, "step": 0.1},
            {"type": "float", "low": 0.0, "high": 1.0, "step": 0.1},
        ),
        (
            {"min": 1e-3, "max": 1, "distribution": "log_uniform_values"},
            {"type": "float", "low": 1e-3, "high": 1, "log": True},
        ),
        (
            {"min": 1e-3, "max": 1, "distribution": "inv_log_uniform_values"},
            {"type": "float", "low": 1e-3, "high": 1, "log": True},
        ),
        (
            {"min": -2, "max": 1, "distribution": "log_uniform"},
            {"type": "float", "low": math.exp(-2), "high": math.e, "log": True},
        ),
        (
            {"min": -2, "max": 1, "distribution": "inv_log_uniform"},
            {"type": "float", "low": math.exp(-1), "high": math.exp(2), "log": True},
        ),
        (
            {"min": 1, "max": 10, "q": 5, "distribution": "q_uniform"},
            {"type": "float", "low": 1, "high": 10, "quantum": 5},
        ),
        (
            {"min": 1, "max": 10, "distribution": "q_uniform"},
            {"type": "float", "low": 1, "high": 10, "quantum": 1.0},
        ),
        (
            {"min": 1, "max": 10, "q": 2, "distribution": "q_log_uniform_values"},
            {"type": "float", "low": 1, "high": 10, "log": True, "quantum": 2},
        ),
        (
            {"min": -2, "max": 1, "distribution": "q_log_uniform"},
            {"type": "float", "low": math.exp(-2), "high": math.e, "log": True, "quantum": 1.0},
        ),
        ({"distribution": "normal", "mu": 1}, {"type": "normal", "mu": 1}),
        ({"distribution": "q_normal"}, {"type": "normal", "quantum": 1.0}),
        (
            {"distribution": "log_normal", "mu": 1, "sigma": 2},
            {"type": "log_normal", "mu": 1, "sigma": 2},
        ),
        (
            {"distribution": "q_log_normal", "q": 2},
            {"type": "log_normal", "quantum": 2},
        ),
        ({"distribution": "beta", "b": 5}, {"type": "beta", "b": 5}),
        ({"distribution": "q_beta", "q": 0.1}, {"type": "beta", "quantum": 0.1}),
        (
            {"values": ["a", 2], "probabilities": [0.1, 0.9]},
            {"type": "categorical", "choices": ["a", 2], "probabilities": [0.1, 0.9]},
        ),
        (
            {"values": [[1], {"b": {}}, 1, True]},
            {"type": "categorical", "choices": [[1], {"b": {}}, 1, True]},
        ),
        ({"value": {}}, {"type": "categorical", "choices": [{}]}),
        ({"value": {"a.b": [{}]}}, {"type": "categorical", "choices": [{"a.b": [{}]}]}),
        (
            {"parameters": {"a": {"value": 1}, "b": {"parameters": {"c": {"min": 1, "max": 2}}}}},
            {"a": {"value": 1}, "b": {"c": {"type": "int", "low": 1, "high": 2}}},
        ),
    ],
)
def test_a_parameter_becomes_an_entry(parameter: Any, entry: Any) -> None:
    assert convert_parameter(parameter) == entry


def test_values_outside_the_range_are_noted() -> None:
    inside = read_parameters("  x: {distribution: q_uniform, min: 0, max: 10, q: 5}\n")
    outside = read_parameters("  x: {distribution: q_uniform, min: 1, max: 10, q: 5}\n")
    log = read_parameters("  x: {distribution: q_log_uniform_values, min: 1, max: 9.2, q: 0.3}\n")

    assert inside.notes == ()
    assert log.notes == (
        "line 5: Values go from 0.8999999999999999 to 9.299999999999999: multiples of q, the "
        "nearest ones, as in W&B.",
    )
    assert outside.notes == (
        "line 5: Values go from 0 to 10: multiples of q, the nearest ones, as in W&B.",
    )


def test_exponents_are_noted() -> None:
    file = read_parameters("  x: {distribution: log_uniform, min: 1.0e-5, max: 0.01}\n")

    assert file.notes == (
        "line 5: The bounds are exponents of e here, as in W&B, so values go from 1 to 1.01; "
        "log_uniform_values takes the bounds themselves.",
    )


def test_exponents_with_a_quantum_are_noted() -> None:
    file = read_parameters("  x: {distribution: q_log_uniform, min: -9, max: 1.5, q: 2}\n")

    assert file.notes == (
        "line 5: The bounds are exponents of e here, as in W&B, so values go from 0 to 4; "
        "q_log_uniform_values takes the bounds themselves.",
    )
