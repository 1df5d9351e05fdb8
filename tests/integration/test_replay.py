"""A study's suggestions follow from its seed and its recorded order, whoever did what when."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, LiteralString

import optuna
import psycopg
import pytest

from service.domain.errors import StudyNotFound, StudyOwnedElsewhere
from service.domain.studies import Budget, Component, Direction, IfExists, Objective, StudySettings
from service.domain.trials import Outcome, TrialState
from service.engine.actor import Actor
from service.engine.adopt import Adoption, adopt_study
from service.engine.ask import Ask, ask
from service.engine.create import create_study
from service.engine.engine import Engine, open_engine
from service.engine.expire import expire
from service.engine.replay import Difference, Replayed, replay_study
from service.engine.report import report
from service.engine.sampling import Sampling
from service.engine.suggest import suggest
from service.engine.tally import is_started
from service.engine.tell import tell
from service.storage.database import Database
from tests.integration.engine_use import MINIMIZE, new_study
from tests.integration.free_running import (
    CONDITIONAL,
    FINITE,
    FINITE_CONDITIONAL,
    FLAT,
    FreeRun,
)
from tests.plain_optuna import open_rdb_storage

N_TRIALS = 24
TWO = (Objective("a", Direction.MINIMIZE), Objective("b", Direction.MAXIMIZE))

SAMPLERS = {
    "random": Component("RandomSampler"),
    "tpe": Component("TPESampler", {"n_startup_trials": 4}),
    "tpe-univariate": Component("TPESampler", {"n_startup_trials": 4, "multivariate": False}),
    "tpe-group": Component("TPESampler", {"n_startup_trials": 4, "group": True}),
    "cma": Component("CmaEsSampler", {"n_startup_trials": 2, "popsize": 4}),
    "qmc": Component("QMCSampler"),
    "nsga2": Component("NSGAIISampler", {"population_size": 4}),
    "nsga3": Component("NSGAIIISampler", {"population_size": 4}),
    "brute-force": Component("BruteForceSampler"),
    "fixed": Component(
        "PartialFixedSampler",
        {
            "fixed_params": {"n": 2},
            "base_sampler": {"type": "TPESampler", "args": {"n_startup_trials": 4}},
        },
    ),
}
GRID = {"c": ["a", "b"], "n": [1, 2, 3], "x": [0.0, 0.5, 1.0], "y": [0, 1]}
ON_GRID = {"c": "b", "n": 2, "x": 0.5, "y": 1}


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of study."""

    sampler: Component
    space: dict[str, Any]
    is_declared: bool = True
    n_objectives: int = 1
    fixed: Mapping[str, Any] = field(default_factory=lambda: {"n": 2})
    has_constraints: bool = False
    pruner: Component | None = None


def _list_cases() -> dict[str, Case]:
    late_grid = Component("GridSampler", {"search_space": GRID})
    cases = {
        "grid": Case(Component("GridSampler"), FINITE, fixed=ON_GRID),
        "grid-late": Case(late_grid, FINITE, is_declared=False, fixed=ON_GRID),
        "hyperband": Case(SAMPLERS["tpe"], FLAT, pruner=Component("HyperbandPruner")),
        "tpe-constrained": Case(SAMPLERS["tpe"], FLAT, has_constraints=True),
        "nsga2-constrained": Case(SAMPLERS["nsga2"], FLAT, has_constraints=True),
    }
    for name, sampler in SAMPLERS.items():
        is_finite = name == "brute-force"
        conditional = FINITE_CONDITIONAL if is_finite else CONDITIONAL
        cases[name] = Case(sampler, FINITE if is_finite else FLAT)
        cases[f"{name}-conditional"] = Case(sampler, conditional)
        cases[f"{name}-late"] = Case(sampler, conditional, is_declared=False)
    for name in ("random", "tpe", "tpe-univariate", "nsga2", "nsga3", "qmc"):
        cases[f"{name}-two-objectives"] = Case(SAMPLERS[name], FLAT, n_objectives=2)
    return cases


CASES = _list_cases()
RESTARTED = (*SAMPLERS, *(f"{name}-late" for name in SAMPLERS), "grid", "grid-late", "hyperband")


@pytest.mark.parametrize("name", CASES)
async def test_a_free_running_study_repeats(database: Database, name: str) -> None:
    run = start(CASES[name])
    async with managed(database, CASES[name]) as actor:
        await run.go_on(actor, asks=10 * N_TRIALS)
    await check_repeats(database)


