"""Studies that plain Optuna made, and a look at the tables beneath."""

from datetime import UTC, datetime
from typing import Any

import optuna
import psycopg
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState as OptunaState

from service.storage.database import Database

MANAGED = "managed by Asktell"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def make_plain(storage: RDBStorage) -> Any:
    """Two results, a pruned and a failed trial, one that runs and one that is enqueued."""
    study = optuna.create_study(storage=storage, study_name="s")
    study.set_user_attr("owner", "us")
    for value in (0.25, 0.5):
        study.tell(study.ask({"x": FloatDistribution(0, 1)}), value)
    pruned = study.ask({"x": FloatDistribution(0, 1)})
    pruned.report(0.75, 3)
    study.tell(pruned, state=OptunaState.PRUNED)
    study.tell(study.ask(), state=OptunaState.FAIL)
    study.ask({"x": FloatDistribution(0, 1)}).report(0.5, 0)
    study.enqueue_trial({"x": 0.125})
    return study


def execute(database: Database, query: str) -> None:
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        connection.execute(query)


def fetch(database: Database, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.conninfo) as connection:
        return connection.execute(query).fetchall()
