"""Failed and running trials count with values of W&B's making."""

import math
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from service.domain.errors import InvalidSampler
from service.domain.studies import Component
from service.samplers import build_sampler, resolve_sampler
from service.samplers.imputing import IMPUTED_ATTR, ImputingSampler
from service.search_space import parse_space

DOCUMENT = {
    "x": {"type": "float", "low": 0.0, "high": 10.0},
    "c": {"type": "categorical", "choices": ["a", "b"]},
}
SPACE = parse_space(DOCUMENT)
# Else it takes running trials for bad ones, as most of those below are.
TPE = {"type": "TPESampler", "args": {"n_startup_trials": 3, "constant_liar": False}}
CMA = {"type": "CmaEsSampler", "args": {"n_startup_trials": 3, "popsize": 4}}
COMPLETE, PRUNED = TrialState.COMPLETE, TrialState.PRUNED
FAIL, RUNNING = TrialState.FAIL, TrialState.RUNNING

# State, reports by step, and the value at the end.
TRIALS: list[tuple[TrialState, dict[int, float], float | None]] = [
    (COMPLETE, {0: 4.0, 1: 2.0}, 2.0),
    (FAIL, {0: 1.0, 2: 3.0, 1: 0.5}, None),
    (PRUNED, {0: 8.0}, None),
    (RUNNING, {0: 9.0, 1: 5.0}, None),
    (COMPLETE, {}, 7.0),
    (FAIL, {}, None),
    (FAIL, {0: 2.5, 1: math.nan, 2: math.inf}, None),
    (RUNNING, {}, None),
    (COMPLETE, {}, 1.0),
]
N_TIMES = 3


@pytest.fixture(autouse=True)
def _quiet_optuna() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def resolve(**args: Any) -> Component:
    return resolve_sampler(Component("ImputingSampler", args), space=SPACE, n_objectives=1)


def ask(
    component: Component,
    trials: list[FrozenTrial],
    direction: StudyDirection = StudyDirection.MINIMIZE,
    seed: int = 7,
) -> FrozenTrial:
    """Returns the trial that is drawn after these."""
    storage = InMemoryStorage()
    storage.create_new_study([direction], "s")
    sampler = build_sampler(component, seed=seed, space=SPACE)
    study = optuna.load_study(study_name="s", storage=storage, sampler=sampler)
    study.add_trials(trials)
    return storage.get_trial(study.ask(SPACE.distributions)._trial_id)


def build_trials(values: dict[int, float]) -> list[FrozenTrial]:
    """Returns the trials above several times, elsewhere each time.

    Args:
        values: Of those that are complete ones instead.
    """
    return [
        create_trial(
            state=COMPLETE if number in values else state,
            value=values.get(number, value),
            params={"x": (number * 0.9 + times * 3.7) % 10, "c": "ab"[(number + times) % 2]},
            distributions=SPACE.distributions,
            intermediate_values=dict(reports),
        )
        for times in range(N_TIMES)
        for number, (state, reports, value) in enumerate(TRIALS)
    ]


@pytest.mark.parametrize(
    ("args", "direction", "values"),
    [
        ({"failed": "latest"}, StudyDirection.MINIMIZE, {1: 3.0, 6: 2.5}),
        ({"failed": "best"}, StudyDirection.MINIMIZE, {1: 0.5, 6: 2.5}),
        ({"failed": "best"}, StudyDirection.MAXIMIZE, {1: 3.0, 6: 2.5}),
        ({"failed": "worst"}, StudyDirection.MINIMIZE, {1: 8.0, 5: 8.0, 6: 8.0}),
        ({"failed": "worst"}, StudyDirection.MAXIMIZE, {1: 0.5, 5: 0.5, 6: 0.5}),
        ({"running": "latest"}, StudyDirection.MINIMIZE, {3: 5.0}),
        ({"running": "best"}, StudyDirection.MAXIMIZE, {3: 9.0}),
        ({"running": "worst"}, StudyDirection.MINIMIZE, {3: 8.0, 7: 8.0}),
        (
            {"failed": "latest", "running": "latest"},
            StudyDirection.MINIMIZE,
            {1: 3.0, 6: 2.5, 3: 5.0},
        ),
    ],
)
def test_it_draws_as_if_they_were_complete(
    args: dict[str, str],
    direction: StudyDirection,
    values: dict[int, float],
) -> None:
    component = resolve(base_sampler=TPE, **args)
    inner = Component(**component.args["base_sampler"])

    def draw(component: Component, values: dict[int, float]) -> list[dict[str, Any]]:
        trials = build_trials(values)
        return [ask(component, trials, direction, seed).params for seed in range(8)]

    assert draw(component, {}) == draw(inner, values) != draw(inner, {})


