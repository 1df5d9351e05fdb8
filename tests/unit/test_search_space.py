"""Declared search spaces: what is accepted, how it is flattened, and every refusal."""

import json
import math
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)

from service.domain.errors import InvalidSpace
from service.search_space import nest, parse_distribution, parse_space

FLOAT = {"type": "float", "low": 0, "high": 1}
ARCH = {"type": "categorical", "choices": ["mlp", "cnn"]}


def refusals(document: Any) -> dict[str, str]:
    with pytest.raises(InvalidSpace) as caught:
        parse_space(document)
    assert caught.value.errors
    assert str(caught.value).encode()
    return {error.field: error.message for error in caught.value.errors}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (FLOAT, FloatDistribution(0, 1)),
        (
            {"type": "float", "low": 1e-5, "high": 0.1, "log": True, "step": None},
            FloatDistribution(1e-5, 0.1, log=True),
        ),
        ({"type": "float", "low": 0, "high": 1, "step": 0.25}, FloatDistribution(0, 1, step=0.25)),
        ({"type": "int", "low": 1, "high": 4}, IntDistribution(1, 4)),
        (
            {"type": "int", "low": 1.0, "high": 8, "log": True, "step": 1},
            IntDistribution(1, 8, log=True),
        ),
        (
            {"type": "categorical", "choices": [None, True, 2, 0.5, "a"]},
            CategoricalDistribution([None, True, 2, 0.5, "a"]),
        ),
        (
            json.loads(distribution_to_json(IntDistribution(2, 8, step=2))),
            IntDistribution(2, 8, step=2),
        ),
        (
            {"name": "DiscreteUniformDistribution", "attributes": {"low": 0, "high": 1, "q": 0.5}},
            FloatDistribution(0, 1, step=0.5),
        ),
        (
            {"name": "LogUniformDistribution", "attributes": {"low": 1, "high": 2}},
            FloatDistribution(1, 2, log=True),
        ),
    ],
)
def test_a_distribution_becomes_optunas(document: Any, expected: BaseDistribution) -> None:
    assert parse_distribution("x", document) == expected
    assert parse_space({"x": document}).distributions == {"x": expected}


@pytest.mark.parametrize(
    ("document", "high"),
    [
        ({"type": "float", "low": 0, "high": 1, "step": 0.3}, 0.9),
        ({"type": "float", "low": 0, "high": 1, "step": 5}, 0.0),
        ({"type": "int", "low": 1, "high": 10, "step": 4}, 9),
    ],
)
def test_a_range_is_shortened_to_its_step_without_a_warning(
    document: dict[str, Any], high: float
) -> None:
    distribution = parse_distribution("x", document)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    assert distribution.high == high


def test_a_range_settles_where_optuna_reads_it_back_unchanged() -> None:
    # Optuna shortens this range anew each of the first four times that it reads it.
    document = {"type": "float", "low": 0.38, "high": 9.298, "step": 0.5257527691460283}
    distribution = parse_distribution("x", document)
    assert json_to_distribution(distribution_to_json(distribution)) == distribution


def test_groups_are_flattened_and_constants_kept() -> None:
    space = parse_space(
        {"opt": {"lr": FLOAT, "name": "sgd", "betas": {"value": [0.9, 0.99]}}, "flag": None}
    )
    assert list(space.distributions) == ["opt.lr"]
    assert space.constants == {"opt.name": "sgd", "opt.betas": [0.9, 0.99], "flag": None}
    assert not space.is_conditional


def test_a_group_may_have_parameters_named_type_and_value() -> None:
    space = parse_space({"opt": {"type": ARCH, "value": FLOAT}})
    assert list(space.distributions) == ["opt.type", "opt.value"]


def test_parameters_are_sorted_but_follow_those_they_depend_on() -> None:
    document = {
        "z": ARCH,
        "y": FLOAT,
        "a": {**FLOAT, "when": {"m": [1]}},
        "m": {"type": "int", "low": 0, "high": 1, "when": {"z": ["mlp"]}},
    }
    names = [parameter.name for parameter in parse_space(document).parameters]
    assert names == ["y", "z", "m", "a"]
    assert parse_space(dict(reversed(document.items()))) == parse_space(document)


def test_a_parameter_is_active_when_all_its_conditions_hold() -> None:
    space = parse_space(
        {
            "arch": ARCH,
            "rate": {"type": "float", "low": 0, "high": 1, "step": 0.1},
            "width": {**FLOAT, "when": {"arch": ["mlp"], "rate": [0.3]}},
            "deep": {**FLOAT, "when": {"width": [0.5]}},
        }
    )
    by_name = {parameter.name: parameter for parameter in space.parameters}
    assert space.is_conditional
    # The third step from 0 is 0.30000000000000004.
    assert space.is_active(by_name["width"], {"arch": "mlp", "rate": 0.1 * 3})
    assert not space.is_active(by_name["width"], {"arch": "cnn", "rate": 0.3})
    assert not space.is_active(by_name["deep"], {"arch": "cnn", "rate": 0.3})
    assert space.is_active(by_name["arch"], {})


