"""Which values of its parameters a trial may bring along."""

from typing import Any

import pytest

from service.domain.errors import InvalidParams
from service.domain.studies import Component
from service.samplers import check_fixed_params, resolve_sampler
from service.search_space import SearchSpace
from tests.unit.sampler_specs import CONDITIONAL, SPACE

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
