"""Which parameters a sampler cannot suggest."""

from typing import Any

import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from service.domain.errors import InvalidParams
from service.domain.studies import Component
from service.samplers import check_suggestible, default_sampler, resolve_sampler

GP = {"type": "GPSampler", "args": {}}
FINE = [
    IntDistribution(1, 1_000_001),
    IntDistribution(1, 10**9, log=True),
    FloatDistribution(0, 1, step=1e-7),
]
COARSE = [IntDistribution(1, 1_000_000), FloatDistribution(0, 1), IntDistribution(5, 5)]


@pytest.mark.parametrize("distribution", FINE)
@pytest.mark.parametrize(
    "component",
    [
        Component(**GP),
        Component("ImputingSampler", {"base_sampler": GP}),
        Component("PartialFixedSampler", {"fixed_params": {"y": 1}, "base_sampler": GP}),
    ],
)
def test_gp_takes_no_parameter_with_more_values_than_it_can_list(
    component: Component, distribution: BaseDistribution
) -> None:
    with pytest.raises(InvalidParams, match=r'"x" has .* values, and GPSampler lists them all'):
        check_suggestible(component, {"x": distribution})


@pytest.mark.parametrize("distribution", COARSE)
def test_gp_takes_others(distribution: BaseDistribution) -> None:
    check_suggestible(Component(**GP), {"x": distribution})


@pytest.mark.parametrize("distribution", FINE)
def test_a_parameter_that_gp_does_not_see_may_have_more(distribution: BaseDistribution) -> None:
    args: dict[str, Any] = {"fixed_params": {"x": 1}, "base_sampler": GP}
    check_suggestible(Component("PartialFixedSampler", args), {"x": distribution})


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
