"""The worker inside `asktell serve`: it comes and goes with the server, its programs do not."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from service.storage.database import Database
from tests.acceptance.server_process import HEADERS, ServerProcess, running

_PROGRAM = """
import os, sys, time
with open(sys.argv[0] + ".pids", "a") as file:
    file.write(f"{os.getpid()}\\n")
while True:
    print("value=1", flush=True)
    time.sleep(0.1)
"""
_SWEEP = {
    "name": "long",
    "direction": "minimize",
    "space": {"x": {"type": "float", "low": 0, "high": 1}},
    "budget": {"max_trials": 1},
    "retry": {"max_attempts": 1},
    "launch": {"executor": "process", "program": "long.py"},
}


class Sweep:
    """A sweep of one endless trial, as seen through the API."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server

    def create(self) -> None:
        answer = httpx.post(f"{self._server.url}/sweeps", json=_SWEEP, headers=HEADERS)
        assert answer.status_code == 201, answer.text

    def list_workers(self) -> list[dict[str, Any]]:
        return list(self._get("/workers")["workers"])

    def has_attempt(self, state: str, *, more_log_than: int = 0) -> bool:
        attempts = self._get("/sweeps/long/attempts")["attempts"]
        return any(a["state"] == state and a["log_bytes"] > more_log_than for a in attempts)

    def get_log_bytes(self) -> int:
        return int(self._get("/sweeps/long/attempts")["attempts"][0]["log_bytes"])

    def _get(self, path: str) -> Any:
        return httpx.get(f"{self._server.url}{path}", headers=HEADERS, timeout=20).json()


@pytest.mark.timeout(180)
def test_programs_outlive_worker_and_server_that_are_killed_but_none_that_is_stopped(
    database: Database, tmp_path: Path
) -> None:
    workdir = tmp_path / "inner-worker"
    workdir.mkdir()
    program = workdir / "long.py"
    program.write_text(_PROGRAM)
    settings = {"ASKTELL_WORKER": "1", "ASKTELL_WORKER_WORKDIR": str(workdir)}
    server = ServerProcess(database, tmp_path / "data", settings=settings)
    sweep = Sweep(server)
    with running(server):
        sweep.create()
        _wait_until(lambda: sweep.has_attempt("running"))
        (pid,) = _read_pids(program)
        log_bytes = sweep.get_log_bytes()
        os.kill(_find_worker(server), signal.SIGKILL)
        _wait_until(lambda: sweep.has_attempt("running", more_log_than=log_bytes))

        log_bytes = sweep.get_log_bytes()
        server.kill()
        assert _is_alive(pid)

        server.start()
        _wait_until(lambda: sweep.has_attempt("running", more_log_than=log_bytes))
        assert len(sweep.list_workers()) == 1
        server.stop()
        _wait_until(lambda: not _is_alive(pid))
    assert _read_pids(program) == [pid]
    assert _read_states(database) == [("preempted",)]


def _find_worker(server: ServerProcess) -> int:
    """Process id of the only child."""
    return int(Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text())


def _read_pids(program: Path) -> list[int]:
    return [int(line) for line in program.with_name("long.py.pids").read_text().splitlines()]


def _read_states(database: Database) -> list[tuple[str]]:
    with psycopg.connect(database.url) as connection:
        return connection.execute("SELECT state FROM asktell.attempts").fetchall()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait_until(is_so: Callable[[], bool]) -> None:
    """Returns when it is so; the test's time limit is the patience."""
    while not is_so():
        time.sleep(0.1)
