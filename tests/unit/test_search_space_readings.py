"""Quantised parameters: which values they have, and which drawn values stand behind them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution

from service.domain.errors import InvalidParams, InvalidSampler, InvalidSpace
from service.domain.studies import Component
from service.samplers import resolve_sampler
from service.search_space import (
    SearchSpace,
    check_params,
    find_lattice_ends,
    find_quanta,
    parse_space,
)

X = {"type": "float", "low": 1, "high": 10, "quantum": 5}


def space_of(low: float, high: float, quantum: float) -> SearchSpace:
    return parse_space({"x": {"type": "float", "low": low, "high": high, "quantum": quantum}})


def refusals(document: Any) -> dict[str, str]:
    with pytest.raises(InvalidSpace) as caught:
        parse_space(document)
    return {error.field: error.message for error in caught.value.errors}


@pytest.mark.parametrize(
    ("drawn", "quantum", "value"),
    [
        (1.0, 5, 0),
        (2.5, 5, 0),
        (7.5, 5, 10),
        (7.6, 5.0, 10.0),
        (-2.6, 5, -5),
        (0.31, 0.1, 0.30000000000000004),
    ],
)
def test_a_value_is_the_nearest_multiple(drawn: float, quantum: float, value: float) -> None:
    found = space_of(-9, 9, quantum).resolve({"x": drawn, "y": 1.25})

    assert found == {"x": value, "y": 1.25}
    assert isinstance(found["x"], type(quantum))


def test_a_space_keeps_what_is_drawn_and_the_quantum() -> None:
    document = {"opt": {"x": X}, "y": {**X, "quantum": 0.5, "log": True}, "n": 1}

    space = parse_space(document)

    assert space.distributions == {
        "opt.x": FloatDistribution(1, 10),
        "y": FloatDistribution(1, 10, log=True),
    }
    assert space.quanta == find_quanta(document) == {"opt.x": 5, "y": 0.5}


def test_a_condition_is_about_multiples() -> None:
    space = parse_space({"x": X, "y": {"type": "int", "low": 1, "high": 2, "when": {"x": [0]}}})
    y = next(parameter for parameter in space.parameters if parameter.name == "y")

    assert space.is_active(y, space.resolve({"x": 2.4}))
    assert not space.is_active(y, space.resolve({"x": 2.6}))


@pytest.mark.parametrize(
    ("document", "field", "message"),
    [
        ({**X, "quantum": 0}, "x.quantum", '"quantum" must be greater than 0, not 0.'),
        ({**X, "quantum": "1"}, "x.quantum", 'This must be a number, not "1".'),
        ({**X, "quantum": True}, "x.quantum", "This must be a number, not true."),
        (
            {**X, "step": 1},
            "x.quantum",
            '"quantum" and "step" exclude each other; leave one out.',
        ),
        (
            {**X, "type": "int"},
            "x.quantum",
            'Only the type "float" has a "quantum"; leave it out.',
        ),
        (
            {**X, "quantum": 1e-17},
            "x.quantum",
            'There are more than 2**50 multiples up to "high"; use a larger "quantum".',
        ),
        (
            {**X, "high": 2**53, "quantum": 2**40},
            "x.quantum",
            "Integers must lie between -2**53 and 2**53: beyond, a float is not exact.",
        ),
    ],
)
def test_refuses_a_quantum_that_cannot_be(document: Any, field: str, message: str) -> None:
    assert refusals({"x": document}) == {field: message}


def test_refuses_a_condition_that_never_holds() -> None:
    document = {"x": X, "y": {"type": "int", "low": 1, "high": 2, "when": {"x": [3]}}}

    assert refusals(document) == {"y.when.x.0": '"x" can never be this: 3 is not a multiple of 5.'}


@given(
    low=st.floats(-1e6, 1e6),
    width=st.floats(0, 1e6),
    quantum=st.integers(1, 1000) | st.floats(1e-3, 1e3),
    share=st.floats(0, 1),
)
def test_every_value_can_be_given_back(
    low: float, width: float, quantum: float, share: float
) -> None:
    high = low + width
    space = space_of(low, high, quantum)
    drawn = min(low + share * width, high)
    seen = space.resolve({"x": drawn})

    given_back = check_params(space, seen)

    assert low <= given_back["x"] <= high
    assert space.resolve(given_back) == seen == space.resolve(seen)
    first, last = find_lattice_ends(low, high, quantum)
    assert first <= seen["x"] <= last
    assert abs(seen["x"] - drawn) <= quantum * 0.5000001


@pytest.mark.parametrize("value", [3, -5, 15, None, "5", float("nan")])
def test_refuses_what_is_no_value(value: Any) -> None:
    with pytest.raises(InvalidParams):
        check_params(parse_space({"x": X}), {"x": value})


@pytest.mark.parametrize(
    ("sampler", "field"),
    [
        (Component("GridSampler"), "sampler.args.search_space"),
        (
            Component("GridSampler", {"search_space": {"x": [5]}}),
            "sampler.args.search_space.x",
        ),
        (Component("BruteForceSampler"), "sampler"),
        (
            Component(
                "PartialFixedSampler",
                {"fixed_params": {"x": 5}, "base_sampler": {"type": "RandomSampler"}},
            ),
            "sampler.args.fixed_params.x",
        ),
    ],
)
def test_samplers_that_name_values_refuse_a_quantum(sampler: Component, field: str) -> None:
    with pytest.raises(InvalidSampler) as caught:
        resolve_sampler(sampler, space=parse_space({"x": X}), n_objectives=1)

    (error,) = caught.value.errors
    assert error.field == field
    assert "step" in error.message
