"""Optuna's storages by URL, opened to be read: no table and no file is made in them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from service.cli.failures import CannotStart, WrongUse

_SQLITE_HEADER = b"SQLite format 3\0"
# SQLAlchemy would look for psycopg2 behind the first two.
_POSTGRES = ("postgres", "postgresql")
_POSTGRES_DRIVER = "postgresql+psycopg"
# Errors of drivers go on with the statement, and with pages of advice.
_MAX_REASON = 400


@contextmanager
def open_storage(location: str) -> Iterator[BaseStorage]:
    """Opens a storage for reading.

    Args:
        location: A URL of SQLAlchemy, or the path of a journal.

    Raises:
        WrongUse: There is none.
        CannotStart: It cannot be read, in the block too. No password is named.
    """
    with ExitStack() as stack:
        if "://" in location:
            url = _read_url(location)
            stack.enter_context(_explaining(url.render_as_string(hide_password=True)))
            storage: BaseStorage = stack.enter_context(_open_database(url))
        else:
            stack.enter_context(_explaining(location))
            storage = _open_journal(Path(location))
        yield storage


@contextmanager
def _explaining(shown: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        # Optuna's own error does not name the driver that it misses.
        cause = error.__cause__ or error
        raise CannotStart(f"{shown} needs a driver that is not installed here: {cause}.") from error
    except (OptunaError, SQLAlchemyError, OSError, RuntimeError) as error:
        raise CannotStart(f"{shown} cannot be read: {_describe(error)}") from error


def _describe(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    return text[:_MAX_REASON] or type(error).__name__


def _read_url(location: str) -> URL:
    try:
        url = make_url(location)
    except ArgumentError as error:
        raise WrongUse(
            "--from-optuna is not a URL that SQLAlchemy reads; it is one such as "
            "sqlite:///study.db or postgresql://USER:PASSWORD@HOST/DATABASE, or the path of a "
            "journal."
        ) from error
    if url.drivername in _POSTGRES:
        return url.set(drivername=_POSTGRES_DRIVER)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise WrongUse(f"There is no file {url.database or ':memory:'}.")
    return url


@contextmanager
def _open_database(url: URL) -> Iterator[RDBStorage]:
    shown = url.render_as_string(hide_password=False)
    storage = RDBStorage(shown, skip_table_creation=True)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _open_journal(path: Path) -> JournalStorage:
    if not path.is_file():
        raise WrongUse(f"There is no file {path}.")
    with path.open("rb") as file:
        if file.read(len(_SQLITE_HEADER)) == _SQLITE_HEADER:
            raise WrongUse(f"{path} is a SQLite database: write sqlite:///{path}.")
    try:
        return JournalStorage(JournalFileBackend(str(path)))
    except (ValueError, LookupError, TypeError) as error:
        raise WrongUse(f"{path} is no journal of Optuna.") from error
