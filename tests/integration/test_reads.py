"""What clients read of studies is what the engine committed."""

import math
from datetime import UTC

import optuna
import psycopg
import pytest
from optuna.storages import RDBStorage
from psycopg_pool import AsyncConnectionPool

from service.domain.errors import DatabaseUnavailable
from service.domain.studies import BestTrial, StopReason, StudyState, TrialCounts
from service.storage.database import Database
from service.storage.exports import TrialColumns, open_export
from service.storage.reads import Reads
from tests.integration.reads_use import (
    CREATED_AT,
    SETTINGS,
    build_spec,
    execute,
    make_study,
    open_reads,
)


async def test_study_is_found_with_summary_and_spec(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    study_id = make_study(storage, database, "übung 1/2 ✓")
    execute(
        database,
        "INSERT INTO public.study_user_attributes (study_id, key, value_json)"
        " SELECT study_id, attrs.* FROM public.studies, (VALUES ('owner', '\"us\"'),"
        " ('limits', '[1, null]')) AS attrs (key, value_json)",
    )
    execute(
        database,
        "UPDATE asktell.studies SET state = 'finished', stop_reason = 'target', started = 14,"
        " revision = 12, waiting = 1, running = 2,"
        " complete = 3, pruned = 4, fail = 5, best_number = 6, best_value = '-Infinity',"
        " last_activity_at = '2026-03-29 03:30:00+02'",
    )

    study = await reads.find_study("übung 1/2 ✓")

    assert study is not None
    assert study.spec == build_spec("übung 1/2 ✓")
    assert study.summary.study_id == study_id
    assert study.summary.name == "übung 1/2 ✓"
    assert study.summary.state is StudyState.FINISHED
    assert study.summary.stop_reason is StopReason.TARGET
    assert (study.summary.started, study.summary.max_trials) == (14, 50)
    assert study.settings == SETTINGS
    assert study.user_attrs == {"owner": "us", "limits": [1, None]}
    assert study.summary.objectives == study.spec.objectives
    assert study.summary.counts == TrialCounts(waiting=1, running=2, complete=3, pruned=4, fail=5)
    assert study.summary.best == BestTrial(6, -math.inf)
    assert study.summary.revision == 12
    assert study.summary.created_at == study.summary.last_activity_at == CREATED_AT
    assert study.summary.created_at.tzinfo is UTC


async def test_new_study_has_no_best_trial(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    make_study(storage, database, "new")

    (summary,) = await reads.list_studies(state=None, name_contains=None, limit=10, after=None)

    assert summary.best is None
    assert summary.counts.total == 0


async def test_study_of_plain_optuna_is_not_found(storage: RDBStorage, reads: Reads) -> None:
    optuna.create_study(storage=storage, study_name="plain")

    assert await reads.find_study("plain") is None


async def test_study_pages_follow_each_other(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    names = ["Zeta", "a/b", "alpha", "beta", "über"]
    for name in reversed(names):
        make_study(storage, database, name)

    pages: list[list[str]] = []
    while not pages or pages[-1]:
        after = pages[-1][-1] if pages else None
        page = await reads.list_studies(state=None, name_contains=None, limit=2, after=after)
        pages.append([summary.name for summary in page])

    assert pages == [["Zeta", "a/b"], ["alpha", "beta"], ["über"], []]


async def test_studies_are_filtered_by_state_and_part_of_name(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    for name in ("digits 100%", "Digits ÜBER", "letters"):
        make_study(storage, database, name)
    execute(database, "UPDATE asktell.studies SET state = 'finished' WHERE name = 'letters'")

    async def names(state: StudyState | None, name_contains: str | None) -> list[str]:
        page = await reads.list_studies(
            state=state, name_contains=name_contains, limit=9, after=None
        )
        return [summary.name for summary in page]

    assert await names(StudyState.FINISHED, None) == ["letters"]
    assert await names(StudyState.ACTIVE, "e") == ["Digits ÜBER"]
    assert await names(None, "dIGITS") == ["Digits ÜBER", "digits 100%"]
    assert await names(None, "über") == ["Digits ÜBER"]
    assert await names(None, "100%") == ["digits 100%"]
    assert await names(None, "_") == []


async def test_snapshot_shows_one_moment(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    study_id = make_study(storage, database, "s", trials=3)

    async with open_export(reads, "s") as export:
        assert export is not None
        execute(database, "DELETE FROM asktell.trials WHERE number = 1")
        execute(database, "UPDATE asktell.studies SET revision = 5")
        pages = [page async for page in export.list_pages()]
        study = await export.reads.find_study("s")
        columns = await export.list_columns()

    assert [trial.number for page in pages for trial in page] == [0, 1, 2]
    assert study == export.study
    assert columns == TrialColumns(params=(), user_attrs=(), constraints=())
    assert await reads.find_trial(study_id, 1) is None


async def test_snapshot_writes_nothing(database: Database, reads: Reads) -> None:
    async with reads.snapshot() as snapshot:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await snapshot.fetch("DELETE FROM asktell.studies", {})


async def test_lost_connection_is_database_unavailable(database: Database) -> None:
    async with open_reads(database, max_size=1) as reads:
        execute(
            database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )

        with pytest.raises(DatabaseUnavailable, match="Try again"):
            await reads.find_study("s")


async def test_exhausted_pool_is_database_unavailable(database: Database) -> None:
    async with AsyncConnectionPool(database.conninfo, min_size=1, max_size=1, timeout=0.01) as pool:
        await pool.wait()
        async with pool.connection(timeout=10):
            with pytest.raises(DatabaseUnavailable, match="Try again"):
                await Reads(pool).find_study("s")
