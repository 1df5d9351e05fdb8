"""What is stored for a sampler."""

from typing import Any

import pytest

from service.domain.studies import Component
from service.samplers import build_sampler, default_sampler, resolve_sampler
from service.search_space import SearchSpace
from tests.unit.sampler_specs import RANDOM, SPACE


def resolve(
    type_: str, args: dict[str, Any], space: SearchSpace | None = None, n_objectives: int = 1
) -> dict[str, Any]:
    component = resolve_sampler(Component(type_, args), space=space, n_objectives=n_objectives)
    assert resolve_sampler(component, space=space, n_objectives=n_objectives) == component
    return dict(component.args)


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
