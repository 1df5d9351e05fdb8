"""The real server for the SDK's tests: one process for all, or one that a test may kill."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asktell
import psycopg
import pytest
from psycopg import sql

from service.storage.database import Database
from service.storage.embedded import EmbeddedPostgres
from tests.sdk.servers import LossyProxy, ServerProcess, open_lossy_proxy

_DATABASE = "sdk"
_study_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(
    postgres: EmbeddedPostgres, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """The server that all tests share; it is never killed."""
    names = map(sql.Identifier, (_DATABASE, template_database))
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
    url = urlsplit(postgres.url)._replace(path=f"/{_DATABASE}").geturl()
    process = ServerProcess(url, tmp_path_factory.mktemp("server"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def mortal_server(database: Database, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of the test's own, to be killed and started again."""
    process = ServerProcess(database.url, tmp_path)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def client(server: ServerProcess) -> Iterator[asktell.Client]:
    with server.open_client() as opened:
        yield opened


@pytest.fixture
def name() -> str:
    """The name of a study that no other test has."""
    return f"study-{next(_study_numbers)}"


@pytest.fixture
def study(client: asktell.Client, name: str) -> asktell.Study:
    """A study without a declared space that suggests at random."""
    return client.create_study(name, sampler={"type": "RandomSampler"}, seed=1)


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[LossyProxy]:
    with open_lossy_proxy(server.url) as opened:
        yield opened
