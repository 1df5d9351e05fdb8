"""A study that is handed back is one of plain Optuna's, with nothing left running."""

from collections.abc import AsyncIterator
from datetime import timedelta

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState as OptunaState

from service.domain.errors import StudyInUse, StudyNotFound
from service.domain.studies import StudySettings
from service.domain.trials import AttemptPhase, Outcome, TrialState
from service.engine.adopt import Adoption, adopt_study
from service.engine.ask import Ask, ask
from service.engine.create import create_study
from service.engine.engine import Engine, open_engine
from service.engine.enqueue import EnqueuedTrial, enqueue
from service.engine.expire import expire
from service.engine.release import release_study
from service.engine.tell import tell
from service.storage.database import Database
from tests.integration.engine_use import new_study
from tests.integration.plain_studies import Clock, execute, fetch, make_plain
from tests.integration.table_contents import read_tables


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def engine(database: Database, clock: Clock) -> AsyncIterator[Engine]:
    async with open_engine(database, clock=clock, reap_every_seconds=None) as opened:
        yield opened


class TestReleasing:
    async def test_leaves_a_study_like_any_other(
        self, database: Database, engine: Engine, storage: RDBStorage
    ) -> None:
        await create_study(engine, new_study(user_attrs={"owner": "us"}))
        actor = await engine.get_actor("s")
        await ask(actor, Ask(idempotency_key="k", count=2))
        await tell(actor, 0, Outcome(TrialState.COMPLETE, (0.5,), constraints={"size": -1.0}))
        await tell(actor, 1, Outcome(TrialState.FAIL))
        await enqueue(actor, [EnqueuedTrial({"x": 0.125})])

        assert await release_study(engine, "s") == ()

        with pytest.raises(StudyNotFound):
            await engine.get_actor("s")
        assert await engine.reads.find_study("s") is None
        for table, rows in read_tables(database).items():
            assert not rows or table.startswith("public.") or table.endswith("alembic_version")
        study = optuna.load_study(study_name="s", storage=storage)
        assert study.user_attrs == {"owner": "us"}
        assert study.best_value == 0.5
        trial = study.ask()
        assert (trial.number, trial.suggest_float("x", 0, 1)) == (2, 0.125)
        study.tell(trial, 0.25)
        assert study.ask().number == 3
        assert study.best_trial.number == 2

    async def test_is_refused_while_attempts_are_live(
        self, database: Database, engine: Engine
    ) -> None:
        await create_study(engine, new_study())
        actor = await engine.get_actor("s")
        await ask(actor, Ask(count=2))
        before = read_tables(database)

        with pytest.raises(StudyInUse, match="2 attempt"):
            await release_study(engine, "s")

        assert read_tables(database) == before
        assert await engine.get_actor("s") is actor
        await tell(actor, 0, Outcome(TrialState.COMPLETE, (0.5,)))

    async def test_fails_what_runs_if_forced(
        self, engine: Engine, storage: RDBStorage, clock: Clock
    ) -> None:
        await create_study(engine, new_study())
        actor = await engine.get_actor("s")
        await ask(actor, Ask(count=3))
        await tell(actor, 1, Outcome(TrialState.COMPLETE, (0.5,)))
        clock.now += timedelta(seconds=5)

        assert await release_study(engine, "s", force=True) == (0, 2)

        trials = optuna.load_study(study_name="s", storage=storage).trials
        assert [trial.state.name for trial in trials] == ["FAIL", "COMPLETE", "FAIL"]
        assert trials[0].datetime_complete == clock.now.replace(tzinfo=None)
        with pytest.raises(StudyNotFound):
            await tell(await engine.get_actor("s"), 0, Outcome(TrialState.FAIL))

    async def test_fails_what_waits_for_a_further_attempt(
        self, engine: Engine, storage: RDBStorage, clock: Clock
    ) -> None:
        await create_study(engine, new_study(settings=StudySettings(lease_seconds=60)))
        actor = await engine.get_actor("s")
        await ask(actor, Ask())
        clock.now += timedelta(seconds=61)
        await expire(actor)
        assert actor.get_record(0).phase is AttemptPhase.QUEUED

        assert await release_study(engine, "s") == (0,)

        (trial,) = optuna.load_study(study_name="s", storage=storage).trials
        assert trial.state is OptunaState.FAIL

    async def test_removes_notes_but_the_names_of_constraints(
        self, database: Database, engine: Engine
    ) -> None:
        await create_study(engine, new_study())
        actor = await engine.get_actor("s")
        await ask(actor, Ask())
        await tell(actor, 0, Outcome(TrialState.COMPLETE, (0.5,), constraints={"size": -1.0}))
        for owner in ("trial", "study"):
            execute(
                database,
                f"INSERT INTO {owner}_system_attributes ({owner}_id, key, value_json)"
                f" SELECT {owner}_id, 'asktell:{owner}', '1'"
                " FROM studies JOIN trials USING (study_id)",
            )
        notes = (
            "SELECT key FROM trial_system_attributes WHERE starts_with(key, 'asktell:') UNION"
            " SELECT key FROM study_system_attributes WHERE starts_with(key, 'asktell:')"
        )

        await release_study(engine, "s")

        assert fetch(database, notes) == [("asktell:constraint_names",)]

    async def test_study_that_nobody_has(self, engine: Engine, storage: RDBStorage) -> None:
        make_plain(storage)

        for name in ("s", "nobody"):
            with pytest.raises(StudyNotFound):
                await release_study(engine, name)

    async def test_may_be_undone(self, engine: Engine, storage: RDBStorage) -> None:
        make_plain(storage)
        await adopt_study(engine, Adoption("s"))
        assert await release_study(engine, "s", force=True) == (4,)
        optuna.load_study(study_name="s", storage=storage).ask()

        await adopt_study(engine, Adoption("s"))

        (asked,) = await ask(await engine.get_actor("s"), Ask())
        assert asked.number == 6
