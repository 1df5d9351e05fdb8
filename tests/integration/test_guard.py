"""Plain Optuna cannot write to a managed study, and notices nothing anywhere else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import optuna
import psycopg
import pytest
import sqlalchemy
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import Trial, TrialState, create_trial
from sqlalchemy.exc import IntegrityError

from service.storage.database import Database

SENTENCE = "Study 'managed' is managed by Asktell: write to it through Asktell's HTTP API."

TABLES = (
    "studies",
    "study_directions",
    "study_user_attributes",
    "study_system_attributes",
    "trials",
    "trial_params",
    "trial_values",
    "trial_intermediate_values",
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_heartbeats",
)

# What adds a row to each table; the rows of `managed` exist already, these come on top.
INSERTS = {
    "study_directions": "(direction, study_id, objective) SELECT 'MINIMIZE', study_id, 7",
    "study_user_attributes": "(study_id, key, value_json) SELECT study_id, 'new', '1'",
    "study_system_attributes": "(study_id, key, value_json) SELECT study_id, 'new', '1'",
    "trials": "(number, study_id, state) SELECT 99, study_id, 'RUNNING'",
    "trial_params": "(trial_id, param_name) SELECT trial_id, 'new'",
    "trial_values": "(trial_id, objective, value_type) SELECT trial_id, 7, 'INF_POS'",
    "trial_intermediate_values": (
        "(trial_id, step, intermediate_value_type) SELECT trial_id, 7, 'NAN'"
    ),
    "trial_user_attributes": "(trial_id, key, value_json) SELECT trial_id, 'new', '1'",
    "trial_system_attributes": "(trial_id, key, value_json) SELECT trial_id, 'new', '1'",
    "trial_heartbeats": "(trial_id, heartbeat) SELECT trial_id, now()",
}
OF_RUNNING_TRIAL = (
    " FROM public.studies JOIN public.trials USING (study_id)"
    " WHERE study_name = 'managed' AND number = 1"
)


@contextmanager
def open_storage(url: str) -> Iterator[RDBStorage]:
    storage = RDBStorage(url)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


@pytest.fixture
def storage(database: Database) -> Iterator[RDBStorage]:
    """Plain Optuna on a database with a study `managed` by us and one that is `plain`."""
    with open_storage(database.sqlalchemy_url) as storage:
        fill_study(storage, "managed")
        fill_study(storage, "plain")
        manage(database, "managed")
        yield storage


def fill_study(storage: RDBStorage, name: str) -> None:
    """A row in every table: trial 0 is complete with a heartbeat, trial 1 is running."""
    study = optuna.create_study(storage=storage, study_name=name)
    study.set_user_attr("owner", "us")
    storage.set_study_system_attr(study._study_id, "system", 1)
    first = study.ask({"x": FloatDistribution(0, 1)})
    first.report(0.5, 0)
    first.set_user_attr("colour", "red")
    storage.set_trial_system_attr(first._trial_id, "system", 1)
    storage.record_heartbeat(first._trial_id)
    study.tell(first, 0.5)
    study.ask()


def manage(database: Database, name: str) -> None:
    with psycopg.connect(database.conninfo) as connection:
        connection.execute(
            "INSERT INTO asktell.studies"
            " (study_id, name, spec, settings, state, created_at, last_activity_at)"
            " SELECT study_id, study_name, '{}', '{}', 'active', now(), now()"
            " FROM public.studies WHERE study_name = %s",
            (name,),
        )
        connection.execute(
            "INSERT INTO asktell.trials (trial_id, study_id, number, attempt, phase)"
            " SELECT trial_id, study_id, number, 1, 'live' FROM public.trials"
            " JOIN asktell.studies USING (study_id) WHERE name = %s",
            (name,),
        )


def contents(database: Database) -> dict[str, Any]:
    with psycopg.connect(database.conninfo) as connection:
        return {
            table: connection.execute(f"SELECT * FROM public.{table} ORDER BY 1").fetchall()
            for table in TABLES
        }


def spoken(error: BaseException | None) -> str:
    """Everything that a traceback would show of an error and what caused it."""
    return "" if error is None else f"{error}\n{spoken(error.__cause__ or error.__context__)}"


def running_trial(study: optuna.Study) -> Trial:
    return Trial(study, study.trials[1]._trial_id)


FOREIGN_WRITES: dict[str, Callable[[optuna.Study], object]] = {
    "ask": lambda study: study.ask(),
    "enqueue": lambda study: study.enqueue_trial({"x": 0.5}),
    "add": lambda study: study.add_trial(create_trial(value=1.0)),
    "suggest": lambda study: running_trial(study).suggest_float("x", 0, 1),
    "report": lambda study: running_trial(study).report(0.1, 1),
    "report again": lambda study: study._storage.set_trial_intermediate_value(
        study.trials[1]._trial_id, 0, 0.1
    ),
    "tell": lambda study: study.tell(1, 0.1),
    "fail": lambda study: study.tell(1, state=TrialState.FAIL),
    "trial attribute": lambda study: running_trial(study).set_user_attr("colour", "blue"),
    "trial system attribute": lambda study: study._storage.set_trial_system_attr(
        study.trials[1]._trial_id, "system", 2
    ),
    "new study attribute": lambda study: study.set_user_attr("colour", "blue"),
    "known study attribute": lambda study: study.set_user_attr("owner", "them"),
    "heartbeat": lambda study: study._storage.record_heartbeat(study.trials[1]._trial_id),
    "delete": lambda study: optuna.delete_study(
        study_name=study.study_name, storage=study._storage
    ),
}


def test_plain_optuna_is_refused_with_the_sentence(
    database: Database, storage: RDBStorage, subtests: pytest.Subtests
) -> None:
    study = optuna.load_study(study_name="managed", storage=storage)
    before = contents(database)

    for name, write in FOREIGN_WRITES.items():
        with subtests.test(name):
            with pytest.raises(Exception) as caught:
                write(study)
            assert SENTENCE in spoken(caught.value)
            assert contents(database) == before


def test_study_of_plain_optuna_is_left_alone(
    database: Database, storage: RDBStorage, subtests: pytest.Subtests
) -> None:
    for name, write in FOREIGN_WRITES.items():
        with subtests.test(name):
            fill_study(storage, name)
            before = contents(database)
            write(optuna.load_study(study_name=name, storage=storage))
            assert contents(database) != before


def test_new_trial_is_refused_without_optunas_retries(storage: RDBStorage) -> None:
    """Optuna sleeps between five tries of anything but an integrity error."""
    study = optuna.load_study(study_name="managed", storage=storage)

    for name in ("ask", "enqueue", "add"):
        with pytest.raises(IntegrityError):
            FOREIGN_WRITES[name](study)


def test_plain_optuna_reads_a_managed_study(storage: RDBStorage) -> None:
    study = optuna.load_study(study_name="managed", storage=storage)

    assert study.best_params == study.trials[0].params
    assert study.user_attrs == {"owner": "us"}


def refuses(database: Database, statement: str) -> bool:
    """Whether the sentence is all that a foreign client gets for its statement."""
    before = contents(database)
    with psycopg.connect(database.plain_conninfo) as connection, pytest.raises(psycopg.Error) as e:
        connection.execute(statement)
    return SENTENCE in str(e.value) and contents(database) == before


def test_inserts_are_refused(database: Database, storage: RDBStorage) -> None:
    for table, insert in INSERTS.items():
        assert refuses(database, f"INSERT INTO public.{table} {insert} {OF_RUNNING_TRIAL}"), table


def test_updates_are_refused(database: Database, storage: RDBStorage) -> None:
    for table in TABLES:
        key = "study_name" if table == "studies" else column_names(database, table)[0]
        assert refuses(database, f"UPDATE public.{table} SET {key} = {key}"), table


def test_truncates_are_refused(database: Database, storage: RDBStorage) -> None:
    for table in TABLES:
        assert refuses(database, f"TRUNCATE public.{table} CASCADE"), table


def test_deletes_are_refused(database: Database, storage: RDBStorage) -> None:
    """Children first: as long as they are there, Optuna's foreign keys refuse anyway."""
    for table in reversed(TABLES):
        assert refuses(database, f"DELETE FROM public.{table}"), table
        with psycopg.connect(database.conninfo) as engine:
            engine.execute(f"DELETE FROM public.{table}")


