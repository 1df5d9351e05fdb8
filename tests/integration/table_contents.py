"""All that a database holds, to show that nothing, or only the expected, has changed."""

from typing import Any

import psycopg
from psycopg import sql

from service.storage.database import Database

LIST_TABLES = """
SELECT table_schema, table_name FROM information_schema.tables
WHERE table_schema IN ('public', 'asktell') ORDER BY 1, 2
"""


def read_tables(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, Optuna's and ours, in a fixed order."""
    with psycopg.connect(database.conninfo) as connection:
        names = connection.execute(LIST_TABLES).fetchall()
        return {".".join(name): _read(connection, *name) for name in names}


def _read(connection: psycopg.Connection, schema: str, table: str) -> list[tuple[Any, ...]]:
    # As text, because JSON columns have no order.
    query = sql.SQL("SELECT t::text FROM {} AS t ORDER BY 1")
    return connection.execute(query.format(sql.Identifier(schema, table))).fetchall()
