"""Parameters that are read: which values they have, and which drawn values stand behind them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution

from service.domain.errors import InvalidParams, InvalidSampler, InvalidSpace
from service.domain.studies import Component
from service.samplers import resolve_sampler
from service.search_space import (
    SearchSpace,
    check_params,
    find_lattice_ends,
    find_read_entries,
    is_same_json,
    parse_distribution,
    parse_readings,
    parse_space,
    resolve_params,
)
from service.search_space.readings import SHARES

X = {"type": "float", "low": 1, "high": 10, "quantum": 5}
NORMAL = {"type": "normal", "mu": 10, "sigma": 2}
ANY = {"type": "categorical", "choices": [[1, 2], {"a": 1}, "b", "b", 1, True]}
WEIGHTED = {
    "type": "categorical",
    "choices": ["never", "a", {"b": [1]}, "a", "nor"],
    "probabilities": [0, 0.25, 0.5, 0.25, 0],
}


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


def test_a_space_keeps_what_is_drawn_and_how_it_is_read() -> None:
    conditional = {**NORMAL, "when": {"opt.x": [5]}}
    document = {
        "opt": {"x": X},
        "y": {**X, "quantum": 0.5, "log": True},
        "n": 1,
        "z": {"type": "float", "low": 0, "high": 1},
        "given": conditional,
        "any": ANY,
        "weighted": WEIGHTED,
    }

    space = parse_space(document)

    assert space.distributions == {
        "opt.x": FloatDistribution(1, 10),
        "y": FloatDistribution(1, 10, log=True),
        "z": FloatDistribution(0, 1),
        "given": SHARES,
        "any": CategoricalDistribution(range(6)),
        "weighted": FloatDistribution(0, 1),
    }
    assert space.readings.keys() == {"opt.x", "y", "given", "any", "weighted"}
    entries = json.loads(json.dumps(find_read_entries(document)))
    assert entries["given"] == NORMAL
    assert parse_readings(entries) == space.readings
    drawn = {"opt.x": 6.0, "given": 0.5, "any": 1, "weighted": 0.99, "z": 0.5}
    seen = {"opt.x": 5, "given": 10.0, "any": {"a": 1}, "weighted": "a", "z": 0.5}
    assert resolve_params(drawn, space.readings) == space.resolve(drawn) == seen


def test_the_example_of_the_docs_is_a_space() -> None:
    page = (Path(__file__).parents[2] / "docs" / "search-spaces.md").read_text()
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)

    space = parse_space(json.loads(example))

    assert space.readings.keys() == {"batch", "noise", "optimizer.name", "net"}


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
            'Only "float", "normal", "log_normal" and "beta" have a "quantum"; leave it out.',
        ),
        (
            {**X, "quantum": 1e-17},
            "x.quantum",
            'There are more than 2**50 multiples up to 10; use a larger "quantum".',
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
    assert space.resolve(given_back) == seen
    first, last = find_lattice_ends(low, high, quantum)
    assert first <= seen["x"] <= last
    assert abs(seen["x"] - drawn) <= quantum * 0.5000001


MUS = st.floats(-1000, 1000)
SIGMAS = st.floats(0.01, 100)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.floats(0, 2) | st.text("ab", max_size=1),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("k"), inner),
    max_leaves=3,
)
LAWS = (
    st.builds(lambda mu, sigma: {"type": "normal", "mu": mu, "sigma": sigma}, MUS, SIGMAS)
    | st.builds(
        lambda mu, sigma: {"type": "log_normal", "mu": mu / 100, "sigma": sigma / 10}, MUS, SIGMAS
    )
    | st.builds(lambda a, b: {"type": "beta", "a": a, "b": b}, SIGMAS, SIGMAS)
)
SHARE = st.floats(SHARES.low, SHARES.high)


# The first one loads scipy.
@settings(deadline=None)
@given(law=LAWS, quantum=st.none() | st.sampled_from([0.1, 1, 0.5, 3]), share=SHARE)
def test_every_value_of_a_law_can_be_given_back(law: Any, quantum: float, share: float) -> None:
    entry = {**law, "quantum": quantum}
    try:
        space = parse_space({"x": entry})
    except InvalidSpace:
        assume(False)
    seen = space.resolve({"x": share})

    given_back = check_params(space, seen)

    assert SHARES.low <= given_back["x"] <= SHARES.high
    assert space.resolve(given_back) == seen
    assert isinstance(seen["x"], type(quantum) if quantum else float)
    assert json.loads(json.dumps(seen, allow_nan=False)) == seen


@given(mu=st.integers(-50, 50), tenths=st.integers(-50, 50))
def test_what_a_person_writes_comes_back_as_it_is(mu: int, tenths: int) -> None:
    space = parse_space({"x": {"type": "normal", "mu": mu}})
    value = {"x": (10 * mu + tenths) / 10}

    assert space.resolve(check_params(space, value)) == value


@given(choices=st.lists(JSON, min_size=1, max_size=5), data=st.data())
def test_every_choice_can_be_given_back(choices: list[Any], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 9), min_size=len(choices), max_size=len(choices)))
    entry = {"type": "categorical", "choices": choices}
    if total := sum(weights):
        entry["probabilities"] = [weight / total for weight in weights]
    space = parse_space({"x": entry})
    (parameter,) = space.parameters
    value = data.draw(st.sampled_from(choices))

    if problem := parameter.find_problem(value):
        own = [w for w, choice in zip(weights, choices, strict=True) if is_same_json(choice, value)]
        assert sum(own) == 0, problem
    else:
        assert is_same_json(space.resolve(check_params(space, {"x": value}))["x"], value)


@pytest.mark.parametrize(
    ("drawn", "value"),
    [
        (0.0, "a"),
        (0.2499, "a"),
        (0.25, {"b": [1]}),
        (0.7499, {"b": [1]}),
        (0.75, "a"),
        (1.0, "a"),
    ],
)
def test_a_choice_has_its_part_of_what_is_drawn(drawn: float, value: Any) -> None:
    assert parse_space({"x": WEIGHTED}).resolve({"x": drawn}) == {"x": value}


def test_a_value_is_given_by_the_middle_of_what_is_drawn_for_it() -> None:
    space = parse_space({"any": ANY, "normal": NORMAL, "weighted": WEIGHTED})
    shown = {"any": True, "normal": 10, "weighted": {"b": [1]}}

    assert check_params(space, shown) == {"any": 5, "normal": 0.5, "weighted": 0.5}


def test_a_condition_may_be_about_any_value() -> None:
    when = {"any": [True, {"a": 1}], "normal": [10.5]}
    space = parse_space(
        {"any": ANY, "normal": {**NORMAL, "quantum": 0.5}, "n": {**X, "when": when}}
    )
    n = next(parameter for parameter in space.parameters if parameter.name == "n")

    active = [
        space.is_active(n, space.resolve({"any": place, "normal": 0.6})) for place in range(6)
    ]
    assert active == [False, True, False, False, False, True]
    assert not space.is_active(n, space.resolve({"any": 1, "normal": 0.5}))


@pytest.mark.parametrize(
    ("document", "field", "message"),
    [
        ({**NORMAL, "sigma": 0}, "x.sigma", '"sigma" must be greater than 0, not 0.'),
        ({**NORMAL, "mu": "0"}, "x.mu", 'This must be a number, not "0".'),
        ({**NORMAL, "a": 1}, "x.a", '"a" is not known here.'),
        ({"type": "beta", "b": -1}, "x.b", '"b" must be greater than 0, not -1.'),
        ({"type": "norml"}, "x.type", 'Did you mean "normal"?'),
        ({"type": "normal", "mu": 1e308, "sigma": 1e308}, "x", "do not fit a float"),
        ({"type": "log_normal", "sigma": 200}, "x", "those of the logarithm"),
        (
            {"type": "normal", "sigma": 1e9, "quantum": 1e-9},
            "x.quantum",
            'more than 2**50 multiples up to 5.99781e+09; use a larger "quantum"',
        ),
        ({**ANY, "quantum": 1}, "x.choices.0", "not a list"),
        ({**ANY, "choices": [[float("nan")]]}, "x.choices.0.0", "finite"),
        ({**ANY, "choices": [{"a": {1: 2}}]}, "x.choices.0.a", "are strings, not 1"),
        ({**WEIGHTED, "probabilities": [0.5, 0.5]}, "x.probabilities", "a list of 5 numbers"),
        ({**WEIGHTED, "probabilities": [0.2] * 4 + [0.1]}, "x.probabilities", "sum to 0.9."),
        ({**WEIGHTED, "probabilities": [0, 2, -1, 0, 0]}, "x.probabilities.2", "not negative"),
        ({**WEIGHTED, "probabilities": [1, 0, 0, 0, True]}, "x.probabilities.4", "a number"),
    ],
)
def test_refuses_what_cannot_be_read(document: Any, field: str, message: str) -> None:
    found = refusals({"x": document})
    assert message in found[field]


@pytest.mark.parametrize("entry", [NORMAL, ANY, WEIGHTED, X])
def test_only_the_space_of_a_study_has_readings(entry: Any) -> None:
    with pytest.raises(InvalidSpace):
        parse_distribution("x", entry)


@pytest.mark.parametrize("value", [3, -5, 15, None, "5", float("nan")])
def test_refuses_what_is_no_value(value: Any) -> None:
    with pytest.raises(InvalidParams):
        check_params(parse_space({"x": X}), {"x": value})


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        (NORMAL, 23, "23 is outside the range -1.9956"),
        (NORMAL, "10", 'This must be a number, not "10".'),
        ({**NORMAL, "quantum": 4}, 10, "10 is not a multiple of 4."),
        ({"type": "beta"}, 1, "1 is outside the range 1e-09 to 0.999999999 of what is drawn."),
        (ANY, [1], '[1] is not one of the choices: [1, 2], {"a": 1}, "b", "b", 1, true.'),
        (WEIGHTED, "nor", '"nor" is never drawn, because its probability is 0.'),
    ],
)
def test_says_why_a_parameter_is_never_a_value(entry: Any, value: Any, message: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        check_params(parse_space({"x": entry}), {"x": value})

    assert caught.value.errors[0].message.startswith(message)


@pytest.mark.parametrize("entry", [X, NORMAL, WEIGHTED, ANY])
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
def test_samplers_that_name_values_refuse_readings(
    sampler: Component, field: str, entry: Any
) -> None:
    space = parse_space({"x": entry})
    if entry is ANY and field in ("sampler", "sampler.args.search_space"):
        # They visit the places of the choices.
        resolved = resolve_sampler(sampler, space=space, n_objectives=1)
        assert resolve_sampler(resolved, space=space, n_objectives=1) == resolved
        return

    with pytest.raises(InvalidSampler) as caught:
        resolve_sampler(sampler, space=space, n_objectives=1)

    (error, *_) = caught.value.errors
    assert error.field == field
    assert "step" in error.message
