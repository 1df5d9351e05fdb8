"""Replaying a study that plain Optuna began."""

import asyncio

import optuna
import pytest

from service.domain.studies import Component
from service.domain.trials import Outcome, TrialState
from service.engine.adopt import Adoption, adopt_study
from service.engine.ask import Ask, ask
from service.engine.engine import Engine
from service.engine.replay import replay_study
from service.engine.suggest import suggest
from service.engine.tell import tell
from service.samplers.construct import prepare
from service.storage.database import Database
from tests.plain_optuna import open_rdb_storage

RANGE = {"type": "float", "low": 0.0, "high": 1.0}


def make_plain(database: Database, sampler: optuna.samplers.BaseSampler) -> int:
    """Some results, and a trial that still runs; returns its number."""
    with open_rdb_storage(database) as storage:
        study = optuna.create_study(storage=storage, study_name="plain", sampler=sampler)
        for _ in range(12):
            trial = study.ask()
            x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
            study.tell(trial, (x - 0.3) ** 2 + y)
        running = study.ask()
        running.suggest_float("x", 0, 1)
        return running.number


@pytest.mark.parametrize("is_told", [True, False])
@pytest.mark.parametrize(
    "sampler",
    [
        Component("TPESampler", {"multivariate": True, "constant_liar": True}),
        Component("QMCSampler"),
        Component("NSGAIISampler", {"population_size": 4}),
    ],
    ids=["tpe", "qmc", "nsga2"],
)
async def test_what_was_there_before_is_where_it_begins(
    engine: Engine, database: Database, sampler: Component, is_told: bool
) -> None:
    running = await asyncio.to_thread(make_plain, database, prepare(sampler, base_seed=1)())
    await adopt_study(engine, Adoption("plain", sampler=sampler, seed=3))
    actor = await engine.get_actor("plain")
    for value in (0.02, 0.01, 0.03):
        (trial,) = await ask(actor, Ask())
        await suggest(actor, trial.number, {"x": RANGE, "y": RANGE})
        await tell(actor, trial.number, Outcome(TrialState.COMPLETE, (value,)))
    await suggest(actor, running, {"y": RANGE})
    if is_told:
        await tell(actor, running, Outcome(TrialState.COMPLETE, (0.5,)))
    replayed = await asyncio.to_thread(replay_study, database, "plain")
    assert replayed.difference is None
    assert replayed.n_trials == 3
    assert replayed.n_values == 7
