"""Faults injected below the engine: who is told what, and who notices nothing."""

import asyncio
from pathlib import Path

import optuna
import psycopg
import pytest
from psycopg import sql

from service.domain.errors import (
    DatabaseUnavailable,
    StudyOwnedElsewhere,
    StudyReloading,
    TrialNotRunning,
    WriteFailed,
)
from service.domain.trials import Outcome, TrialState
from service.engine.ask import Ask, ask
from service.engine.create import create_study
from service.engine.engine import Engine, open_engine
from service.engine.report import report
from service.engine.tell import tell
from service.storage.database import Database
from service.storage.journal import StoredReply
from tests.integration.engine_use import ask_once, eventually, new_study


class TestFaults:
    async def test_a_refused_row_fails_its_operation_alone(
        self, engine: Engine, database: Database
    ) -> None:
        for name in ("good", "bad"):
            await create_study(engine, new_study(name))
            await ask(await engine.get_actor(name), Ask(count=3))
        refuse_reports_of(database, 666.0)
        good = await engine.get_actor("good")
        # Often enough for the driver to have prepared every statement.
        for step in range(12):
            bad = await engine.get_actor("bad")
            results = await asyncio.gather(
                report(good, 0, [(step, 1.0)]),
                report(bad, 0, [(step, 1.0)]),
                report(bad, 1, [(step, 666.0)]),
                report(bad, 2, [(step, 1.0)]),
                report(good, 1, [(step, 1.0)]),
                return_exceptions=True,
            )
            kinds = [type(result).__name__ for result in results]
            assert kinds == ["Decision", "Decision", "WriteFailed", "StudyReloading", "Decision"]
        assert (await ask(good, Ask()))[0].number == 3
        view = await engine.reads.find_trial(bad.study_id, 1)
        assert view is not None
        assert not view.intermediate_values

    async def test_a_defect_in_what_is_written_stays_with_its_study(self, engine: Engine) -> None:
        for name in ("good", "bad"):
            await create_study(engine, new_study(name))
        good, bad = await engine.get_actor("good"), await engine.get_actor("bad")
        draft = bad.begin()
        # No answer of a use case is a set; JSON has none.
        draft.replies.append(StoredReply("ask", "key", b"", {1}, bad.clock()))
        spoilt, sound = await asyncio.gather(
            bad.accept(draft), ask(good, Ask()), return_exceptions=True
        )
        assert isinstance(spoilt, WriteFailed)
        assert not isinstance(sound, BaseException)
        assert (await ask(good, Ask()))[0].number == 1

    async def test_a_study_that_somebody_else_changed_is_read_again(
        self, engine: Engine, database: Database
    ) -> None:
        for name in ("good", "bad"):
            await create_study(engine, new_study(name))
        good, bad = await engine.get_actor("good"), await engine.get_actor("bad")
        _spoil_revision(database, bad.study_id)
        results = await asyncio.gather(
            *(ask(actor, Ask()) for _ in range(8) for actor in (good, bad)),
            return_exceptions=True,
        )
        assert [trials[0].number for trials in results[0::2]] == list(range(8))
        assert all(isinstance(result, StudyReloading) for result in results[1::2])
        assert (await ask_once(engine, "bad"))[0].number == 0

    async def test_a_study_has_one_owner(self, database: Database) -> None:
        async with open_engine(database) as second:
            async with open_engine(database) as first:
                await create_study(first, new_study())
                await ask(await first.get_actor("s"), Ask())
                with pytest.raises(StudyOwnedElsewhere):
                    await second.get_actor("s")
            actor = await eventually(lambda: second.get_actor("s"))
            assert (await ask(actor, Ask()))[0].number == 1

    async def test_losing_the_connection_is_told_and_healed(
        self, engine: Engine, database: Database
    ) -> None:
        await create_study(engine, new_study())
        actor = await engine.get_actor("s")
        await ask(actor, Ask())
        _terminate_everybody(database)
        with pytest.raises(DatabaseUnavailable):
            await ask(actor, Ask())

        assert (await eventually(lambda: ask_once(engine, "s")))[0].number == 1

    async def test_starts_without_a_database(self, tmp_path: Path) -> None:
        nowhere = Database(f"postgresql://nobody@/nowhere?host={tmp_path}")
        async with open_engine(nowhere) as engine:
            with pytest.raises(DatabaseUnavailable):
                await engine.get_actor("s")

    async def test_a_trial_that_ends_while_it_gets_parameters(self, engine: Engine) -> None:
        await create_study(engine, new_study(space=None))
        actor = await engine.get_actor("s")
        await ask(actor, Ask())
        draft = actor.begin()
        optuna.Trial(draft.study, actor.get_trial(0)._trial_id).suggest_float("x", 0, 1)
        await tell(actor, 0, Outcome(TrialState.FAIL))
        with pytest.raises(TrialNotRunning):
            actor.accept(draft)
        view = await engine.reads.find_trial(actor.study_id, 0)
        assert view is not None
        assert not view.params


def refuse_reports_of(database: Database, value: float) -> None:
    """Makes Postgres refuse a row that the engine thinks is good."""
    with psycopg.connect(database.conninfo) as connection:
        connection.execute(
            sql.SQL(
                "ALTER TABLE trial_intermediate_values ADD CHECK (intermediate_value <> {})"
            ).format(value)
        )


def _spoil_revision(database: Database, study_id: int) -> None:
    with psycopg.connect(database.conninfo) as connection:
        connection.execute(
            "UPDATE asktell.studies SET revision = revision + 1000 WHERE study_id = %s",
            (study_id,),
        )


def _terminate_everybody(database: Database) -> None:
    with psycopg.connect(database.conninfo) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
