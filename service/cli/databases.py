"""The database that commands work on: the one of the settings, or the embedded one."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from service.cli.data_dir import make_data_dir
from service.cli.failures import WrongUse
from service.settings import Settings
from service.storage import schema
from service.storage.database import Database
from service.storage.embedded import find_running_postgres, open_embedded_postgres


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The database, running for the time of the context, whatever its schema."""
    if settings.database_url is not None:
        yield build_database(settings.database_url.get_secret_value())
        return
    make_data_dir(settings.data_dir)
    with open_embedded_postgres(settings.data_dir) as postgres:
        yield Database(postgres.url)


@contextmanager
def open_served_database(settings: Settings) -> Iterator[Database]:
    """The database, beside the server that is using it, if one is."""
    if settings.database_url is None:
        url = find_running_postgres(settings.data_dir)
        if url is not None:
            yield Database(url)
            return
    with open_database(settings) as database:
        yield database


@contextmanager
def open_migrated_database(settings: Settings, *, migrate: bool) -> Iterator[Database]:
    """The database with the schema that this version needs.

    The embedded one belongs to this server alone and is migrated; one given by URL may be shared,
    so it is migrated only when asked for, and refused when it does not fit.
    """
    with open_database(settings) as database:
        if migrate or settings.database_url is None:
            schema.upgrade(database)
        else:
            schema.check(database)
        yield database


def build_database(url: str) -> Database:
    """The database of a URL that somebody has written.

    Raises:
        WrongUse: It is none; the message does not quote it.
    """
    try:
        database = Database(url)
        # Parses the whole URL; the driver's own words about a bad one may quote the password.
        _ = database.conninfo
    except (ValueError, psycopg.Error):
        raise WrongUse(
            "ASKTELL_DATABASE_URL is not the URL of a Postgres database; write "
            "postgresql://USER:PASSWORD@HOST/DATABASE."
        ) from None
    return database