def column_names(database: Database, table: str) -> list[str]:
    with psycopg.connect(database.conninfo) as connection:
        cursor = connection.execute(f"SELECT * FROM public.{table} LIMIT 0")
        return [column.name for column in cursor.description or ()]


def test_row_cannot_be_moved_into_a_managed_study(database: Database, storage: RDBStorage) -> None:
    assert refuses(
        database,
        "UPDATE public.trials SET study_id = managed.study_id"
        " FROM public.studies AS managed, public.studies AS plain"
        " WHERE managed.study_name = 'managed' AND plain.study_name = 'plain'"
        " AND trials.study_id = plain.study_id",
    )


def test_ended_engine_setting_lets_nothing_through(database: Database, storage: RDBStorage) -> None:
    with psycopg.connect(database.plain_conninfo) as connection:
        connection.execute("SET LOCAL asktell.engine = '1'")
        connection.commit()

        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("UPDATE public.trials SET number = number")


def test_engine_writes_and_deletes_a_managed_study(database: Database, storage: RDBStorage) -> None:
    with psycopg.connect(database.conninfo) as connection:
        for table, insert in INSERTS.items():
            connection.execute(f"INSERT INTO public.{table} {insert} {OF_RUNNING_TRIAL}")
        for table in reversed(TABLES):
            connection.execute(f"DELETE FROM public.{table}")
        left = connection.execute(
            "SELECT (SELECT count(*) FROM asktell.studies), (SELECT count(*) FROM asktell.trials)"
        ).fetchone()

    assert left == (0, 0)


@pytest.fixture
def clerk_storage(database: Database, storage: RDBStorage) -> Iterator[RDBStorage]:
    """Plain Optuna as a role that owns nothing and cannot see schema asktell."""
    with psycopg.connect(database.conninfo, autocommit=True) as owner:
        owner.execute("CREATE ROLE clerk LOGIN PASSWORD 'clerk'")
        owner.execute(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk"
        )
        owner.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO clerk")
        try:
            url = sqlalchemy.make_url(database.sqlalchemy_url)
            clerk_url = url.set(username="clerk", password="clerk")
            with open_storage(clerk_url.render_as_string(hide_password=False)) as clerk_storage:
                yield clerk_storage
        finally:
            owner.execute("DROP OWNED BY clerk")
            owner.execute("DROP ROLE clerk")


def test_role_without_rights_on_our_schema_works_on_plain_studies(
    clerk_storage: RDBStorage,
) -> None:
    fill_study(clerk_storage, "by the clerk")
    optuna.load_study(study_name="plain", storage=clerk_storage).tell(1, 0.1)
    optuna.delete_study(study_name="by the clerk", storage=clerk_storage)

    assert [each.study_name for each in clerk_storage.get_all_studies()] == ["managed", "plain"]


def test_role_without_rights_on_our_schema_is_refused_with_the_sentence(
    clerk_storage: RDBStorage,
) -> None:
    study = optuna.load_study(study_name="managed", storage=clerk_storage)

    with pytest.raises(optuna.exceptions.StorageInternalError) as caught:
        study.tell(1, 0.1)

    assert SENTENCE in spoken(caught.value)
