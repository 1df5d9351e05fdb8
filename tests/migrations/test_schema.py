"""Making, migrating and judging the schema of a real database."""

import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing import get_context

import optuna
import psycopg
import pytest
import sqlalchemy

from service.domain.errors import DatabaseUnavailable
from service.storage.database import Database
from service.storage.schema import SchemaError, check, upgrade
from tests.plain_optuna import open_rdb_storage


def execute(database: Database, query: str) -> None:
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        connection.execute(query)


def table_oids(database: Database) -> list[tuple[str, int]]:
    with psycopg.connect(database.conninfo) as connection:
        return connection.execute(
            "SELECT format('%I.%I', schemaname, relname), relid FROM pg_stat_user_tables ORDER BY 1"
        ).fetchall()


def test_upgrade_makes_what_check_wants(empty_database: Database) -> None:
    upgrade(empty_database)

    check(empty_database)


def test_upgraded_database_is_one_for_plain_optuna(empty_database: Database) -> None:
    upgrade(empty_database)

    with open_rdb_storage(empty_database) as storage:
        assert storage.get_current_version() == storage.get_head_version()
        optuna.create_study(storage=storage, study_name="plain").optimize(lambda _: 1.0, n_trials=2)


def test_upgrade_again_changes_nothing(empty_database: Database) -> None:
    upgrade(empty_database)
    before = table_oids(empty_database)

    upgrade(empty_database)

    assert table_oids(empty_database) == before


def test_upgrade_prints_nothing(
    empty_database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    upgrade(empty_database)

    assert capfd.readouterr() == ("", "")


def test_four_processes_upgrade_at_once(empty_database: Database) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as processes:
        upgrades = [processes.submit(upgrade, empty_database) for _ in range(4)]
        for each in upgrades:
            each.result()

    check(empty_database)


def test_upgrade_keeps_the_studies_of_plain_optuna(empty_database: Database) -> None:
    with open_rdb_storage(empty_database) as storage:
        optuna.create_study(storage=storage, study_name="old").optimize(lambda _: 2.0, n_trials=1)

    upgrade(empty_database)

    with open_rdb_storage(empty_database) as storage:
        assert optuna.load_study(study_name="old", storage=storage).best_value == 2.0


def test_check_names_the_remedy_on_an_empty_database(empty_database: Database) -> None:
    with pytest.raises(SchemaError, match=r"Optuna are missing.*`asktell db upgrade`"):
        check(empty_database)


def test_check_names_the_remedy_on_a_database_of_plain_optuna(empty_database: Database) -> None:
    with open_rdb_storage(empty_database):
        pass

    with pytest.raises(SchemaError, match=r"Asktell are missing.*`asktell db upgrade`"):
        check(empty_database)


@pytest.fixture
def database_of_older_optuna(database: Database) -> Database:
    """As Optuna 3.0 left it: without the index that 3.2 added."""
    execute(database, "DROP INDEX public.ix_trials_study_id")
    execute(database, "UPDATE public.alembic_version SET version_num = 'v3.0.0.d'")
    return database


def test_check_refuses_tables_of_an_older_optuna(database_of_older_optuna: Database) -> None:
    with pytest.raises(SchemaError, match=r"Optuna .* are behind .*`asktell db upgrade`"):
        check(database_of_older_optuna)


def test_upgrade_migrates_tables_of_an_older_optuna(database_of_older_optuna: Database) -> None:
    upgrade(database_of_older_optuna)

    check(database_of_older_optuna)


def test_upgrade_leaves_logging_as_it_was(
    database_of_older_optuna: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = logging.getLogger("service.test_schema")
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])

    upgrade(database_of_older_optuna)

    assert root.handlers == []
    assert not ours.disabled


@pytest.mark.parametrize("schema", ["public", "asktell"])
def test_newer_schema_is_refused_untouched(database: Database, schema: str) -> None:
    execute(database, f"UPDATE {schema}.alembic_version SET version_num = 'from-tomorrow'")
    before = table_oids(database)

    with pytest.raises(SchemaError, match=r"newer (Optuna|Asktell) .*from-tomorrow"):
        check(database)
    with pytest.raises(SchemaError, match=r"newer (Optuna|Asktell) .*from-tomorrow"):
        upgrade(database)

    assert table_oids(database) == before


def test_unreachable_database_is_told_apart_from_a_wrong_schema() -> None:
    nowhere = Database("postgresql://nobody:secret@127.0.0.1:1/none")

    with pytest.raises(DatabaseUnavailable) as caught:
        check(nowhere)

    assert "secret" not in str(caught.value)


def test_role_named_like_our_schema_still_finds_optunas_tables(empty_database: Database) -> None:
    with role_named_asktell(empty_database) as database:
        upgrade(database)

        with psycopg.connect(database.plain_conninfo) as connection:
            row = connection.execute("SELECT 'studies'::regclass = 'public.studies'::regclass")
            assert row.fetchone() == (True,)
        with open_rdb_storage(database) as storage:
            optuna.create_study(storage=storage).optimize(lambda _: 1.0, n_trials=1)


@contextmanager
def role_named_asktell(database: Database) -> Iterator[Database]:
    """The database as seen by a role named asktell, which is made unless it is there anyway."""
    with closing(psycopg.connect(database.conninfo, autocommit=True)) as connection:
        if connection.info.user == "asktell":
            connection.execute("ALTER ROLE asktell RESET search_path")
            yield database
            return
        connection.execute("CREATE ROLE asktell LOGIN SUPERUSER PASSWORD 'asktell'")
        try:
            url = sqlalchemy.make_url(database.sqlalchemy_url)
            role_url = url.set(username="asktell", password="asktell")
            yield Database(role_url.render_as_string(hide_password=False))
        finally:
            connection.execute("DROP OWNED BY asktell CASCADE")
            connection.execute("DROP ROLE asktell")


def test_trial_number_cannot_repeat_within_a_study(database: Database) -> None:
    with open_rdb_storage(database) as storage:
        optuna.create_study(storage=storage).optimize(lambda _: 1.0, n_trials=2)

    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(
            database,
            "INSERT INTO asktell.trials (trial_id, study_id, number, attempt, phase) "
            "SELECT trial_id, study_id, 0, 1, 'live' FROM public.trials",
        )
