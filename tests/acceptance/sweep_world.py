"""Postgres, a server and a worker as processes; whatever is killed is started again."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx

from service.storage.database import Database
from service.storage.embedded import open_embedded_postgres
from service.storage.schema import upgrade
from tests.acceptance.server_process import HEADERS, TOKEN, ServerProcess
from tests.this_machine import find_free_port

PROGRAM = Path(__file__).with_name("counted_program.py")
_PATIENCE_SECONDS = 300.0


class Victim(StrEnum):
    WORKER = "worker"
    SERVER = "server"
    POSTGRES = "postgres"


@dataclass(frozen=True, slots=True)
class Execution:
    """What a program noted of itself."""

    attempt_id: str
    pid: int


class SweepWorld:
    """One of each, on one machine.

    Args:
        cluster_dir: Of the Postgres, which is started again by itself.
        worker: The module that is run as a worker.
        variables: Of workers.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        cluster_dir: Path,
        *,
        worker: str,
        variables: Mapping[str, str],
    ) -> None:
        self._folder = folder
        self._cluster_dir = cluster_dir
        self._worker = worker
        self._variables = variables
        self._orders = folder / "orders"
        self._port = find_free_port()
        settings = {"ASKTELL_PORT": str(self._port), "ASKTELL_WORKER": "0"}
        self.server = ServerProcess(database, folder / "server", settings=settings)
        self.dying_server = ServerProcess(
            database,
            folder / "server",
            module="tests.acceptance.faulty_server",
            settings=settings,
        )
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._api = httpx.Client(base_url=self.url, headers=HEADERS, timeout=20.0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def close(self) -> None:
        for name in list(self._workers):
            self.stop_worker(name)
        self.server.stop()
        self.dying_server.stop()
        self._api.close()

    # The sweep

    def create(self, name: str, **changes: Any) -> None:
        """A sweep of three trials, the second of which is to be pruned."""
        document = {
            "name": name,
            "direction": "minimize",
            "space": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
            "sampler": {"type": "RandomSampler"},
            "pruner": {"type": "ThresholdPruner", "args": {"upper": 0.5}},
            "budget": {"max_trials": 3},
            "parallelism": 2,
            "launch": {
                "executor": "process",
                "command": [
                    *("${interpreter}", str(PROGRAM), str(self._executions_file(name))),
                    *("${envvar:ASKTELL_TRIAL}",),
                ],
                "stop_seconds": 2,
            },
        }
        self._api.post("/sweeps", json=document | changes).raise_for_status()

    def claim_by_hand(self, *, wait_seconds: int) -> Any:
        """The answer to a claim of a worker that the test plays itself."""
        claim = {
            "worker_id": "by-hand",
            "worker_name": "by-hand",
            "host": "here",
            "queue": "nobody's",
            "executors": ["process"],
            "count": 1,
            "held": [],
            "wait_seconds": wait_seconds,
        }
        answer = self._api.post("/attempts/claim", json=claim, timeout=wait_seconds + 10)
        answer.raise_for_status()
        return answer.json()

    def cancel(self, name: str) -> None:
        self._api.post(f"/sweeps/{name}/cancel").raise_for_status()

    def find_sweep(self, name: str) -> dict[str, Any] | None:
        """What the server says of it; None while it says nothing."""
        with suppress(httpx.HTTPError):
            answer = self._api.get(f"/sweeps/{name}")
            if answer.is_success:
                found: dict[str, Any] = answer.json()
                return found
        return None

    def get(self, path: str) -> Any:
        answer = self._api.get(path)
        answer.raise_for_status()
        return answer.json()

    def read_executions(self, name: str) -> list[Execution]:
        file = self._executions_file(name)
        lines = file.read_text().splitlines() if file.exists() else []
        return [Execution(attempt_id, int(pid)) for attempt_id, pid in map(str.split, lines)]

    # The processes

    def start_worker(self, name: str = "ada") -> None:
        """A worker; the same as before if it was started before."""
        if name in self._workers and self._workers[name].poll() is None:
            return
        self._workers[name] = subprocess.Popen(
            [
                *(sys.executable, "-m", self._worker, self.url),
                *(str(self._folder / name), str(self._orders)),
            ],
            env={**os.environ, **self._variables, "ASKTELL_TOKEN": TOKEN},
        )

    def order(self, victim: Victim, point: str) -> None:
        """Has the worker kill somebody once it reaches `point`."""
        pids = {
            Victim.WORKER: "0",
            Victim.SERVER: str(self.server.pid),
            Victim.POSTGRES: (self._cluster_dir / "postmaster.pid").read_text().split("\n")[0],
        }
        written = self._orders.with_suffix(".written")
        written.write_text(f"{point} {pids[victim]}")
        written.rename(self._orders)

    @property
    def is_ordered(self) -> bool:
        """Whether an order was not carried out yet."""
        return self._orders.exists()

    def freeze_worker(self, name: str = "ada") -> None:
        self._workers[name].send_signal(signal.SIGSTOP)

    def thaw_worker(self, name: str = "ada") -> None:
        self._workers[name].send_signal(signal.SIGCONT)

    def stop_worker(self, name: str = "ada") -> None:
        worker = self._workers.pop(name)
        worker.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        # The first signal drains it, a second one ends what it runs; close together they are one.
        while worker.poll() is None:
            assert time.monotonic() < deadline, "the worker does not leave"
            worker.send_signal(signal.SIGTERM)
            time.sleep(0.2)

    def kill_worker(self, name: str = "ada") -> None:
        worker = self._workers.pop(name)
        worker.kill()
        worker.wait()

    def wait_over(self, name: str) -> Counter[str]:
        """Starts again whatever has died, until the sweep is over; returns what died, how often."""
        died: Counter[str] = Counter()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._is_over(name) or self.is_ordered:
            assert time.monotonic() < deadline, self.find_sweep(name)
            self._start_again(died)
            time.sleep(0.05)
        self._start_again(died)
        return died

    def wait_executed(self, name: str, count: int) -> None:
        """Returns once so many programs have begun."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while len(self.read_executions(name)) < count:
            assert time.monotonic() < deadline, self.find_sweep(name)
            time.sleep(0.05)

    def wait_ended(self, execution: Execution) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while _is_alive(execution.pid):
            assert time.monotonic() < deadline, "it still runs"
            time.sleep(0.05)

    def _start_again(self, died: Counter[str]) -> None:
        if not self.server.is_running and not self.dying_server.is_running:
            died["server"] += 1
            self.server.start()
        for name, worker in list(self._workers.items()):
            if worker.poll() is not None:
                died["worker"] += 1
                self.start_worker(name)

    def wait_gone(self, name: str) -> None:
        """Returns once nothing of a sweep runs any more."""
        for execution in self.read_executions(name):
            self.wait_ended(execution)

    def _is_over(self, name: str) -> bool:
        sweep = self.find_sweep(name)
        return sweep is not None and sweep["sweep"]["state"] in ("finished", "failed", "cancelled")

    def _executions_file(self, name: str) -> Path:
        return self._folder / f"{name}.executions"


@contextmanager
def open_sweep_world(
    folder: Path,
    postgres_dir: Path,
    system_dir: Path,
    *,
    worker: str = "tests.acceptance.faulty_worker",
    variables: Mapping[str, str] | None = None,
) -> Iterator[SweepWorld]:
    """A world with a Postgres of its own and a server; workers are up to the test."""
    with open_embedded_postgres(postgres_dir, system_dir=system_dir) as postgres:
        database = Database(postgres.url)
        upgrade(database)
        world = SweepWorld(
            database, folder, postgres.cluster_dir, worker=worker, variables=variables or {}
        )
        try:
            world.server.start()
            yield world
        finally:
            world.close()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