@pytest.mark.parametrize(
    ("document", "field", "words"),
    [
        ({"type": "float", "low": 2, "high": 1}, "x", "not be greater"),
        ({"type": "float", "low": 0, "high": 1, "log": True}, "x.log", "greater than 0"),
        ({"type": "float", "low": 1, "high": 2, "log": True, "step": 1}, "x.log", "exclude"),
        ({"type": "int", "low": 0, "high": 1, "log": True}, "x.log", "1 or more"),
        ({"type": "int", "low": 1, "high": 9, "log": True, "step": 2}, "x.log", "exclude"),
        ({"type": "float", "low": 0, "high": 1, "step": 0}, "x", "greater than 0"),
        ({"type": "int", "low": 0, "high": 1, "step": -1}, "x", "greater than 0"),
        ({"type": "float", "low": math.nan, "high": 1}, "x.low", "finite"),
        ({"type": "float", "low": 0, "high": math.inf}, "x.high", "finite"),
        ({"type": "float", "low": 0, "high": 1, "step": math.nan}, "x.step", "finite"),
        ({"type": "int", "low": 0, "high": 2**53 + 1}, "x.high", "2**53"),
        ({"type": "int", "low": 0, "high": 1e300}, "x.high", "2**53"),
        ({"type": "float", "low": -(10**400), "high": 0}, "x.low", "2**53"),
        ({"type": "float", "low": -1e308, "high": 1e308}, "x", "too wide"),
        ({"type": "float", "low": 0, "high": 1e300, "step": 1e-300}, "x", "larger"),
        ({"type": "float", "low": True, "high": 2}, "x.low", "must be a number"),
        ({"type": "float", "low": "0", "high": 2}, "x.low", "must be a number"),
        ({"type": "int", "low": 0.5, "high": 2}, "x.low", "integer"),
        ({"type": "float", "high": 2}, "x.low", "missing"),
        ({"type": "float", "low": 0, "high": 1, "log": "yes"}, "x.log", "true or false"),
        ({"type": "categorical", "choices": []}, "x.choices", "at least one"),
        ({"type": "categorical"}, "x.choices", "at least one"),
        ({"type": "categorical", "choices": [math.nan]}, "x.choices.0", "finite"),
        ({"type": "categorical", "choices": [-math.inf]}, "x.choices.0", "finite"),
        ({"type": "categorical", "choices": ["a\0"]}, "x.choices.0", "NUL"),
        ({"type": "categorical", "choices": ["\ud800"]}, "x.choices.0", "Unicode"),
        ({"type": "float", "low": 0, "high": 1, "hihg": 1}, "x.hihg", 'Did you mean "high"'),
        ({"type": "categorical", "choices": [1], "low": 0}, "x.low", "not known"),
        ({"type": "flot", "low": 0, "high": 1}, "x.type", 'Did you mean "float"'),
        ({"type": "resnet", "lr": FLOAT}, "x.type", "constant"),
        ({"low": 0, "high": 1}, "x.type", 'needs a "type"'),
        ({"choices": [1, 2]}, "x.type", 'needs a "type"'),
        ({"name": "FlotDistribution", "attributes": {}}, "x.name", "FloatDistribution"),
        ({"name": "IntDistribution", "attributes": {"low": 0}}, "x.high", "missing"),
        ([1, 2], "x", "bare list"),
        (math.nan, "x", "finite"),
        ("a\0", "x", "NUL"),
        ({"value": {"a": 1}, "b": 2, "low": [1]}, "x.low", "bare list"),
        ({"value": 3, "hihg": 1}, "x.hihg", "only a"),
        ({"value": [[1, {"a": "\0"}]]}, "x.value.0.1.a", "NUL"),
        ({}, "x", "empty"),
    ],
)
def test_a_parameter_is_refused_with_a_sentence(document: Any, field: str, words: str) -> None:
    found = refusals({"x": document, "fine": FLOAT})
    assert list(found) == [field]
    assert words in found[field]


