"""Parameter values that clients give, and distributions that they declare a second time."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from optuna.distributions import FloatDistribution, distribution_to_json

from service.domain.errors import InvalidParams
from service.search_space import (
    check_complete_params,
    check_fixed_values,
    check_params,
    find_distribution_change,
    nest,
    parse_distribution,
    parse_space,
)

FLOAT = {"type": "float", "low": 0, "high": 1}
ARCH = {"type": "categorical", "choices": ["mlp", "cnn"]}
FIXABLE = {
    "arch": ARCH,
    "lr": {"type": "float", "low": 0, "high": 1, "step": 0.1},
    "n": {"type": "int", "low": 1, "high": 9, "step": 2},
    "depth": {"type": "int", "low": 1, "high": 3, "when": {"arch": ["mlp"]}},
    "width": {"type": "int", "low": 1, "high": 3, "when": {"depth": [2, 3]}},
    "only": {"type": "categorical", "choices": [1]},
    "always": {**FLOAT, "when": {"only": [1]}},
    "fine": {**FLOAT, "when": {"lr": [0.3]}},
    "seed": 1,
    "flag": True,
    "opt": {"lr": FLOAT, "adam": {"beta": FLOAT}, "betas": {"value": [0.9, 0.99]}},
}


def params_refusals(params: Any, check: Callable[..., Any] = check_params) -> dict[str, str]:
    with pytest.raises(InvalidParams) as caught:
        check(parse_space(FIXABLE), params)
    assert caught.value.errors[0].message in caught.value.message
    assert str(caught.value).encode()
    return {error.field: error.message for error in caught.value.errors}


@pytest.mark.parametrize(
    ("params", "flat"),
    [
        ({}, {}),
        ({"arch": "mlp", "depth": 2, "width": 1}, {"arch": "mlp", "depth": 2, "width": 1}),
        ({"lr": 0.3}, {"lr": 0.3}),
        ({"lr": 1}, {"lr": 1.0}),
        ({"n": 9}, {"n": 9}),
        ({"only": 1.0}, {"only": 1}),
        ({"always": 0.5}, {"always": 0.5}),
        # The third step from 0, as it is suggested.
        ({"lr": 0.30000000000000004, "fine": 1}, {"lr": 0.30000000000000004, "fine": 1.0}),
        ({"opt": {"lr": 0.5, "adam": {"beta": 0.25}}}, {"opt.lr": 0.5, "opt.adam.beta": 0.25}),
        ({"opt": {"lr": 0.5, "adam.beta": 0.25}}, {"opt.lr": 0.5, "opt.adam.beta": 0.25}),
        ({"opt.adam": {"beta": 0.25}, "opt": {"lr": 0.5}}, {"opt.lr": 0.5, "opt.adam.beta": 0.25}),
        ({"opt.lr": 0.5, "opt": {}}, {"opt.lr": 0.5}),
        ({"seed": 1, "flag": True, "opt": {"betas": [0.9, 0.99]}, "n": 1}, {"n": 1}),
    ],
)
def test_fixed_values_that_fit_are_accepted(params: dict[str, Any], flat: dict[str, Any]) -> None:
    found = check_params(parse_space(FIXABLE), params)
    assert found == flat
    assert [type(value) for value in found.values()] == [type(value) for value in flat.values()]


def test_fixed_values_come_in_the_order_of_the_space() -> None:
    space = parse_space(FIXABLE)
    found = check_params(space, {"width": 1, "depth": 2, "n": 3, "arch": "mlp"})
    assert list(found) == [name for name in space.distributions if name in found]


@pytest.mark.parametrize(
    ("params", "field", "words"),
    [
        ({"archh": "mlp"}, "archh", 'Did you mean "arch"'),
        ({"arch": "vit"}, "arch", "not one of the choices"),
        ({"arch": {"a": 1}}, "arch", "an object is not one of"),
        ({"lr": 2}, "lr", "outside the range"),
        ({"lr": 0.35}, "lr", "multiple of"),
        ({"lr": "fast"}, "lr", "must be a number"),
        ({"lr": True}, "lr", "must be a number"),
        ({"lr": math.nan}, "lr", "finite"),
        ({"n": 2}, "n", "multiple of"),
        ({"n": 11}, "n", "outside the range"),
        ({"n": 3.0}, "n", "integer"),
        ({"n": True}, "n", "integer"),
        ({"seed": 2}, "seed", "constant of the study, 1;"),
        ({"seed": True}, "seed", "constant"),
        ({"flag": 1}, "flag", "constant of the study, true;"),
        ({"opt": {"betas": [0.9, 0.9]}}, "opt.betas", "constant"),
        ({"opt": {"betas": [0.9]}}, "opt.betas", "constant"),
        ({"arch": "cnn", "depth": 2}, "depth", 'only when "arch" is "mlp"; it is "cnn"'),
        ({"depth": 2}, "depth", 'only when "arch" is "mlp"; give "arch" as well'),
        ({"arch": "mlp", "width": 2}, "width", 'when "depth" is 2 or 3; give "depth" as well'),
        ({"fine": 1}, "fine", 'give "lr" as well'),
        ({"lr": 0.4, "fine": 1}, "fine", "it is 0.4"),
        ({"opt": {"lrr": 1}}, "opt.lrr", 'Did you mean "opt.lr"'),
        ({"opt": 3}, "opt", "group"),
        ({"opt": {"adam": None}}, "opt.adam", "group"),
        ({"group": {"lr": 1}}, "group", "no such parameter"),
        ({"group": {}}, "group", "no such parameter"),
        ({"opt": {"lr": 0.5}, "opt.lr": 0.5}, "opt.lr", "twice"),
        ({"opt": {"betas": [0.9, 0.99]}, "opt.betas": [0.9, 0.99]}, "opt.betas", "twice"),
        ({"\ud800": 1}, "\\ud800", "no such parameter"),
        ({3: 1}, "3", "no such parameter"),
    ],
)
def test_fixed_values_that_do_not_fit_are_refused(
    params: dict[str, Any], field: str, words: str
) -> None:
    found = params_refusals(params)
    assert list(found) == [field]
    assert words in found[field]


def test_all_values_that_do_not_fit_are_refused_at_once() -> None:
    found = params_refusals({"n": 2, "opt": {"lr": 2}, "opt.lr": 0.5, "m": 1, "depth": 2})
    assert sorted(found) == ["depth", "m", "n", "opt.lr"]


def test_params_nested_without_end_are_refused() -> None:
    params: Any = {"lr": 1}
    for _ in range(5000):
        params = {"opt": params}
    assert list(params_refusals(params)) == ["opt.opt"]


COMPLETE = {
    "arch": "cnn",
    "lr": 0.5,
    "n": 3,
    "only": 1,
    "always": 0.5,
    "opt": {"lr": 0.5, "adam": {"beta": 0.25}},
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"arch": "mlp", "depth": 1},
        {"arch": "mlp", "depth": 2, "width": 1},
        {"lr": 0.3, "fine": 0.5},
    ],
)
def test_a_trial_as_we_show_it_is_complete(changes: dict[str, Any]) -> None:
    space = parse_space(FIXABLE)
    flat = check_complete_params(space, COMPLETE | changes)
    assert list(flat) == [name for name in space.distributions if name in flat]
    assert len(flat) == 7 + len(changes.keys() - COMPLETE.keys())
    shown = nest({**space.constants, **flat})
    assert check_complete_params(space, shown) == check_complete_params(space, flat) == flat


@pytest.mark.parametrize(
    ("params", "fields"),
    [
        (
            {"lr": 0.3, "arch": "cnn"},
            ["fine", "n", "only", "opt.adam.beta", "opt.lr"],
        ),
        (COMPLETE | {"arch": "mlp"}, ["depth"]),
        (COMPLETE | {"arch": "mlp", "depth": 2}, ["width"]),
        (COMPLETE | {"depth": 1}, ["depth"]),
        (COMPLETE | {"arch": "mlp", "width": 1}, ["depth", "width"]),
        (COMPLETE | {"lr": 0.3}, ["fine"]),
        (COMPLETE | {"n": 2}, ["n"]),
        (COMPLETE | {"seed": 2}, ["seed"]),
    ],
)
def test_a_trial_with_too_few_or_too_many_parameters_is_refused(
    params: dict[str, Any], fields: list[str]
) -> None:
    assert sorted(params_refusals(params, check_complete_params)) == fields


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (FLOAT, FLOAT),
        (
            {"type": "int", "low": 1, "high": 10, "step": 4},
            {"type": "int", "low": 1.0, "high": 9, "step": 4},
        ),
        ({**FLOAT, "step": 0.3}, {"type": "float", "low": 0.0, "high": 0.9, "step": 0.3}),
        (FLOAT, json.loads(distribution_to_json(FloatDistribution(0, 1)))),
        (
            {"type": "categorical", "choices": [1, None]},
            {"type": "categorical", "choices": [1.0, None]},
        ),
    ],
)
def test_a_distribution_in_other_words_is_no_change(old: Any, new: Any) -> None:
    assert (
        find_distribution_change(parse_distribution("x", old), parse_distribution("x", new)) is None
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (FLOAT, {**FLOAT, "high": 2}, "a float from 0.0 to 1.0, not a float from 0.0 to 2.0;"),
        (FLOAT, {**FLOAT, "step": 0.5}, "0.0 to 1.0, step 0.5"),
        ({**FLOAT, "low": 0.5}, {**FLOAT, "low": 0.5, "log": True}, "1.0, log;"),
        (FLOAT, {"type": "int", "low": 0, "high": 1}, "an int from 0 to 1, step 1"),
        (FLOAT, ARCH, 'a choice of "mlp", "cnn"'),
        (ARCH, {"type": "categorical", "choices": ["cnn", "mlp"]}, 'not a choice of "cnn", "mlp"'),
        (ARCH, {"type": "categorical", "choices": ["mlp"]}, 'not a choice of "mlp";'),
        (
            {"type": "categorical", "choices": [1, 0]},
            {"type": "categorical", "choices": [True, 0]},
            "not a choice of true, 0",
        ),
        (
            {"type": "categorical", "choices": list(range(30))},
            {"type": "categorical", "choices": list(range(31))},
            "18, 19, …",
        ),
    ],
)
def test_another_distribution_is_a_change(old: Any, new: Any, words: str) -> None:
    found = find_distribution_change(parse_distribution("x", old), parse_distribution("x", new))
    assert found is not None
    assert words in found


@pytest.mark.parametrize(
    ("value", "document", "words"),
    [
        (77, FLOAT, "77 is outside the range"),
        ("0.5", FLOAT, 'must be a number, not "0.5"'),
        (None, FLOAT, "must be a number"),
        (0.5, {"type": "int", "low": 0, "high": 1}, "must be an integer"),
        (4, {"type": "int", "low": 3, "high": 3}, "outside the range"),
        (True, {"type": "categorical", "choices": [1, 2]}, "true is not one of the choices"),
        ("vit", ARCH, '"vit" is not one of the choices'),
    ],
)
def test_a_fixed_value_that_the_trial_then_declares_away_is_refused(
    value: Any, document: Any, words: str
) -> None:
    distributions = {"x": parse_distribution("x", document), "y": FloatDistribution(0, 1)}
    with pytest.raises(InvalidParams, match="tell the trial FAIL") as caught:
        check_fixed_values(distributions, {"x": value, "y": 0.5, "z": "later"})
    assert [error.field for error in caught.value.errors] == ["x"]
    assert words in caught.value.errors[0].message


def test_fixed_values_that_the_trial_declares_are_accepted() -> None:
    check_fixed_values({"x": FloatDistribution(0, 1)}, {"x": 1, "arch": "vit"})
    check_fixed_values({"x": FloatDistribution(0, 1)}, {})
