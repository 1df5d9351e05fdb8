"""SIGKILL of server and Postgres at random moments: what was acknowledged is there afterwards."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from service.storage.database import Database
from service.storage.embedded import open_embedded_postgres
from service.storage.schema import upgrade
from tests.acceptance.acknowledged import Clients, find_losses

_CLIENTS = 16
# Each kind of death twice; with CHAOS_ROUNDS, as in `make chaos`, fifty deaths and 10,000
# operations in both tests together.
_KILLS, _OPERATIONS = (25, 5000) if "CHAOS_ROUNDS" in os.environ else (6, 2000)
_START_SECONDS = 60.0
_TOKEN = "a-token-for-tests"


class FaultyServer:
    """Starts the server again whenever it has died, each time with the next way to die."""

    def __init__(self, database: Database, data_dir: Path, *, mutant: bool = False) -> None:
        self._database = database
        self._data_dir = data_dir
        self._mutant = ["mutant"] if mutant else []
        self._process: subprocess.Popen[bytes] | None = None

    def find_url(self) -> str | None:
        """The address that the running server has published."""
        try:
            return (self._data_dir / "address").read_text().strip()
        except FileNotFoundError:
            return None

    def start(self, point: str, after: int) -> None:
        (self._data_dir / "address").unlink(missing_ok=True)
        arguments = [point, str(after), *self._mutant]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.faulty_server", *arguments],
            env=self._environment(),
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_SECONDS
        while self.find_url() is None:
            assert self._process.poll() is None, "the server did not start"
            assert time.monotonic() < deadline, "the server did not become ready"
            time.sleep(0.05)

    def kill_after(self, seconds: float) -> None:
        """Kills the server, unless it dies of its own before."""
        assert self._process is not None
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
        assert self._process.wait() == -signal.SIGKILL

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "ASKTELL_DATABASE_URL": self._database.url,
            "ASKTELL_DATA_DIR": str(self._data_dir),
            "ASKTELL_PORT": "0",
            "ASKTELL_TOKEN": _TOKEN,
            "ASKTELL_DASHBOARD": "false",
        }


@contextmanager
def running(server: FaultyServer) -> Iterator[FaultyServer]:
    try:
        yield server
    finally:
        server.stop()


@pytest.mark.timeout(400)
def test_nothing_acknowledged_is_lost_when_the_server_is_killed(
    database: Database, tmp_path: Path
) -> None:
    rng = random.Random(7)
    with running(FaultyServer(database, tmp_path)) as server:
        clients = Clients(server.find_url, _TOKEN)
        server.start("never", 0)
        clients.create_study()
        with clients.working(_CLIENTS):
            for kill in range(_KILLS):
                server.kill_after(rng.uniform(0.5, 2.5))
                point = ("before-commit", "after-commit", "never")[kill % 3]
                server.start(point, rng.randrange(20, 200))
            _finish(clients, server)
        assert find_losses(clients.acknowledged, database) == []


@pytest.mark.timeout(300)
def test_a_server_that_answers_before_commit_is_found_out(
    database: Database, tmp_path: Path
) -> None:
    with running(FaultyServer(database, tmp_path, mutant=True)) as server:
        clients = Clients(server.find_url, _TOKEN)
        server.start("before-commit", 100)
        clients.create_study()
        with clients.working(_CLIENTS):
            server.kill_after(60.0)
            server.start("never", 0)
        assert find_losses(clients.acknowledged, database) != []


@pytest.mark.timeout(400)
def test_nothing_acknowledged_is_lost_when_postgres_is_killed(
    open_folder: Path, tmp_path: Path
) -> None:
    rng = random.Random(11)
    with open_embedded_postgres(open_folder / "data", system_dir=open_folder / "s") as postgres:
        database = Database(postgres.url)
        upgrade(database)
        with running(FaultyServer(database, tmp_path)) as server:
            clients = Clients(server.find_url, _TOKEN)
            server.start("never", 0)
            clients.create_study()
            with clients.working(_CLIENTS):
                for kill in range(_KILLS):
                    _wait_for_more(clients, server, operations=50)
                    time.sleep(rng.uniform(0.0, 0.5))
                    if kill % 2:
                        _kill_backend(database)
                    else:
                        os.kill(_postmaster_pid(postgres.cluster_dir), signal.SIGKILL)
                _finish(clients, server)
            assert find_losses(clients.acknowledged, database) == []


def _finish(clients: Clients, server: FaultyServer) -> None:
    """Some more work after the last kill, and as much in all as the promise is about."""
    missing = _OPERATIONS - clients.acknowledged.operations
    _wait_for_more(clients, server, operations=max(200, missing))
    assert clients.acknowledged.operations >= _OPERATIONS


def _wait_for_more(clients: Clients, server: FaultyServer, *, operations: int) -> None:
    """Lets the clients get on, on a server that lives."""
    wanted = clients.acknowledged.operations + operations
    deadline = time.monotonic() + 120.0
    while clients.acknowledged.operations < wanted:
        assert time.monotonic() < deadline, "the clients got nowhere"
        _restart_if_dead(server)
        time.sleep(0.02)


def _restart_if_dead(server: FaultyServer) -> None:
    assert server._process is not None
    if server._process.poll() is not None:
        server.start("never", 0)


def _postmaster_pid(cluster_dir: Path) -> int:
    return int((cluster_dir / "postmaster.pid").read_text().split("\n")[0])


def _kill_backend(database: Database) -> None:
    """Kills the session that commits, which makes Postgres end all others and recover."""
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        row = connection.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted LIMIT 1"
        ).fetchone()
    assert row is not None, "nobody owns the study"
    os.kill(row[0], signal.SIGKILL)
