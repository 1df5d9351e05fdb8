"""What is stored for a sampler, and every reason to refuse one."""

import math
import sys
from importlib.util import find_spec
from typing import Any

import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from service.domain.errors import InvalidParams, InvalidSampler, SamplerUnavailable
from service.domain.studies import Component
from service.samplers import (
    build_sampler,
    check_fixed_params,
    check_suggestible,
    default_sampler,
    resolve_sampler,
)
from service.search_space import SearchSpace, parse_space

SPACE = parse_space(
    {
        "c": {"type": "categorical", "choices": ["a", "b"]},
        "n": {"type": "int", "low": 1, "high": 5, "step": 2},
        "x": {"type": "float", "low": 0, "high": 0.3, "step": 0.1},
        "one": {"type": "int", "low": 1, "high": 1},
    }
)
CONTINUOUS = parse_space({"x": {"type": "float", "low": 0, "high": 1}})
CONDITIONAL = parse_space(
    {
        "c": {"type": "categorical", "choices": ["a", "b"]},
        "n": {"type": "int", "low": 1, "high": 5, "when": {"c": ["a"]}},
    }
)
RANDOM = {"type": "RandomSampler"}
GP = {"type": "GPSampler"}


def resolve(
    type_: str, args: dict[str, Any], space: SearchSpace | None = None, n_objectives: int = 1
) -> dict[str, Any]:
    component = resolve_sampler(Component(type_, args), space=space, n_objectives=n_objectives)
    assert resolve_sampler(component, space=space, n_objectives=n_objectives) == component
    return dict(component.args)


def refusal(
    type_: str, args: dict[str, Any], space: SearchSpace | None = None, n_objectives: int = 1
) -> tuple[str, str]:
    with pytest.raises(InvalidSampler) as caught:
        resolve_sampler(Component(type_, args), space=space, n_objectives=n_objectives)
    first = caught.value.errors[0]
    assert first.message in caught.value.message
    return first.field, first.message


def test_the_default_is_optunas_with_everything_written_down() -> None:
    common = {
        "n_startup_trials": 10,
        "n_ei_candidates": 24,
        "group": False,
        "constant_liar": True,
    }
    assert default_sampler(1) == Component("TPESampler", common | {"multivariate": True})
    assert default_sampler(2) == Component("TPESampler", common | {"multivariate": False})


@pytest.mark.parametrize(
    ("args", "n_objectives", "multivariate"),
    [
        ({"multivariate": None}, 1, True),
        ({"multivariate": None}, 2, False),
        ({"group": True}, 2, True),
        ({"multivariate": False}, 1, False),
    ],
)
def test_multivariate_is_decided_as_optuna_would(
    args: dict[str, Any], n_objectives: int, multivariate: bool
) -> None:
    assert resolve("TPESampler", args, None, n_objectives)["multivariate"] is multivariate


