"""What tests of users' parts start from: a random walk, its life here and in plain Optuna."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import optuna

from service.domain.studies import (
    Direction,
    Objective,
)
from service.domain.trials import AskedTrial, Outcome, TrialState
from service.domain.user_code import UserCode
from service.engine.actor import Actor
from service.engine.ask import Ask, ask
from service.engine.create import NewStudy, create_study
from service.engine.engine import Engine, open_engine
from service.engine.report import report
from service.engine.tell import tell
from service.engine.user_code import CodeRunner
from service.sandbox import Sandbox
from service.storage.database import Database

# After the sampler of Optuna's documentation: what it keeps is in the object.
WALK = """
import numpy as np
import random

from optuna.samplers import BaseSampler
from optuna.pruners import BasePruner


class RandomWalk(BaseSampler):
    def __init__(self, seed):
        self.rng = np.random.RandomState(seed)
        self.at = {}
        self.ended = []
        self.begun = 0

    def before_trial(self, study, trial):
        self.begun += 1
        study.set_user_attr("begun", self.begun)

    def infer_relative_search_space(self, study, trial):
        return optuna.search_space.intersection_search_space(study.get_trials(deepcopy=False))

    def sample_relative(self, study, trial, search_space):
        best = study.best_trial.params if self.ended else {}
        params = {}
        for name, found in search_space.items():
            if isinstance(found, optuna.distributions.CategoricalDistribution):
                continue
            # No integer for an integer, so Optuna draws that by itself.
            step = self.rng.uniform(-1, 1) * (found.high - found.low) * 0.1
            params[name] = min(max(best.get(name, found.low) + step, found.low), found.high)
        return params

    def sample_independent(self, study, trial, name, distribution):
        self.at[name] = self.at.get(name, 0) + 1
        sampler = optuna.samplers.RandomSampler(seed=self.rng.randint(2**31))
        return sampler.sample_independent(study, trial, name, distribution)

    def after_trial(self, study, trial, state, values):
        self.ended.append(trial.number)
        study.set_user_attr("ended", list(self.ended))
        assert trial.state == optuna.trial.TrialState.RUNNING
        if state == optuna.trial.TrialState.PRUNED:
            self.rng.random_sample()


class EveryThird(BasePruner):
    def __init__(self):
        self.asked = 0

    def prune(self, study, trial):
        self.asked += 1
        study.set_user_attr("asked", self.asked)
        others = [t.intermediate_values.get(trial.last_step, 0.0) for t in study.trials]
        worse = trial.intermediate_values[trial.last_step] > sorted(others)[len(others) // 2]
        return worse and self.asked % 3 == 0


def sampler():
    return RandomWalk(seed=11)


def pruner():
    return EveryThird()
"""
DECLARES = (
    WALK
    + """

def objective(trial):
    trial.suggest_float("x", -5, 5)
    trial.suggest_int("size", 1, 9)
    if trial.suggest_categorical("kind", ["a", "b"]) == "b":
        trial.suggest_int("depth", 1, 9)
"""
)
SPACE = {
    "x": {"type": "float", "low": -5.0, "high": 5.0},
    "kind": {"type": "categorical", "choices": ["a", "b"]},
}
DEPTH = {"type": "int", "low": 1, "high": 9}
N_TRIALS = 25
MINIMIZE = (Objective("value", Direction.MINIMIZE),)


@asynccontextmanager
async def running(database: Database, sandbox: Sandbox) -> AsyncIterator[Engine]:
    code_runner = CodeRunner(sandbox, may_be_uncontained=True)
    async with open_engine(database, reap_every_seconds=None, code_runner=code_runner) as engine:
        yield engine


async def create(engine: Engine, source: str, **parts: Any) -> Actor:
    functions = parts.pop("functions", {})
    code = UserCode(source, functions)
    await create_study(engine, NewStudy("s", MINIMIZE, seed=7, user_code=code, **parts))
    return await engine.get_actor("s")


def score(params: Mapping[str, Any], step: int) -> float:
    return float((params["x"] - 1) ** 2 + (params["kind"] == "a") + params.get("depth", 0) / step)


async def live(actor: Actor, n_trials: int) -> list[tuple[dict[str, Any], str]]:
    """One trial after another; returns what each got, and how it ended."""
    lives = []
    for _ in range(n_trials):
        (trial,) = await ask(actor, Ask())
        params = dict(trial.params)
        state = await train(actor, trial)
        lives.append((params, state.name))
    return lives


async def train(actor: Actor, trial: AskedTrial) -> TrialState:
    for step in (1, 2, 3):
        decision = await report(actor, trial.number, [(step, score(trial.params, step))])
        if decision.should_prune:
            await tell(actor, trial.number, Outcome(TrialState.PRUNED))
            return TrialState.PRUNED
    outcome = Outcome(TrialState.COMPLETE, (score(trial.params, 3),))
    await tell(actor, trial.number, outcome)
    return TrialState.COMPLETE


def live_in_optuna(source: str) -> tuple[list[tuple[dict[str, Any], str]], dict[str, Any]]:
    """The same with plain Optuna, and the attributes that the study has then."""
    module: dict[str, Any] = {"optuna": optuna}
    exec(source, module)
    study = optuna.create_study(sampler=module["sampler"](), pruner=module["pruner"]())
    lives = []
    for _ in range(N_TRIALS):
        trial = study.ask()
        if "objective" in module:
            module["objective"](trial)
        else:
            # A declared space is drawn in the order of its names.
            trial.suggest_categorical("kind", ["a", "b"])
            trial.suggest_float("x", -5, 5)
        state = _train_in_optuna(study, trial)
        lives.append((trial.params, state.name))
    return lives, study.user_attrs


def _train_in_optuna(study: optuna.Study, trial: optuna.Trial) -> optuna.trial.TrialState:
    for step in (1, 2, 3):
        trial.report(score(trial.params, step), step)
        if trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return optuna.trial.TrialState.PRUNED
    study.tell(trial, score(trial.params, 3))
    return optuna.trial.TrialState.COMPLETE