@pytest.mark.parametrize("name", RESTARTED)
async def test_so_it_does_with_a_new_engine_after_every_third_trial(
    database: Database, name: str
) -> None:
    run = start(CASES[name])
    while run.idle or not run.is_finished:
        async with managed(database, CASES[name]) as actor:
            await run.go_on(actor, asks=3)
    await check_repeats(database)


async def test_a_study_that_goes_on_meanwhile_repeats_so_far(database: Database) -> None:
    run = start(CASES["tpe-late"])
    async with managed(database, CASES["tpe-late"]) as actor:
        going_on = asyncio.create_task(run.go_on(actor, asks=10 * N_TRIALS))
        while not going_on.done():
            assert (await replay(database)).difference is None
        await going_on
    await check_repeats(database)


def start(case: Case) -> FreeRun:
    return FreeRun(
        case.space,
        case.is_declared,
        fixed=case.fixed,
        n_objectives=case.n_objectives,
        has_constraints=case.has_constraints,
    )


@asynccontextmanager
async def managed(database: Database, case: Case) -> AsyncIterator[Actor]:
    """The case's study in an engine of its own, made if it is not there."""
    async with open_engine(database, reap_every_seconds=None) as engine:
        study = new_study(
            space=case.space if case.is_declared else None,
            sampler=case.sampler,
            pruner=case.pruner,
            objectives=MINIMIZE if case.n_objectives == 1 else TWO,
            settings=StudySettings(budget=Budget(max_trials=N_TRIALS)),
            if_exists=IfExists.LOAD,
        )
        await create_study(engine, study)
        actor = await get_actor(engine)
        with ThreadPoolExecutor(1) as threads:
            # As if each draw took a second: in a thread, so that tells come in between.
            actor.sampling = Sampling(threads, clock=count().__next__)
            yield actor


async def check_repeats(database: Database) -> None:
    replayed = await replay(database)
    assert replayed.difference is None
    assert replayed.n_trials == N_TRIALS
    assert replayed.n_values > N_TRIALS


async def replay(database: Database) -> Replayed:
    return await asyncio.to_thread(replay_study, database, "s")


class TestOrder:
    async def test_parameters_chosen_between_two_of_another_trial(self, database: Database) -> None:
        sampler = Component("TPESampler", {"n_startup_trials": 1, "multivariate": False})
        async with managed(database, Case(sampler, FLAT, is_declared=False)) as actor:
            await ask(actor, Ask(count=3))
            await suggest(actor, 0, FLAT)
            await tell(actor, 0, Outcome(TrialState.COMPLETE, (1.0,)))
            await suggest(actor, 1, {"x": FLAT["x"]})
            await suggest(actor, 2, {"x": FLAT["x"], "y": FLAT["y"]})
            await suggest(actor, 1, {"y": FLAT["y"]})
            y = actor.get_trial(1).params["y"]
        assert (await replay(database)).difference is None

        # Both of trial 1 before those of trial 2, as in the order of their asks.
        change(database, "UPDATE asktell.suggestions SET seq = 9 WHERE names = ARRAY['x', 'y']")

        difference = (await replay(database)).difference
        assert difference is not None
        assert (difference.number, difference.name, difference.stored) == (1, "y", y)

    @pytest.mark.parametrize("space", [FLAT, CONDITIONAL])
    async def test_trials_asked_for_at_once_are_drawn_one_after_another(
        self, database: Database, space: dict[str, Any]
    ) -> None:
        case = Case(Component("QMCSampler"), space, is_declared=space is CONDITIONAL)
        async with managed(database, case) as actor:
            own_space = None if case.is_declared else space
            await ask(actor, Ask(count=3, params={"n": 2}, distributions=own_space))
        assert (await replay(database)).difference is None

    async def test_further_attempts_change_nothing(self, database: Database) -> None:
        now = datetime(2030, 1, 1, tzinfo=UTC)
        async with open_engine(database, clock=lambda: now, reap_every_seconds=None) as engine:
            await create_study(engine, new_study(space=None, sampler=SAMPLERS["tpe"]))
            actor = await engine.get_actor("s")
            for number in range(8):
                await ask(actor, Ask(lease_seconds=10))
                await suggest(actor, number, {"x": FLAT["x"]})
                await report(actor, number, [(5, 0.5)])
            for _ in range(2):
                now += timedelta(seconds=11)
                await expire(actor)
                await ask(actor, Ask(count=3, lease_seconds=10))
                await suggest(actor, 0, {"n": FLAT["n"]})
                await suggest(actor, 4, {"y": FLAT["y"]})
                await report(actor, 1, [(2, 0.1)])
            await tell(actor, 1, Outcome(TrialState.PRUNED))
            for number in range(8, 12):
                await ask(actor, Ask(params={"n": 1}, lease_seconds=10))
                await suggest(actor, number, FLAT)
        replayed = await replay(database)
        assert replayed == Replayed(12, n_values=8 + 2 + 4 * 3, difference=None)

    async def test_what_plain_optuna_did_is_taken_as_it_is(self, database: Database) -> None:
        with open_rdb_storage(database) as storage:
            sampler = optuna.samplers.TPESampler(seed=3, n_startup_trials=2)
            plain = optuna.create_study(study_name="s", storage=storage, sampler=sampler)
            for _ in range(6):
                trial = plain.ask()
                plain.tell(trial, trial.suggest_float("x", 0, 1))
            plain.enqueue_trial({"n": 2})
            running = storage.create_new_trial(plain._study_id)
            optuna.Trial(plain, running).suggest_float("x", 0, 1)
        async with open_engine(database, reap_every_seconds=None) as engine:
            await adopt_study(engine, Adoption("s", sampler=SAMPLERS["tpe"], seed=7))
            actor = await engine.get_actor("s")
            await ask(actor, Ask(count=2))
            for number in (7, 8, 6):
                await suggest(actor, number, FLAT)
            await tell(actor, 7, Outcome(TrialState.COMPLETE, (0.1,)))
            await ask(actor, Ask(count=2, distributions=FLAT))
        replayed = await replay(database)
        assert replayed == Replayed(4, n_values=3 + 4 + 3 + 2 * 4, difference=None)