@pytest.mark.parametrize(
    ("type_", "args", "expected"),
    [
        ("RandomSampler", {}, {}),
        ("TPESampler", {"prior_weight": 2.0}, {"prior_weight": 2.0}),
        ("CmaEsSampler", {"popsize": None, "with_margin": True}, {"with_margin": True}),
        ("CmaEsSampler", {"independent_sampler": RANDOM}, {}),
        ("QMCSampler", {}, {"independent_sampler": {"type": "RandomSampler", "args": {}}}),
        ("QMCSampler", {"warn_independent_sampling": True}, {"scramble": False}),
        (
            "NSGAIISampler",
            {"crossover": {"type": "UNDXCrossover"}},
            {"crossover": {"type": "UNDXCrossover", "args": {"sigma_xi": 0.5}}},
        ),
        (
            "NSGAIIISampler",
            {"mutation": {"type": "PolynomialMutation", "args": {"eta": 5}}},
            {"mutation": {"type": "PolynomialMutation", "args": {"eta": 5}}},
        ),
        ("NSGAIIISampler", {"reference_points": [[1.0]]}, {"reference_points": [[1.0]]}),
        ("BruteForceSampler", {}, {"avoid_premature_stop": False}),
        (
            "GridSampler",
            {},
            {"search_space": {"c": ["a", "b"], "n": [1, 3, 5], "x": [0.0, 0.1, 0.2, 0.3]}},
        ),
        (
            "PartialFixedSampler",
            {"fixed_params": {"n": 3}, "base_sampler": {"type": "GridSampler", "args": None}},
            {
                "fixed_params": {"n": 3},
                "base_sampler": {
                    "type": "GridSampler",
                    "args": {"search_space": {"c": ["a", "b"], "x": [0.0, 0.1, 0.2, 0.3]}},
                },
            },
        ),
    ],
)
def test_defaults_and_nested_components_are_written_down(
    type_: str, args: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = resolve(type_, args, SPACE)
    assert found | expected == found
    assert not {"seed", "warn_independent_sampling"} & found.keys()
    build_sampler(Component(type_, found), seed=1, space=SPACE)


@pytest.mark.parametrize(
    ("type_", "args", "field", "words"),
    [
        ("TpeSampler", {}, "sampler.type", 'Did you mean "TPESampler"'),
        ("BaseSampler", {}, "sampler.type", "Use one of"),
        ("RandomSampler", {"n": 1}, "sampler.args.n", "takes no"),
        ("RandomSampler", {"seed": 1}, "sampler.args.seed", "study's seed"),
        ("TPESampler", {"n_startup": 1}, "sampler.args.n_startup", "n_startup_trials"),
        ("TPESampler", {"n_startup_trials": -1}, "sampler.args.n_startup_trials", "at least 0"),
        ("TPESampler", {"n_startup_trials": 1.5}, "sampler.args.n_startup_trials", "integer"),
        ("TPESampler", {"n_startup_trials": True}, "sampler.args.n_startup_trials", "integer"),
        ("TPESampler", {"n_ei_candidates": 0}, "sampler.args.n_ei_candidates", "at least 1"),
        ("TPESampler", {"group": "yes"}, "sampler.args.group", "true or false"),
        ("TPESampler", {"prior_weight": math.nan}, "sampler.args.prior_weight", "a number"),
        ("TPESampler", {"gamma": 3}, "sampler.args.gamma", "function"),
        ("TPESampler", {"weights": "x"}, "sampler.args.weights", "function"),
        ("TPESampler", {"constraints_func": "f"}, "sampler.args.constraints_func", "function"),
        ("TPESampler", {"group": True, "multivariate": False}, "sampler.args", "``group`` option"),
        ("CmaEsSampler", {"source_trials": []}, "sampler.args.source_trials", "leave it out"),
        ("CmaEsSampler", {"x0": {"x": 1}}, "sampler.args.x0", "deprecates"),
        ("CmaEsSampler", {"popsize": 0}, "sampler.args.popsize", "at least 2"),
        (
            "CmaEsSampler",
            {"use_separable_cma": True, "with_margin": True},
            "sampler.args",
            "we do not support",
        ),
        ("CmaEsSampler", {"independent_sampler": 3}, "sampler.args.independent_sampler", "object"),
        (
            "CmaEsSampler",
            {"independent_sampler": {"type": "TPESampler", "args": {"n": 1}}},
            "sampler.args.independent_sampler.args.n",
            "no argument",
        ),
        (
            "CmaEsSampler",
            {"independent_sampler": {"type": "TPESampler", "n": 1}},
            "sampler.args.independent_sampler",
            '"args"',
        ),
        ("QMCSampler", {"qmc_type": "sobl"}, "sampler.args", "Choose either"),
        ("NSGAIISampler", {"population_size": 1}, "sampler.args.population_size", "at least 2"),
        ("NSGAIISampler", {"mutation_prob": 2.0}, "sampler.args", "range [0.0, 1.0]"),
        (
            "NSGAIISampler",
            {"crossover": {"type": "SPX"}},
            "sampler.args.crossover.type",
            'Did you mean "SPXCrossover"',
        ),
        (
            "NSGAIISampler",
            {"crossover": {"type": "PolynomialMutation"}},
            "sampler.args.crossover.type",
            "no crossover",
        ),
        (
            "NSGAIISampler",
            {"crossover": {"type": "SBXCrossover", "args": {"eta": -1.0}}},
            "sampler.args.crossover.args",
            "`eta`",
        ),
        (
            "NSGAIISampler",
            {"crossover": {"type": "SBXCrossover", "args": {"etta": 1.0}}},
            "sampler.args.crossover.args.etta",
            "eta",
        ),
        (
            "NSGAIISampler",
            {"after_trial_strategy": 1},
            "sampler.args.after_trial_strategy",
            "function",
        ),
        (
            "NSGAIIISampler",
            {"reference_points": [[1.0, 2.0]]},
            "sampler.args.reference_points",
            "1 finite",
        ),
        ("GridSampler", {}, "sampler.args.search_space", "Declare"),
        ("GridSampler", {"search_space": {"x": 1}}, "sampler.args.search_space.x", "list"),
        ("GridSampler", {"search_space": {"x": [1, 1]}}, "sampler.args.search_space.x", "twice"),
        (
            "GridSampler",
            {"search_space": {"x": list(range(400)), "y": list(range(400))}},
            "sampler.args.search_space",
            "combinations",
        ),
        ("PartialFixedSampler", {"base_sampler": RANDOM}, "sampler.args.fixed_params", "required"),
        ("PartialFixedSampler", {"fixed_params": {}}, "sampler.args.base_sampler", "required"),
        (
            "PartialFixedSampler",
            {"fixed_params": {"x": [1]}, "base_sampler": RANDOM},
            "sampler.args.fixed_params.x",
            "null, a boolean",
        ),
        (
            "PartialFixedSampler",
            {"fixed_params": {}, "base_sampler": {"type": "BruteForceSampler"}},
            "sampler.args.base_sampler",
            "constant",
        ),
    ],
)
def test_a_sampler_is_refused_with_a_sentence(
    type_: str, args: dict[str, Any], field: str, words: str
) -> None:
    found = refusal(type_, args)
    assert found[0] == field
    assert words in found[1]


@pytest.mark.parametrize(
    ("type_", "args", "space", "words"),
    [
        ("GridSampler", {}, CONTINUOUS, "endlessly many"),
        ("GridSampler", {}, CONDITIONAL, "BruteForceSampler"),
        ("GridSampler", {"search_space": {"c": ["a"], "n": [1]}}, SPACE, "missing from the grid"),
        ("GridSampler", {"search_space": {"x": [0, 2]}}, CONTINUOUS, "outside the range"),
        ("GridSampler", {"search_space": {"x": [0], "y": [0]}}, CONTINUOUS, "no such parameter"),
        ("BruteForceSampler", {}, CONTINUOUS, "endlessly many"),
        (
            "BruteForceSampler",
            {},
            parse_space({"n": {"type": "int", "low": 0, "high": 10**9}}),
            "too many",
        ),
        (
            "PartialFixedSampler",
            {"fixed_params": {"y": 0}, "base_sampler": RANDOM},
            CONTINUOUS,
            "no such parameter",
        ),
        (
            "PartialFixedSampler",
            {"fixed_params": {"x": 2}, "base_sampler": RANDOM},
            CONTINUOUS,
            "outside the range",
        ),
    ],
)
def test_a_sampler_that_cannot_serve_the_space_is_refused(
    type_: str, args: dict[str, Any], space: SearchSpace, words: str
) -> None:
    assert words in refusal(type_, args, space)[1]


@pytest.mark.parametrize(
    "args", [{}, {"fixed_params": {}, "base_sampler": {"type": "CmaEsSampler"}}]
)
def test_cma_is_refused_for_several_objectives(args: dict[str, Any]) -> None:
    type_ = "PartialFixedSampler" if args else "CmaEsSampler"
    assert "one objective" in refusal(type_, args, None, 2)[1]


def test_gp_is_unavailable_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    fixed = {"fixed_params": {}, "base_sampler": {"type": "GPSampler"}}
    for component in (Component("GPSampler"), Component("PartialFixedSampler", fixed)):
        with pytest.raises(SamplerUnavailable, match=r"asktell-server\[gp\]"):
            resolve_sampler(component, space=None, n_objectives=1)


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_gp_is_written_down_without_being_made() -> None:
    component = Component("GPSampler", {"deterministic_objective": True})
    resolved = resolve_sampler(component, space=CONDITIONAL, n_objectives=2)
    assert resolved.args == {"n_startup_trials": 10, "deterministic_objective": True}
    assert resolve_sampler(resolved, space=CONDITIONAL, n_objectives=2) == resolved
    assert "torch" not in sys.modules
    grid = {"independent_sampler": {"type": "GridSampler"}}
    assert refusal("GPSampler", grid, SPACE)[0] == "sampler.args.independent_sampler"
    assert refusal("GPSampler", {"n_startup_trials": -1}, SPACE)[0].endswith("n_startup_trials")


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.parametrize(
    ("type_", "args", "words"),
    [
        ("ImputingSampler", {"base_sampler": GP}, "Say how trials count"),
        ("ImputingSampler", {"base_sampler": GP, "failed": "bogus"}, "failed must be best"),
        (
            "CmaEsSampler",
            {"use_separable_cma": True, "with_margin": True, "independent_sampler": GP},
            "we do not support",
        ),
        ("QMCSampler", {"qmc_type": "bogus", "independent_sampler": GP}, "Choose either"),
        (
            "PartialFixedSampler",
            {
                "fixed_params": {},
                "base_sampler": {
                    "type": "QMCSampler",
                    "args": {"qmc_type": "bogus", "independent_sampler": GP},
                },
            },
            "Choose either",
        ),
    ],
)
def test_what_stands_around_gp_is_checked_as_ever(
    type_: str, args: dict[str, Any], words: str
) -> None:
    assert words in refusal(type_, args)[1]
    assert "torch" not in sys.modules


def test_samplers_nested_without_end_are_refused() -> None:
    document: dict[str, Any] = dict(RANDOM)
    for _ in range(3000):
        args = {"fixed_params": {}, "base_sampler": document}
        document = {"type": "PartialFixedSampler", "args": args}
    assert "nested at most" in refusal(document["type"], document["args"])[1]


def test_names_in_errors_can_be_sent() -> None:
    field, message = refusal("RandomSampler", {"\ud800": 1})
    assert f"{field}{message}".encode()


def test_experimental_features_do_not_warn() -> None:
    # The suite turns warnings into errors, so building is the assertion.
    for type_, args in {
        "TPESampler": {"group": True, "consider_endpoints": True},
        "CmaEsSampler": {"with_margin": True, "consider_pruned_trials": True, "sigma0": 0.5},
        "NSGAIIISampler": {},
        "BruteForceSampler": {},
    }.items():
        component = resolve_sampler(Component(type_, args), space=None, n_objectives=1)
        build_sampler(component, seed=1, space=None)


def test_what_a_trial_declares_is_checked_against_the_sampler() -> None:
    grid = resolve_sampler(
        Component("GridSampler", {"search_space": {"n": [1, 2]}}), space=None, n_objectives=1
    )
    check_suggestible(grid, {"n": IntDistribution(1, 2)})
    with pytest.raises(InvalidParams, match="missing from the grid"):
        check_suggestible(grid, {"m": IntDistribution(1, 2)})
    with pytest.raises(InvalidParams, match="outside the range"):
        check_suggestible(grid, {"n": IntDistribution(2, 3)})
    check_suggestible(default_sampler(1), {"x": FloatDistribution(0, 1)})


GRID_BESIDE_FIXED = {"fixed_params": {"n": 3}, "base_sampler": {"type": "GridSampler"}}
GRID = {"search_space": {"c": ["a", "b"], "n": [1, 3]}}


@pytest.mark.parametrize(
    ("type_", "args", "space", "params", "missing"),
    [
        ("GridSampler", {}, SPACE, {}, None),
        ("GridSampler", {}, SPACE, {"c": "a", "n": 1, "x": 0.1}, None),
        ("GridSampler", {}, SPACE, {"c": "a"}, "n, x"),
        ("PartialFixedSampler", GRID_BESIDE_FIXED, SPACE, {"c": "a", "x": 0.1}, None),
        ("PartialFixedSampler", GRID_BESIDE_FIXED, SPACE, {"n": 1}, "c, x"),
        ("GridSampler", GRID, CONDITIONAL, {"c": "b"}, None),
        ("GridSampler", GRID, CONDITIONAL, {"c": "a"}, "n"),
        ("GridSampler", GRID, None, {"c": "b", "n": 1}, None),
        ("GridSampler", GRID, None, {"c": "b"}, "n"),
        ("TPESampler", {}, SPACE, {"c": "a"}, None),
    ],
)
def test_a_grid_takes_fixed_values_for_all_parameters_or_none(
    type_: str,
    args: dict[str, Any],
    space: SearchSpace | None,
    params: dict[str, Any],
    missing: str | None,
) -> None:
    component = resolve_sampler(Component(type_, args), space=space, n_objectives=1)
    if missing is None:
        check_fixed_params(component, space, params)
    else:
        with pytest.raises(InvalidParams, match=f"or none; missing: {missing}\\.") as caught:
            check_fixed_params(component, space, params)
        assert [error.field for error in caught.value.errors] == missing.split(", ")
