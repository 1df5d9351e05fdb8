"""What every test may rely on: one Postgres for the session, a fresh database per test.

A database is copied from a template that has the whole schema, so tests commit as they like.
"""

import gc
import ipaddress
import itertools
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from service.storage.database import Database
from service.storage.embedded import EmbeddedPostgres, open_embedded_postgres
from service.storage.schema import upgrade

_TEMPLATE = "template_asktell"
_ROOMY_BYTES = 2_000_000_000
_LOCAL_NAMES = ("localhost", "")
_database_numbers = itertools.count(1)

# Optuna writes naive local times.
os.environ["TZ"] = "UTC"
time.tzset()

# Servers have no worker inside unless a test is about it: it costs them seconds of CPU.
os.environ["ASKTELL_WORKER"] = "0"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collects no garbage meanwhile, nor ever again what is collected here: thousands of tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


class OutsideConnection(AssertionError):
    """A test tried to reach another machine."""


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> None:
    """Refuse connections of this process to anything but itself; audit hooks cannot be removed."""
    sys.addaudithook(_refuse_outside_connection)


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    """Commands that run in this process log to a stream of their own, which is closed after."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A new folder with a short path that every user may traverse, removed afterwards.

    Pytest's own temporary folders are closed to the user that Postgres runs as under root.
    """
    with _make_open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def shared_open_folder() -> Iterator[Path]:
    """Such a folder for all tests of a module."""
    with _make_open_folder() as folder:
        yield folder


@pytest.fixture
def used_folder(open_folder: Path, prepared_data: Path) -> Path:
    """An open folder with a data directory `data` that has been used once."""
    subprocess.run(["cp", "-a", prepared_data, open_folder], check=True)
    return open_folder


@pytest.fixture(scope="session")
def prepared_data() -> Iterator[Path]:
    """The original of such data directories: initdb takes longer than all of a test."""
    with _make_open_folder() as folder:
        with open_embedded_postgres(
            folder / "data", settings={"fsync": "off"}, system_dir=folder / "system"
        ):
            pass
        yield folder / "data"


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The session's server; it forgets everything at a power failure, for speed."""
    settings = {"fsync": "off", "full_page_writes": "off"}
    with (
        _make_open_folder() as folder,
        open_embedded_postgres(
            folder / "data", settings=settings, system_dir=folder / "system"
        ) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def _maker(postgres: EmbeddedPostgres) -> Iterator[psycopg.Connection]:
    """What databases are made and dropped with; to connect each time takes as long as that."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def template_database(postgres: EmbeddedPostgres, _maker: psycopg.Connection) -> str:
    """Name of a database with the full schema and no rows, that nobody may connect to."""
    _execute(_maker, sql.SQL("CREATE DATABASE {}"), _TEMPLATE)
    upgrade(Database(_build_url(postgres, _TEMPLATE)))
    _execute(_maker, sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false"), _TEMPLATE)
    return _TEMPLATE


@pytest.fixture
def database(
    postgres: EmbeddedPostgres, template_database: str, _maker: psycopg.Connection
) -> Iterator[Database]:
    """A database of the test's own with the full schema and no rows."""
    with _make_database(postgres, template_database, _maker) as made:
        yield made


@pytest.fixture(scope="module")
def shared_database(
    postgres: EmbeddedPostgres, template_database: str, _maker: psycopg.Connection
) -> Iterator[Database]:
    """Such a database for all tests of a module."""
    with _make_database(postgres, template_database, _maker) as made:
        yield made


@pytest.fixture
def empty_database(postgres: EmbeddedPostgres, _maker: psycopg.Connection) -> Iterator[Database]:
    """A database of the test's own without any tables."""
    with _make_database(postgres, "template0", _maker) as made:
        yield made


def _refuse_outside_connection(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto") and not _is_local(arguments[1]):
        raise OutsideConnection(f"Tests may only connect to this machine, not to {arguments[1]}.")


def _is_local(address: Any) -> bool:
    # Unix sockets have no tuple; for datagrams on connected sockets there is no address.
    if not isinstance(address, tuple) or address[0] in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        return False


@contextmanager
def _make_open_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="asktell-test-", dir=_find_fast_folder()))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _find_fast_folder() -> Path:
    """Memory where there is enough of it, because most of a test's time would be the disk's."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK):
        state = os.statvfs(memory)
        if state.f_bavail * state.f_frsize > _ROOMY_BYTES and not state.f_flag & os.ST_NOEXEC:
            return memory
    return Path("/tmp")


@contextmanager
def _make_database(
    server: EmbeddedPostgres, template: str, maker: psycopg.Connection
) -> Iterator[Database]:
    name = f"test_{next(_database_numbers)}"
    # Cheaper than by way of the log, as nothing here waits for a disk.
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
    _execute(maker, copy, name, template)
    try:
        yield Database(_build_url(server, name))
    finally:
        _execute(maker, sql.SQL("DROP DATABASE {} WITH (FORCE)"), name)


def _build_url(server: EmbeddedPostgres, name: str) -> str:
    return urlsplit(server.url)._replace(path=f"/{name}").geturl()


def _execute(connection: psycopg.Connection, statement: sql.SQL, *names: str) -> None:
    connection.execute(statement.format(*map(sql.Identifier, names)))
