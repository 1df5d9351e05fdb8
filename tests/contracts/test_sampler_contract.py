"""What Optuna expects of any sampler, on mirrors: of Optuna's own samplers and of ours.

Optuna's suites never name a storage, so the default one is replaced while they run.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import optuna
import pytest
from optuna import samplers
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)

from service.domain.studies import Component
from service.samplers import EXHAUSTED_ATTR, build_sampler, resolve_sampler
from service.search_space import parse_space
from tests.contracts.mirror_storage import MirrorStorage

SamplerFactory = Callable[[], BaseSampler]

pytestmark = [
    pytest.mark.usefixtures("mirrors_only"),
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
]


@pytest.fixture
def mirrors_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Studies that name no storage are kept in mirrors; the test must have made one."""
    made: list[MirrorStorage] = []

    def make_storage() -> MirrorStorage:
        made.append(MirrorStorage())
        return made[-1]

    monkeypatch.setattr(optuna.storages, "InMemoryStorage", make_storage)
    yield
    assert any(storage.get_all_studies() for storage in made), "No study was kept in a mirror."


def optunas(kind: str, **args: Any) -> Any:
    """A test parameter: Optuna's sampler itself."""
    return pytest.param(lambda: getattr(samplers, kind)(**args), id=_describe("optuna", kind, args))


def ours(kind: str, **args: Any) -> Any:
    """A test parameter: our sampler, as a study without a declared space gets it."""

    def make() -> BaseSampler:
        component = resolve_sampler(Component(kind, args), space=None, n_objectives=1)
        return build_sampler(component, seed=7, space=None)

    return pytest.param(make, id=_describe("ours", kind, args))


def _describe(whose: str, kind: str, args: dict[str, Any]) -> str:
    return "-".join((whose, kind, *(f"{name}={value}" for name, value in args.items())))


RELATIVE = [
    ours("TPESampler", n_startup_trials=0, multivariate=True),
    ours("CmaEsSampler", n_startup_trials=0),
    ours("CmaEsSampler", n_startup_trials=0, use_separable_cma=True),
    optunas("TPESampler", n_startup_trials=0, multivariate=True),
    optunas("CmaEsSampler", n_startup_trials=0),
]
# They have relative parameters too, but not the way the relative cases want them: QMC starts with
# the second trial, groups must be inferred for each trial before they are sampled.
PARTLY_RELATIVE = [
    ours("QMCSampler"),
    ours("TPESampler", n_startup_trials=0, multivariate=True, group=True),
]
GENETIC = [
    ours("NSGAIISampler"),
    ours("NSGAIIISampler"),
    optunas("NSGAIISampler"),
]
INDEPENDENT = [
    ours("RandomSampler"),
    ours("TPESampler", n_startup_trials=0, multivariate=False),
    optunas("RandomSampler"),
]


class TestBasic(BasicSamplerTestCase):
    @pytest.fixture(params=[*INDEPENDENT, *GENETIC, *PARTLY_RELATIVE, *RELATIVE])
    def sampler(self, request: pytest.FixtureRequest) -> SamplerFactory:
        return request.param


class TestRelative(RelativeSamplerTestCase):
    @pytest.fixture(params=RELATIVE)
    def sampler(self, request: pytest.FixtureRequest) -> SamplerFactory:
        return request.param


class TestMultiObjective(MultiObjectiveSamplerTestCase):
    @pytest.fixture(
        params=[
            *GENETIC,
            ours("RandomSampler"),
            ours("TPESampler", n_startup_trials=0),
        ]
    )
    def sampler(self, request: pytest.FixtureRequest) -> SamplerFactory:
        return request.param


class TestSingleOnly(SingleOnlySamplerTestCase):
    @pytest.fixture(
        params=[
            ours("CmaEsSampler", n_startup_trials=0),
            optunas("CmaEsSampler", n_startup_trials=0),
        ]
    )
    def sampler(self, request: pytest.FixtureRequest) -> SamplerFactory:
        return request.param


class TestBruteForce:
    """The cases of one parameter with countable values: brute force takes no other."""

    @pytest.fixture(params=[ours("BruteForceSampler"), optunas("BruteForceSampler")])
    def sampler(self, request: pytest.FixtureRequest) -> SamplerFactory:
        return request.param

    test_int = BasicSamplerTestCase.test_int
    test_categorical = BasicSamplerTestCase.test_categorical


# None of Optuna's cases fits a grid: they call the sampler beside the trial's usual course.
@pytest.mark.parametrize("kind", ["GridSampler", "BruteForceSampler"])
def test_finite_sampler_visits_every_combination_once(kind: str) -> None:
    space = {"a": IntDistribution(1, 3), "b": CategoricalDistribution(["x", "y"])}
    declared = parse_space(
        {
            "a": {"type": "int", "low": 1, "high": 3},
            "b": {"type": "categorical", "choices": ["x", "y"]},
        }
    )
    component = resolve_sampler(Component(kind), space=declared, n_objectives=1)
    study = optuna.create_study(sampler=build_sampler(component, seed=3, space=declared))
    visited = []

    while not study._storage.get_study_system_attrs(study._study_id).get(EXHAUSTED_ATTR):
        trial = study.ask(space)
        visited.append((trial.params["a"], trial.params["b"]))
        study.tell(trial, 1.0)

    assert sorted(visited) == list(itertools.product([1, 2, 3], ["x", "y"]))
