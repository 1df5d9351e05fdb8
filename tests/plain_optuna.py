"""Optuna by itself, as somebody uses it on the database that the service writes."""

from collections.abc import Iterator
from contextlib import contextmanager

from optuna.storages import RDBStorage

from service.storage.database import Database


@contextmanager
def open_rdb_storage(database: Database) -> Iterator[RDBStorage]:
    """Optuna's own storage; a study loaded from it caches finished trials while it lives."""
    storage = RDBStorage(database.sqlalchemy_url)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()
