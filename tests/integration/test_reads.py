"""What clients read is what plain Optuna and the engine committed, at a steady price."""

import json
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import optuna
import psycopg
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState
from psycopg_pool import AsyncConnectionPool

from service.domain.errors import DatabaseUnavailable
from service.domain.studies import (
    BestTrial,
    Component,
    Direction,
    Objective,
    StudySpec,
    StudyState,
    TrialCounts,
)
from service.domain.trials import Decision, TrialState, TrialView
from service.storage.database import Database
from service.storage.reads import FIND_STUDY, LIST_STUDIES, LIST_TRIALS, Reads
from service.storage.specs import spec_to_document
from tests.plain_optuna import open_rdb_storage

CREATED_AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
ANY_STATE = list(TrialState)


@asynccontextmanager
async def open_reads(database: Database, **pool_options: Any) -> AsyncIterator[Reads]:
    options = {"min_size": 1, "max_size": 2, "kwargs": {"autocommit": True}} | pool_options
    async with AsyncConnectionPool(database.conninfo, **options) as pool:
        await pool.wait()
        yield Reads(pool)


@pytest.fixture
async def reads(database: Database) -> AsyncIterator[Reads]:
    async with open_reads(database) as reads:
        yield reads


@pytest.fixture
def storage(database: Database) -> Iterator[RDBStorage]:
    with open_rdb_storage(database) as storage:
        yield storage


def build_spec(name: str, *, objectives: int = 1) -> StudySpec:
    return StudySpec(
        name=name,
        objectives=tuple(Objective(f"o{i}", Direction.MAXIMIZE) for i in range(objectives)),
        space={"x": {"type": "float", "low": 0.0, "high": 1.0}},
        sampler=Component("RandomSampler"),
        pruner=None,
        seed=7,
        user_attrs={"team": "vision"},
    )


def manage(database: Database, spec: StudySpec) -> int:
    """Take a study in that plain Optuna has written, as far as reading it is concerned."""
    with psycopg.connect(database.conninfo) as connection:
        row = connection.execute(
            "INSERT INTO asktell.studies"
            " (study_id, name, spec, state, created_at, last_activity_at)"
            " SELECT study_id, study_name, %s::json, 'active', %s, %s"
            " FROM public.studies WHERE study_name = %s RETURNING study_id",
            (json.dumps(spec_to_document(spec)), CREATED_AT, CREATED_AT, spec.name),
        ).fetchone()
        assert row is not None
        connection.execute(
            "INSERT INTO asktell.trials (trial_id, study_id, number, attempt)"
            " SELECT trial_id, study_id, number, 1 FROM public.trials WHERE study_id = %s",
            row,
        )
    return int(row[0])


def execute(database: Database, query: str, params: dict[str, Any] | None = None) -> None:
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        connection.execute(query, params)


def make_study(storage: RDBStorage, database: Database, name: str, trials: int = 0) -> int:
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    for value in range(trials):
        study.add_trial(create_trial(value=float(value)))
    return manage(database, build_spec(name))


