"""Every reason to refuse a sampler."""

import math
from typing import Any

import pytest

from service.search_space import SearchSpace, parse_space
from tests.unit.sampler_specs import CONDITIONAL, CONTINUOUS, RANDOM, SPACE, refusal


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


def test_samplers_nested_without_end_are_refused() -> None:
    document: dict[str, Any] = dict(RANDOM)
    for _ in range(3000):
        args = {"fixed_params": {}, "base_sampler": document}
        document = {"type": "PartialFixedSampler", "args": args}
    assert "nested at most" in refusal(document["type"], document["args"])[1]


def test_names_in_errors_can_be_sent() -> None:
    field, message = refusal("RandomSampler", {"\ud800": 1})
    assert f"{field}{message}".encode()
