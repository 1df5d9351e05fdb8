"""What the contract suites share."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import optuna
import psycopg
import pytest
from psycopg import sql

from service.storage.database import Database
from service.storage.embedded import EmbeddedPostgres


@pytest.fixture(scope="module")
def lasting_database(postgres: EmbeddedPostgres, template_database: str) -> Iterator[Database]:
    """A database for all tests of one module; each leaves alone what it did not make.

    A database takes longer to make than most of the tests take to run, and there are many.
    """
    name = "lasting"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        names = sql.Identifier(name), sql.Identifier(template_database)
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
        yield Database(urlsplit(postgres.url)._replace(path=f"/{name}").geturl())
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(names[0]))


@pytest.fixture(autouse=True, scope="module")
def _quiet_optuna() -> Iterator[None]:
    """Optuna tells of every study and trial; hundreds of lines would hide a failure."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(verbosity)