async def test_study_is_found_with_summary_and_spec(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    study_id = make_study(storage, database, "übung 1/2 ✓")
    execute(
        database,
        "UPDATE asktell.studies SET state = 'finished', revision = 12, waiting = 1, running = 2,"
        " complete = 3, pruned = 4, fail = 5, best_number = 6, best_value = '-Infinity',"
        " last_activity_at = '2026-03-29 03:30:00+02'",
    )

    study = await reads.find_study("übung 1/2 ✓")

    assert study is not None
    assert study.spec == build_spec("übung 1/2 ✓")
    assert study.summary.study_id == study_id
    assert study.summary.name == "übung 1/2 ✓"
    assert study.summary.state is StudyState.FINISHED
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


def fill_with_every_kind(storage: RDBStorage, name: str) -> list[FrozenTrial]:
    study = optuna.create_study(storage=storage, study_name=name, directions=["maximize"] * 2)
    distributions = {
        "z_float": FloatDistribution(1e-5, 0.1, log=True),
        "layers": IntDistribution(1, 9, step=2),
        "choice": CategoricalDistribution([None, True, 3, 2.5, "adam"]),
    }
    for choice, state, values in (
        (None, OptunaState.COMPLETE, [math.inf, 0.1 + 0.2]),
        (True, OptunaState.COMPLETE, [-math.inf, 1e-300]),
        (3, OptunaState.PRUNED, None),
        (2.5, OptunaState.FAIL, None),
        ("adam", OptunaState.RUNNING, None),
    ):
        study.add_trial(
            create_trial(
                state=state,
                values=values,
                params={"z_float": 0.00123, "layers": 5, "choice": choice},
                distributions=distributions,
                user_attrs={"note": {"ü": [1, None]}, "empty": ""},
                intermediate_values={3: math.nan, 1: math.inf, 2: -math.inf, 0: 0.1},
            )
        )
    study.enqueue_trial({"layers": 3})
    return study.trials


async def test_trials_read_as_optuna_reads_them(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    frozen = fill_with_every_kind(storage, "all")
    study_id = manage(database, build_spec("all", objectives=2))

    views = await reads.list_trials(study_id, states=None, limit=100, after=None)

    assert [facts_of_view(view) for view in views] == [facts_of_frozen(trial) for trial in frozen]
    assert [type(view.params.get("layers")) for view in views[:5]] == [int] * 5
    assert list(views[0].params) == ["z_float", "layers", "choice"]
    assert list(views[0].intermediate_values) == [0, 1, 2, 3]


def facts_of_view(view: TrialView) -> dict[str, Any]:
    return {
        "number": view.number,
        "state": view.state.name,
        "params": view.params,
        "values": None if view.values is None else list(view.values),
        "points": repr(sorted(view.intermediate_values.items())),
        "user_attrs": view.user_attrs,
        "started_at": view.started_at,
        "finished_at": view.finished_at,
    }


def facts_of_frozen(trial: FrozenTrial) -> dict[str, Any]:
    started, finished = trial.datetime_start, trial.datetime_complete
    return {
        "number": trial.number,
        "state": trial.state.name,
        "params": trial.params,
        "values": trial.values,
        "points": repr(sorted(trial.intermediate_values.items())),
        "user_attrs": trial.user_attrs,
        "started_at": None if started is None else started.astimezone(UTC),
        "finished_at": None if finished is None else finished.astimezone(UTC),
    }


async def test_trial_tells_what_only_the_engine_knows(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    study_id = make_study(storage, database, "s", trials=2)
    execute(
        database,
        "UPDATE asktell.trials SET attempt = 2, ask_seq = 5, tell_seq = 9, decision_step = 4,"
        " should_prune = true, reason = 'out of memory' WHERE number = 1",
    )

    trial = await reads.find_trial(study_id, 1)

    assert trial is not None
    assert (trial.attempt, trial.ask_seq, trial.tell_seq) == (2, 5, 9)
    assert trial.decision == Decision(should_prune=True, step=4)
    assert trial.reason == "out of memory"


async def test_trial_without_engine_data_has_no_decision(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    study_id = make_study(storage, database, "s", trials=1)

    trial = await reads.find_trial(study_id, 0)

    assert trial is not None
    assert trial.decision == Decision(should_prune=False, step=None)
    assert (trial.ask_seq, trial.tell_seq, trial.reason) == (None, None, None)
    assert trial.started_at is not None
    assert trial.started_at.utcoffset() == timedelta(0)


async def test_trial_pages_follow_each_other(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    study_id = make_study(storage, database, "s", trials=5)
    make_study(storage, database, "other", trials=3)

    async def numbers(after: int | None) -> list[int]:
        page = await reads.list_trials(study_id, states=None, limit=2, after=after)
        return [trial.number for trial in page]

    assert await numbers(None) == [0, 1]
    assert await numbers(1) == [2, 3]
    assert await numbers(3) == [4]
    assert await numbers(4) == []


async def test_trials_are_filtered_by_state(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    fill_with_every_kind(storage, "all")
    study_id = manage(database, build_spec("all", objectives=2))

    async def numbers(*states: TrialState) -> list[int]:
        page = await reads.list_trials(study_id, states=states, limit=9, after=None)
        return [trial.number for trial in page]

    assert await numbers(TrialState.COMPLETE) == [0, 1]
    assert await numbers(TrialState.FAIL, TrialState.PRUNED) == [2, 3]
    assert await numbers(TrialState.WAITING) == [5]
    assert await numbers() == []


async def test_trial_number_that_does_not_exist_is_not_found(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    study_id = make_study(storage, database, "s", trials=3)

    for number in (-1, 3, 2**31, 2**63, 10**30):
        assert await reads.find_trial(study_id, number) is None, number


async def test_trial_that_only_optuna_knows_disturbs_nothing(
    database: Database, storage: RDBStorage, reads: Reads
) -> None:
    study_id = make_study(storage, database, "s", trials=3)
    execute(database, "DELETE FROM asktell.trials WHERE number = 1")

    page = await reads.list_trials(study_id, states=None, limit=9, after=None)

    assert [trial.number for trial in page] == [0, 2]
    assert await reads.find_trial(study_id, 1) is None


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


class CountingCursor(psycopg.AsyncCursor[Any]):
    """Counts what is sent to the database."""

    statements: ClassVar[int] = 0

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        type(self).statements += 1
        return await super().execute(*args, **kwargs)


async def test_each_read_is_one_statement(
    database: Database, storage: RDBStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_id = make_study(storage, database, "s", trials=20)
    make_study(storage, database, "t")
    options = {"autocommit": True, "cursor_factory": CountingCursor}
    monkeypatch.setattr(CountingCursor, "statements", 0)

    async with open_reads(database, kwargs=options) as reads:
        await reads.list_studies(state=None, name_contains=None, limit=9, after=None)
        assert CountingCursor.statements == 1
        await reads.find_study("s")
        assert CountingCursor.statements == 2
        await reads.list_trials(study_id, states=None, limit=20, after=None)
        assert CountingCursor.statements == 3
        await reads.find_trial(study_id, 7)
        assert CountingCursor.statements == 4


LOAD_MANY = """
SET session_replication_role = replica;
INSERT INTO public.studies (study_id, study_name)
    SELECT s, 'study ' || s FROM generate_series(1, 1000) AS s;
INSERT INTO asktell.studies (study_id, name, spec, state, created_at, last_activity_at)
    SELECT study_id, study_name, '{}', 'active', now(), now() FROM public.studies;
INSERT INTO public.trials (trial_id, number, study_id, state)
    SELECT t, (t - 1) / 1000, 1 + (t - 1) % 1000, 'COMPLETE' FROM generate_series(1, 100000) AS t;
INSERT INTO asktell.trials (trial_id, study_id, number, attempt)
    SELECT trial_id, study_id, number, 1 FROM public.trials;
INSERT INTO public.trial_params (trial_id, param_name, param_value, distribution_json)
    SELECT trial_id, 'x', 0.5, '{}' FROM public.trials WHERE number BETWEEN 40 AND 59;
INSERT INTO public.trial_values (trial_id, objective, value, value_type)
    SELECT trial_id, 0, 0.5, 'FINITE' FROM public.trials WHERE number BETWEEN 40 AND 59;
INSERT INTO public.trial_intermediate_values
    (trial_id, step, intermediate_value, intermediate_value_type)
    SELECT trial_id, 0, 0.5, 'FINITE' FROM public.trials WHERE number BETWEEN 40 AND 59;
INSERT INTO public.trial_user_attributes (trial_id, key, value_json)
    SELECT trial_id, 'note', '1' FROM public.trials WHERE number BETWEEN 40 AND 59;
SET session_replication_role = origin;
ANALYZE;
"""

PAGE_OF_STUDIES = {"after": "study 5", "states": ["active"], "name_contains": "", "limit": 50}
PAGE_OF_TRIALS = {"study_id": 500, "after": 40, "states": ANY_STATE, "limit": 20}
ONE_TRIAL = {"study_id": 500, "after": 98, "states": ANY_STATE, "limit": 1}


def test_hot_queries_use_their_indexes(database: Database) -> None:
    execute(database, LOAD_MANY)
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        studies = Plan(connection, LIST_STUDIES, PAGE_OF_STUDIES)
        study = Plan(connection, FIND_STUDY, {"name": "study 7"})
        trials = Plan(connection, LIST_TRIALS, PAGE_OF_TRIALS)
        trial = Plan(connection, LIST_TRIALS, ONE_TRIAL)

    assert studies.indexes == study.indexes == {"studies_name_key"}
    assert (
        trials.indexes
        == trial.indexes
        == {
            "trials_study_id_number_key",
            "trials_pkey",
            "trial_params_trial_id_param_name_key",
            "trial_values_trial_id_objective_key",
            "trial_intermediate_values_trial_id_step_key",
            "trial_user_attributes_trial_id_key_key",
        }
    )
    for plan in (studies, study, trials, trial):
        assert not plan.scans_whole_tables
        assert plan.most_rows <= 50


class Plan:
    """How Postgres ran a query: each node with what it read."""

    def __init__(self, connection: psycopg.Connection, query: str, params: dict[str, Any]) -> None:
        row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", params).fetchone()
        assert row is not None
        self._nodes = list(self._walk(row[0][0]["Plan"]))

    def _walk(self, node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield node
        for child in node.get("Plans", ()):
            yield from self._walk(child)

    @property
    def indexes(self) -> set[str]:
        return {node["Index Name"] for node in self._nodes if "Index Name" in node}

    @property
    def scans_whole_tables(self) -> bool:
        return any(node["Node Type"] == "Seq Scan" for node in self._nodes)

    @property
    def most_rows(self) -> float:
        return max(node["Actual Rows"] * node["Actual Loops"] for node in self._nodes)
