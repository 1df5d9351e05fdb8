"""Brings a database to the schema that this version of the service needs, or says what is wrong.

Schema `public` holds Optuna's tables, made and migrated by Optuna's own code; schema `asktell`
holds ours, migrated by Alembic with its version table inside that schema.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import LiteralString

import alembic.command
import psycopg
import sqlalchemy
from alembic.config import Config
from alembic.script import ScriptDirectory
from optuna.storages import RDBStorage

from service.domain.errors import AsktellError, DatabaseUnavailable
from service.storage.database import Database

# Any constant that nobody else locks: the ASCII codes of "asktell".
_UPGRADE_LOCK = 0x61736B74656C6C

# The guard lets the engine's sessions through, also when Optuna migrates rows of managed studies.
# With a role named asktell, "$user" would otherwise lead unqualified names into our schema.
_MIGRATION_OPTIONS = "-c asktell.engine=1 -c search_path=public"

# Whether plain Optuna, which names no schema, would meet our table where it wants its own.
_STUDIES_ARE_SHADOWED = "SELECT to_regclass('studies') = to_regclass('asktell.studies')"


class SchemaError(AsktellError):
    """The database's schema is missing, behind, or newer than this version of the service."""

    code = "schema-mismatch"


def upgrade(database: Database) -> None:
    """Create or migrate both schemas; idempotent, and safe to run in any number of processes.

    Raises:
        SchemaError: A newer Asktell or Optuna migrated this database; nothing was changed.
        DatabaseUnavailable: The database cannot be reached.
    """
    with _connect(database.conninfo) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_UPGRADE_LOCK,))
        for schema in _inspect(connection):
            schema.refuse_newer()
        _upgrade_optuna_tables(database)
        connection.execute("CREATE SCHEMA IF NOT EXISTS asktell")
        _upgrade_own_tables(database)
    _keep_own_schema_off_the_search_path(database)


def check(database: Database) -> None:
    """Return when the schema is exactly what this version needs.

    Raises:
        SchemaError: It is missing, behind or newer; the message says what to do.
        DatabaseUnavailable: The database cannot be reached.
    """
    with _connect(database.conninfo) as connection:
        for schema in _inspect(connection):
            schema.refuse_newer()
            schema.refuse_missing_or_behind()


@contextmanager
def _connect(conninfo: str) -> Iterator[psycopg.Connection]:
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(
            "The database cannot be reached; see that Postgres runs and that ASKTELL_DATABASE_URL "
            "leads to it, with the right user and password."
        ) from error


@dataclass(frozen=True, slots=True)
class _Schema:
    """One migrated part of the database, as found."""

    made_by: str
    found: str | None
    head: str
    known: frozenset[str]

    def refuse_newer(self) -> None:
        if self.found is not None and self.found not in self.known:
            raise SchemaError(
                f"This database was migrated by a newer {self.made_by} (schema {self.found}, this "
                f"one knows up to {self.head}): upgrade {self.made_by} here."
            )

    def refuse_missing_or_behind(self) -> None:
        if self.found is None:
            raise SchemaError(
                f"The tables of {self.made_by} are missing in this database: "
                "run `asktell db upgrade`."
            )
        if self.found != self.head:
            raise SchemaError(
                f"The tables of {self.made_by} in this database are behind (schema {self.found}, "
                f"needed {self.head}): run `asktell db upgrade`."
            )


def _inspect(connection: psycopg.Connection) -> tuple[_Schema, _Schema]:
    optuna_head, optuna_known = _optuna_revisions()
    own_head, own_known = _own_revisions()
    return (
        _Schema(
            made_by="Optuna",
            found=_find_revision(connection, "SELECT version_num FROM public.alembic_version"),
            head=optuna_head,
            known=optuna_known,
        ),
        _Schema(
            made_by="Asktell",
            found=_find_revision(connection, "SELECT version_num FROM asktell.alembic_version"),
            head=own_head,
            known=own_known,
        ),
    )


def _find_revision(connection: psycopg.Connection, query: LiteralString) -> str | None:
    try:
        row = connection.execute(query).fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    return None if row is None else str(row[0])


@cache
def _optuna_revisions() -> tuple[str, frozenset[str]]:
    # Optuna tells its revisions through a storage only; this one costs no database.
    with _open_storage("sqlite://") as storage:
        return storage.get_head_version(), frozenset(storage.get_all_versions())


@cache
def _own_revisions() -> tuple[str, frozenset[str]]:
    scripts = ScriptDirectory.from_config(_build_alembic_config())
    head = scripts.get_current_head()
    if head is None:
        raise RuntimeError("This installation lacks its migrations; install asktell-server again.")
    return head, frozenset(script.revision for script in scripts.walk_revisions())


def _upgrade_optuna_tables(database: Database) -> None:
    # Optuna reads the URL as a format string.
    url = _migration_url(database).render_as_string(hide_password=False)
    with _open_storage(url.replace("{", "{{").replace("}", "}}")) as storage:
        if storage.get_current_version() != storage.get_head_version():
            with _keeping_loggers():
                storage.upgrade()


@contextmanager
def _open_storage(url: str) -> Iterator[RDBStorage]:
    storage = RDBStorage(url, skip_compatibility_check=True)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


@contextmanager
def _keeping_loggers() -> Iterator[None]:
    # Optuna's migration configures logging anew, disabling our loggers, unless root has a handler.
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def _upgrade_own_tables(database: Database) -> None:
    engine = sqlalchemy.create_engine(_migration_url(database), poolclass=sqlalchemy.NullPool)
    try:
        with engine.begin() as connection:
            config = _build_alembic_config()
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")
    finally:
        engine.dispose()


def _migration_url(database: Database) -> sqlalchemy.URL:
    url = sqlalchemy.make_url(database.sqlalchemy_url)
    given = url.query.get("options", "")
    options = f"{given if isinstance(given, str) else ' '.join(given)} {_MIGRATION_OPTIONS}"
    return url.update_query_dict({"options": options.strip()})


def _build_alembic_config() -> Config:
    config = Config()
    # Config files give % a meaning, and a folder may have one in its name.
    config.set_main_option("script_location", str(_find_migrations()).replace("%", "%%"))
    return config


def _find_migrations() -> Path:
    package = Path(__file__).parents[1]
    shipped = package / "_migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def _keep_own_schema_off_the_search_path(database: Database) -> None:
    with _connect(database.plain_conninfo) as connection:
        shadowed = connection.execute(_STUDIES_ARE_SHADOWED).fetchone()
        if shadowed is not None and shadowed[0]:
            connection.execute("ALTER ROLE CURRENT_USER SET search_path = public")
