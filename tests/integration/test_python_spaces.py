"""Trials of a space that users' code declares, three levels deep: none is outside it."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

import pytest

from service.domain.errors import StudyFinished
from service.domain.studies import Budget, Component, StudySettings
from service.domain.trials import Outcome, TrialState
from service.domain.user_code import UserCode
from service.engine.actor import Actor
from service.engine.ask import Ask, ask
from service.engine.create import create_study
from service.engine.engine import open_engine
from service.engine.replay import replay_study
from service.engine.tell import tell
from service.engine.user_code import CodeRunner, open_sandbox
from service.sandbox import Sandbox
from service.storage.database import Database
from tests.integration.engine_use import new_study

# Two hundred of each sampler take minutes: with CHAOS_ROUNDS, as in `make chaos`.
N_TRIALS = 200 if "CHAOS_ROUNDS" in os.environ else 50
SOURCE = """
def objective(trial):
    model = trial.suggest_categorical("model", ["net", "forest", "line"])
    if model == "net":
        trial.suggest_float("rate", 1e-5, 1e-1, log=True)
        trial.suggest_categorical("batch_size", [16, 32])
        for layer in range(trial.suggest_int("depth", 1, 3)):
            if trial.suggest_categorical(f"drop_{layer}", [True, False]):
                trial.suggest_float(f"share_{layer}", 0.1, 0.5)
    elif model == "forest":
        trial.suggest_categorical("batch_size", [64, 128, 256])
        trial.suggest_int("trees", 10, 100, step=10)
"""
USERS = """
class Walk(optuna.samplers.BaseSampler):
    def __init__(self):
        self.sampler = optuna.samplers.RandomSampler(seed=5)

    def infer_relative_search_space(self, study, trial):
        return optuna.search_space.intersection_search_space(study.get_trials(deepcopy=False))

    def sample_relative(self, study, trial, search_space):
        return {"model": study.best_params["model"]} if trial.number % 2 and search_space else {}

    def sample_independent(self, *args):
        return self.sampler.sample_independent(*args)

def sampler():
    return Walk()
"""
SAMPLERS = {
    "users": None,
    "gp": Component("GPSampler"),
    "random": Component("RandomSampler"),
    "tpe": Component("TPESampler"),
    "tpe-univariate": Component("TPESampler", {"multivariate": False}),
    "tpe-group": Component("TPESampler", {"group": True}),
    "cma": Component("CmaEsSampler"),
    "qmc": Component("QMCSampler"),
    "nsga2": Component("NSGAIISampler"),
    "nsga3": Component("NSGAIIISampler"),
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox() as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("sampler", "workers"),
    [*((name, 8) for name in SAMPLERS), ("random", 1), ("tpe-group", 1), ("users", 1)],
)
async def test_no_trial_is_outside_the_space(
    database: Database, sandbox: Sandbox, sampler: str, workers: int
) -> None:
    if sampler == "gp" and find_spec("torch") is None:
        pytest.skip("torch is not installed")
    seen: dict[int, Mapping[str, Any]] = {}
    async with managed(database, sandbox, SAMPLERS[sampler]) as actor:
        await asyncio.gather(*(work(actor, seen) for _ in range(workers)))

    assert seen.keys() == set(range(N_TRIALS))
    assert [number for number, params in seen.items() if not is_inside(params)] == []
    assert {params["model"] for params in seen.values()} == {"net", "forest", "line"}
    runner = CodeRunner(sandbox, may_be_uncontained=True)
    replayed = await asyncio.to_thread(replay_study, database, "s", code_runner=runner)
    assert replayed.difference is None


@asynccontextmanager
async def managed(
    database: Database, sandbox: Sandbox, sampler: Component | None
) -> AsyncIterator[Actor]:
    async with open_engine(
        database, reap_every_seconds=None, code_runner=CodeRunner(sandbox, may_be_uncontained=True)
    ) as engine:
        settings = StudySettings(budget=Budget(max_trials=N_TRIALS))
        code = UserCode(SOURCE if sampler else SOURCE + USERS)
        await create_study(
            engine, new_study(space=None, sampler=sampler, user_code=code, settings=settings)
        )
        yield await engine.get_actor("s")


async def work(actor: Actor, seen: dict[int, Mapping[str, Any]]) -> None:
    while actor.trials_left:
        try:
            (trial,) = await ask(actor, Ask())
        except StudyFinished:
            return
        seen[trial.number] = trial.params
        await tell(actor, trial.number, Outcome(TrialState.COMPLETE, [score(trial.params)]))


def score(params: Mapping[str, Any]) -> float:
    return float(params.get("rate", params.get("trees", 50.0)))


def is_inside(params: Mapping[str, Any]) -> bool:
    """Whether the code could have declared exactly these."""
    rest = dict(params)
    model = rest.pop("model")
    if model == "net":
        depth = rest.pop("depth")
        is_right = 1 <= depth <= 3 and 1e-5 <= rest.pop("rate") <= 1e-1
        is_right &= rest.pop("batch_size") in (16, 32)
        for layer in range(depth):
            if rest.pop(f"drop_{layer}"):
                is_right &= 0.1 <= rest.pop(f"share_{layer}") <= 0.5
    elif model == "forest":
        is_right = rest.pop("batch_size") in (64, 128, 256)
        is_right &= rest.pop("trees") in range(10, 101, 10)
    else:
        is_right = model == "line"
    return is_right and not rest