@pytest.mark.parametrize("base_sampler", [TPE, CMA], ids=["tpe", "cma"])
def test_a_search_goes_on_as_if_they_had_completed(base_sampler: dict[str, Any]) -> None:
    component = resolve(base_sampler=base_sampler, failed="latest")
    inner = Component(**component.args["base_sampler"])

    def search(component: Component, end: TrialState) -> list[dict[str, Any]]:
        sampler = build_sampler(component, seed=7, space=SPACE)
        study = optuna.create_study(sampler=sampler)
        for number in range(20):
            trial = study.ask(SPACE.distributions)
            value = (trial.params["x"] - 3) ** 2
            trial.report(value, 0)
            state = end if number % 3 == 0 else COMPLETE
            study.tell(trial, value if state is COMPLETE else None, state)
        return [trial.params for trial in study.trials]

    assert search(component, FAIL) == search(inner, COMPLETE) != search(inner, FAIL)


def test_a_trial_without_the_parameters_does_not_count() -> None:
    trials = build_trials({})
    failed = create_trial(state=FAIL, params={}, distributions={}, intermediate_values={0: 1.0})
    component = resolve(base_sampler=CMA, failed="latest")

    assert ask(component, [*trials, failed]).params.keys() == {"x", "c"}


def test_what_running_trials_counted_with_is_kept() -> None:
    component = resolve(base_sampler=TPE, running="latest")

    assert ask(component, build_trials({})).system_attrs[IMPUTED_ATTR] == {
        "3": 5.0,
        "12": 5.0,
        "21": 5.0,
    }


@pytest.mark.parametrize("args", [{"failed": "worst"}, {"running": "latest"}])
def test_a_trial_is_drawn_again_from_what_is_kept(args: dict[str, str]) -> None:
    """Whatever was reported since: so the recorded order is enough to repeat it."""
    component = resolve(base_sampler=TPE, **args)
    first = ask(component, build_trials({}))
    storage = InMemoryStorage()
    storage.create_new_study([StudyDirection.MINIMIZE], "s")
    sampler = build_sampler(component, seed=7, space=SPACE)
    study = optuna.load_study(study_name="s", storage=storage, sampler=sampler)
    study.add_trials(build_trials({}))
    kept = {k: v for k, v in first.system_attrs.items() if k == IMPUTED_ATTR}
    study.add_trial(create_trial(state=TrialState.WAITING, system_attrs=kept))
    running = study.get_trials(states=[RUNNING])[0]
    storage.set_trial_intermediate_value(running._trial_id, 2, -100.0)

    assert study.ask(SPACE.distributions).params == first.params


def test_fixed_values_go_around_it() -> None:
    wrapped = {"type": "ImputingSampler", "args": {"base_sampler": TPE, "failed": "worst"}}
    component = resolve_sampler(
        Component("PartialFixedSampler", {"fixed_params": {"c": "b"}, "base_sampler": wrapped}),
        space=SPACE,
        n_objectives=1,
    )

    assert ask(component, build_trials({})).params["c"] == "b"


@pytest.mark.parametrize(
    ("args", "field", "message"),
    [
        ({"base_sampler": TPE}, "sampler.args", "Say how trials count"),
        ({"failed": "worst"}, "sampler.args.base_sampler", "required"),
        ({"base_sampler": TPE, "failed": "mean"}, "sampler.args", "best, latest, worst or null"),
        ({"base_sampler": TPE, "running": 1}, "sampler.args.running", "a string"),
        (
            {"base_sampler": {"type": "RandomSampler"}, "failed": "worst"},
            "sampler.args.base_sampler",
            "one of TPESampler, CmaEsSampler",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(args: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(InvalidSampler) as caught:
        resolve(**args)

    (error,) = caught.value.errors
    assert error.field == field
    assert message in error.message


def test_several_objectives_are_refused() -> None:
    component = Component("ImputingSampler", {"base_sampler": TPE, "failed": "worst"})

    with pytest.raises(InvalidSampler, match="one objective only"):
        resolve_sampler(component, space=SPACE, n_objectives=2)


def test_optuna_alone_can_use_it() -> None:
    sampler = ImputingSampler(optuna.samplers.TPESampler(seed=1), failed="worst")
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=12)

    assert len(study.trials) == 12
