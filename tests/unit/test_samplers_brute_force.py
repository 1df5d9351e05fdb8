"""Exhaustive search goes on, and ends, whatever became of the trials before."""

import itertools
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.study import Study, StudyDirection
from optuna.trial import Trial, TrialState, create_trial

from service.domain.studies import Component
from service.samplers import EXHAUSTED_ATTR, PerCallSampler, build_sampler, resolve_sampler
from service.samplers.brute_force import BruteForceSampler

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

ALL = sorted(itertools.product([1, 2], [1, 2, 3]))


@pytest.fixture(autouse=True)
def _quiet_optuna() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture
def study() -> Study:
    """A study whose trials declare their parameters themselves."""
    component = resolve_sampler(Component("BruteForceSampler"), space=None, n_objectives=1)
    storage = InMemoryStorage()
    storage.create_new_study([StudyDirection.MINIMIZE], "s")
    sampler = build_sampler(component, seed=7, space=None)
    return optuna.load_study(study_name="s", storage=storage, sampler=sampler)


def is_exhausted(study: Study) -> bool:
    return study._storage.get_study_system_attrs(study._study_id).get(EXHAUSTED_ATTR, False)


def declare(trial: Trial) -> tuple[int, int]:
    return trial.suggest_int("x", 1, 2), trial.suggest_int("y", 1, 3)


def visit_the_rest(study: Study) -> list[tuple[int, int]]:
    """Runs trials until there is nothing left to try."""
    visited = []
    while not is_exhausted(study):
        assert len(visited) < 2 * len(ALL)
        trial = study.ask()
        visited.append(declare(trial))
        study.tell(trial, 1.0)
    return sorted(visited)


@pytest.mark.parametrize("avoid_premature_stop", [False, True])
def test_a_study_without_accidents_gets_optunas_suggestions(avoid_premature_stop: bool) -> None:
    def run(sampler: BaseSampler) -> list[dict[str, Any]]:
        study = optuna.create_study(sampler=sampler)
        running: list[Trial] = []
        for number in range(7):
            running.append(study.ask())
            if running[-1].suggest_categorical("c", ["a", "b", "c"]) == "a":
                declare(running[-1])
            if number == 3:
                study.tell(running.pop(0), state=TrialState.FAIL)
            elif number % 2:
                study.tell(running.pop(0), 1.0)
        return [trial.params for trial in study.trials]

    args: dict[str, Any] = {"seed": 3, "avoid_premature_stop": avoid_premature_stop}
    assert run(BruteForceSampler(**args)) == run(optuna.samplers.BruteForceSampler(**args))


def test_a_trial_that_ends_before_it_declares_anything_is_no_visit(study: Study) -> None:
    study.tell(study.ask(), state=TrialState.FAIL)
    assert not is_exhausted(study)
    assert visit_the_rest(study) == ALL


def test_a_trial_that_ends_halfway_hides_nothing_that_another_found(study: Study) -> None:
    study.enqueue_trial({"x": 1, "y": 1})
    whole = study.ask()
    visited = declare(whole)
    study.tell(whole, 1.0)
    study.enqueue_trial({"x": 1})
    halfway = study.ask()
    halfway.suggest_int("x", 1, 2)
    study.tell(halfway, state=TrialState.FAIL)
    assert not is_exhausted(study)
    assert sorted([visited, *visit_the_rest(study)]) == ALL


@pytest.mark.parametrize(
    "distributions",
    [
        {"y": IntDistribution(1, 3), "x": IntDistribution(1, 2)},
        {"x": IntDistribution(1, 9), "y": IntDistribution(1, 3)},
        {"z": IntDistribution(1, 3)},
    ],
    ids=["order", "range", "name"],
)
def test_a_trial_that_fits_no_other_stops_nobody(
    study: Study, distributions: dict[str, BaseDistribution]
) -> None:
    params = dict.fromkeys(distributions, 1)
    study.add_trial(create_trial(value=1.0, params=params, distributions=distributions))
    assert visit_the_rest(study) == ALL


def test_what_a_trial_will_declare_is_not_guessed_from_the_ask(study: Study) -> None:
    trials = [study.ask({"x": IntDistribution(1, 2)}) for _ in range(2)]
    assert isinstance(study.sampler, PerCallSampler)
    for trial in trials:
        study.sampler.after_ask(study, study.trials[trial.number])
    assert not is_exhausted(study)