class TestDifferences:
    @pytest.mark.parametrize("name", ["tpe", "tpe-late"])
    async def test_a_changed_parameter_is_found(self, database: Database, name: str) -> None:
        run = start(CASES[name])
        async with managed(database, CASES[name]) as actor:
            await run.go_on(actor, asks=10 * N_TRIALS)
            number = max(n for n in range(N_TRIALS) if is_started(actor.get_record(n)))
            x = actor.get_trial(number).params["x"]
        change(
            database,
            """UPDATE trial_params SET param_value = 0.123
               WHERE param_name = 'x'
                 AND trial_id = (SELECT trial_id FROM trials WHERE number = %s)""",
            number,
        )
        assert (await replay(database)).difference == Difference(number, "x", 0.123, x)

    @pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED])
    async def test_a_changed_result_shows_in_what_came_after(
        self, database: Database, state: TrialState
    ) -> None:
        async with managed(database, CASES["tpe"]) as actor:
            for number in range(9):
                await ask(actor, Ask())
                await report(actor, number, [(0, number / 10)])
                values = (number / 10,) if state is TrialState.COMPLETE else None
                await tell(actor, number, Outcome(state, values))
        assert (await replay(database)).difference is None
        change(database, "UPDATE trial_values SET value = -1 WHERE value = 0.6")
        change(
            database,
            """UPDATE trial_intermediate_values SET intermediate_value = -1
               WHERE intermediate_value = 0.6""",
        )
        difference = (await replay(database)).difference
        assert difference is not None
        assert difference.number > 6

    @pytest.mark.parametrize("name", ["tpe", "tpe-late"])
    async def test_a_missing_and_a_foreign_parameter_are_found(
        self, database: Database, name: str
    ) -> None:
        async with managed(database, CASES[name]) as actor:
            own_space = None if CASES[name].is_declared else CASES[name].space
            await ask(actor, Ask(distributions=own_space))
        change(
            database,
            """INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
               SELECT trial_id, 'foreign', 0.5, distribution_json
               FROM trial_params WHERE param_name = 'x'""",
        )
        assert (await replay(database)).difference == Difference(0, "foreign", 0.5, None)
        change(database, "DELETE FROM trial_params WHERE param_name IN ('foreign', 'x')")
        difference = (await replay(database)).difference
        assert difference is not None
        assert (difference.number, difference.name, difference.stored) == (0, "x", None)

    async def test_an_unknown_study_is_refused(self, database: Database) -> None:
        with pytest.raises(StudyNotFound, match="'s'"):
            await replay(database)


def change(database: Database, statement: LiteralString, *parameters: Any) -> None:
    """Changes what is stored, as nobody but the service may."""
    with psycopg.connect(database.conninfo) as connection:
        connection.execute(statement, parameters or None)


async def get_actor(engine: Engine) -> Actor:
    """Postgres may take a moment to end the session of the engine before, and its lock with it."""
    while True:
        try:
            return await engine.get_actor("s")
        except StudyOwnedElsewhere:
            await asyncio.sleep(0.05)
