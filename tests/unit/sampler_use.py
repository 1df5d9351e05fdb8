"""What tests of samplers start from: small spaces, all samplers, and a study without an engine."""

from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial

from service.domain.studies import Component
from service.samplers import EXHAUSTED_ATTR, PerCallSampler, build_sampler, resolve_sampler
from service.search_space import SearchSpace

FLAT = {
    "c": {"type": "categorical", "choices": ["a", "b"]},
    "n": {"type": "int", "low": 1, "high": 4},
    "x": {"type": "float", "low": 0.0, "high": 1.0, "step": 0.25},
    "y": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
}
CONDITIONAL = {**FLAT, "z": {"type": "int", "low": 0, "high": 9, "when": {"c": ["a"]}}}
FINITE = {name: FLAT[name] for name in ("c", "n", "x")}
SEPARATE = {"type": "RandomSampler"}

JOINT = {
    "tpe": Component("TPESampler", {"n_startup_trials": 4}),
    "tpe-univariate": Component("TPESampler", {"n_startup_trials": 4, "multivariate": False}),
    "tpe-group": Component("TPESampler", {"n_startup_trials": 4, "group": True}),
    "cma": Component("CmaEsSampler", {"n_startup_trials": 2, "popsize": 4}),
    "cma-margin": Component("CmaEsSampler", {"popsize": 4, "with_margin": True}),
    "cma-nested": Component("CmaEsSampler", {"popsize": 4, "independent_sampler": SEPARATE}),
    "qmc": Component("QMCSampler", {}),
    "qmc-scrambled": Component("QMCSampler", {"scramble": True, "qmc_type": "halton"}),
    "nsga2": Component("NSGAIISampler", {"population_size": 5}),
    "nsga2-sbx": Component(
        "NSGAIISampler", {"population_size": 5, "crossover": {"type": "SBXCrossover"}}
    ),
    "nsga3": Component("NSGAIIISampler", {"population_size": 5}),
    "fixed-tpe": Component(
        "PartialFixedSampler",
        {"fixed_params": {"n": 2}, "base_sampler": {"type": "TPESampler"}},
    ),
    "fixed-nsga2": Component(
        "PartialFixedSampler",
        {
            "fixed_params": {"c": "b"},
            "base_sampler": {"type": "NSGAIISampler", "args": {"population_size": 5}},
        },
    ),
}
INDEPENDENT = {
    "random": Component("RandomSampler"),
    "fixed-random": Component(
        "PartialFixedSampler", {"fixed_params": {"n": 2}, "base_sampler": SEPARATE}
    ),
}
EXHAUSTIVE = {
    "grid": Component("GridSampler"),
    "brute-force": Component("BruteForceSampler"),
    "fixed-grid": Component(
        "PartialFixedSampler",
        {"fixed_params": {"n": 2}, "base_sampler": {"type": "GridSampler"}},
    ),
}
ANY_SPACE = JOINT | INDEPENDENT

Samplers = Callable[[], BaseSampler]
"""Gives a sampler for the next call."""


def samplers(
    component: Component, space: SearchSpace | None, *, seed: int = 7, declared: bool = True
) -> Callable[[], PerCallSampler]:
    """Returns what makes the study's sampler anew, as each process would."""
    resolved = resolve_sampler(component, space=space, n_objectives=1)
    known = space if declared else None
    return lambda: build_sampler(resolved, seed=seed, space=known)


def open_storage() -> InMemoryStorage:
    storage = InMemoryStorage()
    storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "s")
    return storage


def open_study(storage: InMemoryStorage, fresh: Samplers) -> Study:
    return optuna.load_study(study_name="s", storage=storage, sampler=fresh())


def ask(storage: InMemoryStorage, fresh: Samplers, space: SearchSpace) -> int:
    """Returns the number of a new trial that has all its parameters."""
    study = open_study(storage, fresh)
    trial = study.ask()
    chosen: dict[str, Any] = {}
    for parameter in space.parameters:
        if space.is_active(parameter, chosen):
            chosen[parameter.name] = suggest(trial, parameter.name, parameter.distribution)
    if isinstance(study.sampler, PerCallSampler):
        study.sampler.after_ask(study, storage.get_trial(trial._trial_id))
    return trial.number


def suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case FloatDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_float(name, low, high, step=step, log=log)
        case IntDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_int(name, low, high, step=step, log=log)
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
    raise AssertionError(distribution)


def tell(storage: InMemoryStorage, fresh: Samplers, number: int) -> None:
    study = open_study(storage, fresh)
    study.tell(number, objective(storage.get_trial(number)))


def objective(trial: FrozenTrial) -> float:
    params = trial.params
    return (params["n"] - 2) ** 2 + abs(params["x"] - 0.5) + (params["c"] == "a") * 0.3


def is_exhausted(storage: InMemoryStorage) -> bool:
    return storage.get_study_system_attrs(0).get(EXHAUSTED_ATTR, False)
