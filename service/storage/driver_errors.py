"""The one place where losing the database becomes an error of the domain."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg_pool import PoolTimeout

from service.domain.errors import DatabaseUnavailable


@contextmanager
def unavailable_when_lost() -> Iterator[None]:
    """Turns a connection that cannot be had, or that breaks, into `DatabaseUnavailable`."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
        raise database_unavailable() from error


def database_unavailable() -> DatabaseUnavailable:
    """The error that callers get while Postgres is away; it names nothing of the connection."""
    return DatabaseUnavailable("The database cannot be reached just now. Try again shortly.")
