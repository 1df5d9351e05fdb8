"""Everything that a database holds, for comparing it before and after."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from service.storage.database import Database

Snapshot = list[tuple[str, str]]

_LIST_TABLES = """
SELECT table_schema, table_name FROM information_schema.tables
WHERE table_schema IN ('public', 'asktell') AND table_type = 'BASE TABLE'
ORDER BY table_schema, table_name
"""

_SELECT_ROWS = sql.SQL("SELECT {name}, t::text FROM {table} AS t")


class TableWatch:
    """Remembers what a database held when it was last looked at."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._query = _build_query(connection)
        self._seen = self._read()

    def assert_unchanged(self) -> None:
        """Fails if a row differs from the last look, of which this is the next one."""
        before, self._seen = self._seen, self._read()
        assert self._seen == before, sorted(set(before) ^ set(self._seen))

    def _read(self) -> Snapshot:
        return self._connection.execute(self._query).fetchall()


@contextmanager
def watch_tables(database: Database) -> Iterator[TableWatch]:
    """Watches all tables of Optuna's schema and of ours."""
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        yield TableWatch(connection)


def read_tables(database: Database) -> Snapshot:
    """Every row of those tables as text, in a fixed order."""
    with psycopg.connect(database.conninfo) as connection:
        return connection.execute(_build_query(connection)).fetchall()


def _build_query(connection: psycopg.Connection[Any]) -> sql.Composed:
    tables = connection.execute(_LIST_TABLES).fetchall()
    parts = [
        _SELECT_ROWS.format(
            name=sql.Literal(f"{schema}.{table}"), table=sql.Identifier(schema, table)
        )
        for schema, table in tables
    ]
    return sql.SQL(" UNION ALL ").join(parts) + sql.SQL(" ORDER BY 1, 2")
