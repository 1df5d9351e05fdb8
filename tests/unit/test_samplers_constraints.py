"""Samplers see the constraints that a trial was told, in the form in which we keep them."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import Study, StudyDirection
from optuna.trial import TrialState

from service.domain.studies import Component
from service.engine.mirror import Mirror
from service.samplers import build_sampler, resolve_sampler
from service.search_space import parse_space

SPACE = parse_space(
    {
        "x": {"type": "float", "low": -5, "high": 5},
        "y": {"type": "float", "low": -5, "high": 5},
        "c": {"type": "categorical", "choices": ["a", "b"]},
    }
)
SAMPLERS = {
    "tpe": Component("TPESampler", {"n_startup_trials": 8}),
    "tpe-univariate": Component("TPESampler", {"n_startup_trials": 8, "multivariate": False}),
    "nsga2": Component("NSGAIISampler", {"population_size": 8}),
    "nsga3": Component("NSGAIIISampler", {"population_size": 8}),
}
ONE, TWO = [StudyDirection.MINIMIZE], [StudyDirection.MINIMIZE] * 2
Tell = Callable[[Study, int, Mapping[str, float]], None]


@pytest.fixture(autouse=True)
def _quiet_optuna() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def open_mirror(directions: list[StudyDirection]) -> Mirror:
    trial_ids = itertools.count()
    return Mirror(study_id=0, name="s", directions=directions, new_trial_id=trial_ids.__next__)


def open_memory(directions: list[StudyDirection]) -> InMemoryStorage:
    storage = InMemoryStorage()
    storage.create_new_study(directions, "s")
    return storage


def set_as_list(study: Study, trial_id: int, constraints: Mapping[str, float]) -> None:
    study._storage.set_trial_system_attr(trial_id, "constraints", list(constraints.values()))


def set_by_name(study: Study, trial_id: int, constraints: Mapping[str, float]) -> None:
    trial = optuna.Trial(study, trial_id)
    for name, value in constraints.items():
        trial.set_constraint(name, value)


def set_nothing(study: Study, trial_id: int, constraints: Mapping[str, float]) -> None:
    del study, trial_id, constraints


def run(storage: BaseStorage, name: str, directions: list[StudyDirection], set_: Tell) -> Study:
    """Runs trials whose best values lie where a constraint is violated; every fifth one fails."""
    resolved = resolve_sampler(SAMPLERS[name], space=SPACE, n_objectives=len(directions))
    sampler = build_sampler(resolved, seed=7, space=SPACE)
    study = optuna.Study("s", storage, sampler=sampler)
    distributions: dict[str, BaseDistribution] = SPACE.distributions
    for number in range(48):
        trial = study.ask(distributions)
        x, y = trial.params["x"], trial.params["y"]
        # Not all trials say something of constraints; those count as feasible.
        if number % 7:
            set_(study, trial._trial_id, {"left": x - 1, "below": y - 2})
        values = [-x - y, x * y][: len(directions)]
        failed = number % 5 == 4
        state = TrialState.FAIL if failed else TrialState.COMPLETE
        study.tell(trial, None if failed else values, state=state)
    return study


def params_of(study: Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.get_trials(deepcopy=False)]


@pytest.mark.parametrize("directions", [ONE, TWO], ids=["one", "two"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_list_counts_as_constraints_by_name_do(
    name: str, directions: list[StudyDirection]
) -> None:
    ours = run(open_mirror(directions), name, directions, set_as_list)
    optunas = run(open_memory(directions), name, directions, set_by_name)
    assert params_of(ours) == params_of(optunas)
    assert params_of(ours) != params_of(run(open_mirror(directions), name, directions, set_nothing))
    assert [trial.number for trial in ours.best_trials] == [
        trial.number for trial in optunas.best_trials
    ]


@pytest.mark.parametrize("name", SAMPLERS)
def test_feasible_trials_are_preferred(name: str) -> None:
    def count_feasible(study: Study) -> int:
        return sum(params["x"] <= 1 and params["y"] <= 2 for params in params_of(study)[24:])

    constrained = count_feasible(run(open_mirror(ONE), name, ONE, set_as_list))
    assert constrained > count_feasible(run(open_mirror(ONE), name, ONE, set_nothing))


def test_the_best_trial_is_a_feasible_one() -> None:
    study = run(open_mirror(ONE), "tpe", ONE, set_as_list)
    told = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    feasible = [trial for trial in told if all(v <= 0 for v in trial.constraints.values())]
    best = min(feasible, key=lambda trial: trial.values)
    assert study.best_trial.number == best.number
    assert best.number != min(told, key=lambda trial: trial.values).number
    assert [trial.number for trial in study.best_trials] == [best.number]


def test_no_trial_is_best_while_none_is_feasible() -> None:
    study = optuna.Study("s", open_mirror(ONE))
    trial = study.ask()
    set_as_list(study, trial._trial_id, {"c": 1.0})
    study.tell(trial, 0.0)
    assert study.best_trials == []
    with pytest.raises(ValueError, match="No"):
        _ = study.best_trial


@pytest.mark.parametrize("directions", [ONE, TWO], ids=["one", "two"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_any_value_and_constraint_that_can_be_told_is_borne(
    name: str, directions: list[StudyDirection]
) -> None:
    # The suite turns warnings into errors.
    extreme = [math.inf, -math.inf, 1e308, -1e308, 0.0, 1.0]
    resolved = resolve_sampler(SAMPLERS[name], space=SPACE, n_objectives=len(directions))
    sampler = build_sampler(resolved, seed=7, space=SPACE)
    study = optuna.Study("s", open_mirror(directions), sampler=sampler)
    for number in range(60):
        trial = study.ask(SPACE.distributions)
        if number % 3:
            set_as_list(study, trial._trial_id, {"c": extreme[number % 5]})
        values = [extreme[(number * (k + 1) + number // 6) % 6] for k in range(len(directions))]
        study.tell(trial, values)
    assert len(study.trials) == 60
