"""The Postgres and the service under measurement, both with every guarantee on."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import optuna
import psycopg

from service.storage.database import Database
from service.storage.embedded import open_embedded_postgres
from service.storage.schema import upgrade

_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Where the two contestants are.

    Attributes:
        plain_url: A database with Optuna's tables only, for RDBStorage.
        url: The service, which keeps its studies in another database of the same Postgres.
    """

    plain_url: str
    url: str
    token: str = field(repr=False)
    database: Database


@contextmanager
def open_measured(*, dashboard: bool = False) -> Iterator[Measured]:
    """Starts a durable Postgres and the service on it, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="asktell-bench-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)
        settings = {"max_connections": "200"}
        with open_embedded_postgres(folder / "postgres", settings=settings) as postgres:
            plain, ours = (_create_database(postgres.url, name) for name in ("plain", "ours"))
            optuna.storages.RDBStorage(plain.sqlalchemy_url)
            upgrade(ours)
            with _serving(ours, folder / "data", dashboard=dashboard) as (url, token):
                yield Measured(plain.sqlalchemy_url, url, token, ours)


def _create_database(url: str, name: str) -> Database:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name))
        )
    return Database(urlsplit(url)._replace(path=f"/{name}").geturl())


@contextmanager
def _serving(database: Database, data_dir: Path, *, dashboard: bool) -> Iterator[tuple[str, str]]:
    command = [sys.executable, "-m", "service.cli.main", "serve", "--port", "0"]
    environment = os.environ | {
        "ASKTELL_DATABASE_URL": database.url,
        "ASKTELL_DATA_DIR": str(data_dir),
        "ASKTELL_DASHBOARD": str(dashboard),
        "ASKTELL_WORKER": "0",
    }
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        url = _wait_until_ready(process, data_dir)
        yield url, (data_dir / "token").read_text().strip()
    finally:
        process.terminate()
        process.wait()


def _wait_until_ready(process: "subprocess.Popen[bytes]", data_dir: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        address = data_dir / "address"
        if address.exists():
            url = address.read_text().strip()
            if httpx.get(f"{url}/readyz").status_code == httpx.codes.OK:
                return url
        time.sleep(0.1)
    raise RuntimeError("The service did not become ready.")
