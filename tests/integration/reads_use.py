"""Studies to be read, written by plain Optuna and marked as ours."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import optuna
import psycopg
from optuna.storages import RDBStorage
from optuna.trial import create_trial
from psycopg_pool import AsyncConnectionPool

from service.domain.studies import Budget, Component, Direction, Objective, StudySettings, StudySpec
from service.domain.trials import TrialState
from service.storage.database import Database
from service.storage.reads import Reads
from service.storage.specs import settings_to_document, spec_to_document

CREATED_AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
SETTINGS = StudySettings(budget=Budget(max_trials=50), parallelism=3, lease_seconds=None)
ANY_STATE = list(TrialState)


@asynccontextmanager
async def open_reads(database: Database, **pool_options: Any) -> AsyncIterator[Reads]:
    options = {"min_size": 1, "max_size": 2, "kwargs": {"autocommit": True}} | pool_options
    async with AsyncConnectionPool(database.conninfo, **options) as pool:
        await pool.wait()
        yield Reads(pool)


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
            " (study_id, name, spec, settings, state, created_at, last_activity_at)"
            " SELECT study_id, study_name, %s::json, %s::json, 'active', %s, %s"
            " FROM public.studies WHERE study_name = %s RETURNING study_id",
            (
                json.dumps(spec_to_document(spec)),
                json.dumps(settings_to_document(SETTINGS)),
                CREATED_AT,
                CREATED_AT,
                spec.name,
            ),
        ).fetchone()
        assert row is not None
        connection.execute(
            "INSERT INTO asktell.trials (trial_id, study_id, number, attempt, phase)"
            " SELECT trial_id, study_id, number, 1, 'ended' FROM public.trials WHERE study_id = %s",
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