@pytest.mark.parametrize(
    ("choices", "field", "words"),
    [
        ([{"a": 1}], "x.choices.0", "an object"),
        ([[1]], "x.choices.0", "a list"),
        ([1, True], "x.choices.1", "equals"),
        ([1, 1.0], "x.choices.1", "equals"),
        (["a", "b", "a"], "x.choices.2", "choice 0"),
    ],
)
def test_a_trial_declares_only_choices_that_optuna_knows(
    choices: list[Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidSpace) as caught:
        parse_distribution("x", {"type": "categorical", "choices": choices})

    (error,) = caught.value.errors
    assert error.field == field
    assert words in error.message


@pytest.mark.parametrize(
    ("when", "field", "words"),
    [
        ({"archh": ["mlp"]}, "x.when.archh", 'Did you mean "arch"'),
        ({"x": [1]}, "x.when.x", "itself"),
        ({"seed": [1]}, "x.when.seed", "constant"),
        ({"arch": ["vit"]}, "x.when.arch.0", "never"),
        ({"n": [True]}, "x.when.n.0", "never"),
        ({"n": [5]}, "x.when.n.0", "never"),
        ({"arch": "mlp"}, "x.when.arch", "list"),
        ({"arch": []}, "x.when.arch", "list"),
        ({}, "x.when", "object"),
        (["arch"], "x.when", "object"),
    ],
)
def test_a_condition_is_refused_with_a_sentence(when: Any, field: str, words: str) -> None:
    document = {
        "arch": ARCH,
        "n": {"type": "int", "low": 1, "high": 4},
        "seed": 1,
        "x": {**FLOAT, "when": when},
    }
    found = refusals(document)
    assert list(found) == [field]
    assert words in found[field]


def test_a_cycle_of_conditions_is_refused_where_it_is() -> None:
    found = refusals(
        {
            "a": {**FLOAT, "when": {"b": [0.5]}},
            "b": {**FLOAT, "when": {"a": [0.5]}},
            "behind": {**FLOAT, "when": {"a": [0.5]}},
        }
    )
    assert list(found) == ["a.when", "b.when"]


@pytest.mark.parametrize(
    "document",
    [
        {"": FLOAT},
        {"a\0": FLOAT},
        {"a\ud800": FLOAT},
        {"a" * 513: FLOAT},
        {"a" * 300: {"b" * 300: FLOAT}},
        {"a..b": FLOAT},
        {".a": FLOAT},
        {"a.b": FLOAT, "a": {"b": FLOAT}},
        {"a": FLOAT, "a.b": FLOAT},
        {3: FLOAT},
    ],
)
def test_names_that_cannot_be_stored_or_nested_are_refused(document: Any) -> None:
    for field, message in refusals(document).items():
        json.dumps([field, message]).encode()
        f"{field}{message}".encode()


def test_all_problems_are_reported_at_once() -> None:
    found = refusals(
        {"a": {"type": "flot"}, "g": {"b": {"type": "int", "low": 3, "high": 1}}, "c": []}
    )
    assert list(found) == ["a.type", "g.b", "c"]


def test_deep_nesting_is_refused() -> None:
    document: Any = FLOAT
    for _ in range(5000):
        document = {"g": document}
    assert "at most 32 deep" in str(refusals(document))


@pytest.mark.parametrize(
    "document", [3, None, [], "x", {"type": "flot"}, {"value": 3}, {"when": 1}]
)
def test_a_declared_distribution_must_be_one(document: Any) -> None:
    with pytest.raises(InvalidSpace) as caught:
        parse_distribution("x", document)
    assert caught.value.errors[0].field.startswith("x")


def test_names_are_nested_again() -> None:
    assert nest({"opt.lr": 1, "opt.adam.beta": 2, "n": 3}) == {
        "opt": {"lr": 1, "adam": {"beta": 2}},
        "n": 3,
    }


@pytest.mark.parametrize("params", [{"a": 1, "a.b": 2}, {"a.b": 2, "a": 1}, {".a": 1}, {"a.": 1}])
def test_nesting_loses_nothing_where_names_stand_in_each_others_way(params: dict[str, Any]) -> None:
    assert sorted(_leaves(nest(params))) == sorted(params.values())


def _leaves(nested: Any) -> list[Any]:
    if not isinstance(nested, dict):
        return [nested]
    return [leaf for value in nested.values() for leaf in _leaves(value)]


NUMBERS = st.integers(-(2**60), 2**60) | st.floats()
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(max_size=5)
KEYS = st.sampled_from(["type", "low", "high", "log", "step", "choices", "when", "value", "a", "b"])
DISTRIBUTIONS = st.fixed_dictionaries(
    {"type": st.sampled_from(["float", "int", "categorical", "flot"])},
    optional={
        "low": NUMBERS,
        "high": NUMBERS,
        "step": st.none() | NUMBERS,
        "log": st.booleans(),
        "choices": st.lists(SCALARS, max_size=4),
        "when": st.dictionaries(KEYS, st.lists(SCALARS, max_size=2), max_size=2),
    },
)
ANYTHING = st.recursive(
    SCALARS | DISTRIBUTIONS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(ANYTHING)
def test_any_json_is_parsed_or_refused(document: Any) -> None:
    try:
        space = parse_space(document)
    except InvalidSpace:
        assert refusals(document)
    else:
        assert space == parse_space(document)


@given(DISTRIBUTIONS.filter(lambda document: "when" not in document))
def test_what_is_accepted_survives_optunas_json(document: dict[str, Any]) -> None:
    try:
        distribution = parse_distribution("x", document)
    except InvalidSpace:
        return
    text = distribution_to_json(distribution)
    assert json_to_distribution(text) == distribution
    assert parse_distribution("x", json.loads(text)) == distribution


@given(
    low=st.decimals(-1000, 1000, places=4),
    width=st.decimals(0, 1000, places=4),
    step=st.decimals("0.0001", 100, places=4),
)
def test_ranges_in_decimals_are_shortened_as_optuna_does(low: Any, width: Any, step: Any) -> None:
    bounds = float(low), float(low + width), float(step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = FloatDistribution(bounds[0], bounds[1], step=bounds[2])
    document = dict(zip(("low", "high", "step"), bounds, strict=True), type="float")
    assert parse_distribution("x", document) == expected
