"""GPSampler, which needs a package that the server may lack."""

import sys
from importlib.util import find_spec
from typing import Any

import pytest

from service.domain.errors import SamplerUnavailable
from service.domain.studies import Component
from service.samplers import resolve_sampler
from tests.unit.sampler_specs import CONDITIONAL, SPACE, refusal

GP = {"type": "GPSampler"}


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
