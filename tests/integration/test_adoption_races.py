"""A study that is being adopted has one writer at any moment, and no other study notices."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from optuna.storages import RDBStorage
from psycopg_pool import AsyncConnectionPool

from service.domain.errors import DatabaseUnavailable
from service.domain.studies import Component, Direction, Objective, StudySettings, StudySpec
from service.domain.trials import Outcome, TrialState
from service.engine.adopt import Adoption, adopt_study
from service.engine.ask import Ask, ask
from service.engine.create import create_study
from service.engine.engine import Engine
from service.engine.report import report
from service.engine.tell import tell
from service.storage.adoption import PlainStudies
from service.storage.database import Database
from tests.integration.engine_use import new_study
from tests.integration.plain_studies import MANAGED, fetch, make_plain

OF_RUNNING = "FROM trials WHERE number = 4"
PLAIN_WRITES = {
    "a new trial": (
        "INSERT INTO trials (number, study_id, state) SELECT 6, study_id, 'RUNNING' FROM studies"
    ),
    "a result": (
        "INSERT INTO trial_values (trial_id, objective, value, value_type)"
        f" SELECT trial_id, 0, 0.125, 'FINITE' {OF_RUNNING}"
    ),
    "a new report": (
        "INSERT INTO trial_intermediate_values"
        f" (trial_id, step, intermediate_value_type) SELECT trial_id, 7, 'NAN' {OF_RUNNING}"
    ),
    "a changed report": (
        "UPDATE trial_intermediate_values SET intermediate_value = 0.0625"
        f" WHERE trial_id = (SELECT trial_id {OF_RUNNING})"
    ),
    "a new parameter": (
        "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)"
        " SELECT trial_id, 'y', 0.5, distribution_json FROM trial_params"
        " JOIN trials USING (trial_id) WHERE number = 4"
    ),
    "a changed attribute of a trial": (
        "UPDATE trial_user_attributes SET value_json = '2'"
        f" WHERE trial_id = (SELECT trial_id {OF_RUNNING})"
    ),
    "a changed system attribute of a trial": (
        "UPDATE trial_system_attributes SET value_json = '2'"
        f" WHERE trial_id = (SELECT trial_id {OF_RUNNING})"
    ),
    "a state": "UPDATE trials SET state = 'FAIL' WHERE number = 4",
    "a new attribute": (
        "INSERT INTO study_user_attributes (study_id, key, value_json)"
        " SELECT study_id, 'new', '1' FROM studies"
    ),
    "a changed attribute": "UPDATE study_user_attributes SET value_json = '2'",
    "a changed system attribute": "UPDATE study_system_attributes SET value_json = '2'",
}


@pytest.fixture
def busy(storage: RDBStorage) -> Any:
    """A plain study in which there is a row to change in every table."""
    study = make_plain(storage)
    running = study.trials[4]._trial_id
    storage.set_trial_user_attr(running, "colour", "red")
    storage.set_trial_system_attr(running, "system", 1)
    storage.set_study_system_attr(study._study_id, "system", 1)
    return study


class TestMeetingAWriter:
    @pytest.mark.parametrize("write", PLAIN_WRITES)
    async def test_waits_for_what_is_being_written(
        self, database: Database, engine: Engine, busy: Any, write: str
    ) -> None:
        async with await psycopg.AsyncConnection.connect(database.plain_conninfo) as writer:
            await writer.execute(PLAIN_WRITES[write])
            adopting = asyncio.create_task(adopt_study(engine, Adoption("s")))
            await wait_until_waiting(database, adopting)
            await writer.commit()
        await adopting

        recorded = fetch(database, "SELECT trial_id, number FROM asktell.trials ORDER BY number")
        assert recorded == fetch(database, "SELECT trial_id, number FROM trials ORDER BY number")
        assert fetch(database, "SELECT running, fail FROM asktell.studies") == fetch(
            database,
            "SELECT count(*) FILTER (WHERE state = 'RUNNING'),"
            " count(*) FILTER (WHERE state = 'FAIL') FROM trials",
        )

    @pytest.mark.parametrize("write", PLAIN_WRITES)
    async def test_refuses_who_waited_for_it(
        self, database: Database, engine: Engine, busy: Any, write: str
    ) -> None:
        async with (
            await psycopg.AsyncConnection.connect(database.conninfo) as obstacle,
            await psycopg.AsyncConnection.connect(database.plain_conninfo) as writer,
        ):
            await obstacle.execute("LOCK TABLE asktell.studies IN SHARE MODE")
            adopting = asyncio.create_task(adopt_study(engine, Adoption("s")))
            await wait_until_waiting(database, adopting)
            writing = asyncio.create_task(writer.execute(PLAIN_WRITES[write]))
            await wait_until_waiting(database, adopting, writing)
            await obstacle.commit()
            await adopting

            with pytest.raises(psycopg.Error, match=MANAGED):
                await writing

    async def test_gives_up_on_who_does_not_end(
        self, database: Database, engine: Engine, busy: Any
    ) -> None:
        spec = StudySpec(
            "s",
            (Objective("value", Direction.MINIMIZE),),
            space=None,
            sampler=Component("RandomSampler"),
            pruner=None,
            seed=1,
        )
        async with (
            await psycopg.AsyncConnection.connect(database.plain_conninfo) as writer,
            AsyncConnectionPool(database.conninfo, min_size=1, kwargs={"autocommit": True}) as pool,
        ):
            await writer.execute(PLAIN_WRITES["a state"])

            with pytest.raises(DatabaseUnavailable, match="try again"):
                await PlainStudies(pool, patience_seconds=0.01).adopt(
                    busy._study_id, spec, StudySettings(), now=datetime.now(UTC)
                )

        await adopt_study(engine, Adoption("s"))

    async def test_holds_up_no_other_study(
        self, database: Database, engine: Engine, busy: Any
    ) -> None:
        await create_study(engine, new_study("other"))
        other = await engine.get_actor("other")
        async with await psycopg.AsyncConnection.connect(database.plain_conninfo) as writer:
            await writer.execute(PLAIN_WRITES["a state"])
            adopting = asyncio.create_task(adopt_study(engine, Adoption("s")))
            await wait_until_waiting(database, adopting)

            await ask(other, Ask(count=2))
            await report(other, 0, [(0, 0.5)])
            await tell(other, 0, Outcome(TrialState.COMPLETE, (0.5,)))

            assert not adopting.done()
            await writer.commit()
        await adopting


async def wait_until_waiting(database: Database, *tasks: asyncio.Task[Any]) -> None:
    """Returns once so many connections wait for a lock, and none of the tasks is done."""
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with (
        asyncio.timeout(4),
        await psycopg.AsyncConnection.connect(database.conninfo, autocommit=True) as connection,
    ):
        while True:
            assert not any(task.done() for task in tasks), "nobody had to wait"
            row = await (await connection.execute(query)).fetchone()
            if row is not None and row[0] >= len(tasks):
                return
            await asyncio.sleep(0.01)
