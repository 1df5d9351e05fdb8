"""Trials that declare their parameters as they go, in any order and not all alike."""

from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import Trial, TrialState, create_trial

from service.samplers import RELATIVE_ATTR
from service.search_space import find_value_problem, parse_space
from tests.unit.sampler_use import (
    ANY_SPACE,
    FLAT,
    JOINT,
    Samplers,
    ask,
    open_storage,
    open_study,
    samplers,
    suggest,
    tell,
)

SPACE = parse_space(FLAT)


@pytest.fixture(autouse=True)
def _quiet_optuna() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def run_some(storage: InMemoryStorage, fresh: Samplers, *, n_trials: int) -> None:
    for _ in range(n_trials):
        tell(storage, fresh, ask(storage, fresh, SPACE))


def declare(storage: InMemoryStorage, fresh: Samplers, names: list[str]) -> dict[str, Any]:
    """Starts a trial and suggests its parameters in this order, one call each."""
    trial = open_study(storage, fresh).ask()
    for name in names:
        taken_up = Trial(open_study(storage, fresh), trial._trial_id)
        suggest(taken_up, name, SPACE.distributions[name])
    return storage.get_trial(trial._trial_id).params


@pytest.mark.parametrize("name", ANY_SPACE)
def test_the_order_of_declarations_changes_no_value(name: str) -> None:
    fresh = samplers(ANY_SPACE[name], SPACE, declared=False)
    found = []
    for names in (list(FLAT), list(reversed(FLAT))):
        storage = open_storage()
        run_some(storage, fresh, n_trials=8)
        found.append(declare(storage, fresh, names))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ANY_SPACE)
def test_a_range_may_change_and_the_new_one_holds(name: str) -> None:
    fresh = samplers(ANY_SPACE[name], SPACE, declared=False)
    storage = open_storage()
    run_some(storage, fresh, n_trials=6)
    for low in (0.0, 2.0, -3.0, 0.5):
        changed: dict[str, BaseDistribution] = {
            **SPACE.distributions,
            "x": FloatDistribution(low, low + 0.25, step=0.25),
            "y": FloatDistribution(low + 4, low + 5, log=True),
        }
        for _ in range(3):
            trial = open_study(storage, fresh).ask(changed)
            problems = [find_value_problem(changed[name], trial.params[name]) for name in changed]
            assert problems == [None] * len(changed)
            tell(storage, fresh, trial.number)


@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize("name", ANY_SPACE)
def test_trials_of_other_makes_in_the_history_are_borne(name: str, declared: bool) -> None:
    fresh = samplers(ANY_SPACE[name], SPACE, declared=declared)
    storage = open_storage()
    study = open_study(storage, fresh)
    wide: dict[str, BaseDistribution] = {"n": IntDistribution(0, 99), "z": FloatDistribution(0, 1)}
    one: dict[str, BaseDistribution] = {"c": SPACE.distributions["c"]}
    study.add_trial(create_trial(value=0.0))
    study.add_trial(create_trial(value=0.5, params={"n": 50, "z": 1.0}, distributions=wide))
    study.add_trial(create_trial(state=TrialState.FAIL, params={"c": "a"}, distributions=one))
    study.add_trial(create_trial(value=float("inf"), params={"c": "a"}, distributions=one))
    run_some(storage, fresh, n_trials=14)
    for trial in study.get_trials(deepcopy=False)[4:]:
        assert trial.params.keys() == FLAT.keys()
        for param, distribution in SPACE.distributions.items():
            assert find_value_problem(distribution, trial.params[param]) is None


@pytest.mark.parametrize("name", JOINT)
def test_a_further_attempt_of_a_trial_has_the_same_draw(name: str) -> None:
    # It keeps its system attributes but those of successive halving.
    fresh = samplers(JOINT[name], SPACE, declared=False)
    lost, whole = open_storage(), open_storage()
    for storage in (lost, whole):
        run_some(storage, fresh, n_trials=8)
    number = ask(whole, fresh, SPACE)
    trial = open_study(lost, fresh).ask()
    suggest(trial, "c", SPACE.distributions["c"])
    run_some(lost, fresh, n_trials=3)
    again = Trial(open_study(lost, fresh), trial._trial_id)
    joint = lost.get_trial(trial._trial_id).system_attrs.get(RELATIVE_ATTR, {})
    for param in ("y", "x", "n", "c"):
        suggest(again, param, SPACE.distributions[param])
    taken_up = lost.get_trial(trial._trial_id).params
    assert taken_up["c"] == whole.get_trial(number).params["c"]
    for param in joint:
        assert taken_up[param] == whole.get_trial(number).params[param]
