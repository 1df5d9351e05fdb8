"""A server, workers as people start them, and a stand-in for W&B; whatever is killed may return."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from service.storage.database import Database
from tests.acceptance.server_process import HEADERS, TOKEN, ServerProcess, running
from tests.wandb_backend import Backend

PROGRAM = Path(__file__).with_name("logging_program.py")
PROJECT = "digits"
# A run of the real SDK takes seconds; on a busy machine, many.
PATIENCE_SECONDS = 240.0
_OVER = ("finished", "failed", "cancelled")
_PREEMPTING_SECONDS = 2.0


class WandbWorld:
    """One machine with Asktell on it.

    Attributes:
        backend: What workers take for W&B unless they are told otherwise.
        folder: Of everything; a worker's folder has its name.
    """

    def __init__(self, server: ServerProcess, folder: Path, backend: Backend) -> None:
        self.backend = backend
        self.folder = folder
        self._server = server
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._api = httpx.Client(base_url=server.url, headers=HEADERS, timeout=20.0)

    def close(self) -> None:
        for name in list(self._workers):
            self.stop_worker(name)
        self._api.close()

    # The sweeps

    def create(self, name: str, launch: Mapping[str, Any], **changes: Any) -> None:
        """A sweep of one trial, unless `changes` says otherwise."""
        document = {
            "name": name,
            "objectives": [{"name": "loss", "direction": "minimize"}],
            "space": {
                "lr": {"type": "float", "low": 0.0, "high": 0.5},
                "opt": {"name": {"type": "categorical", "choices": ["adam", "sgd"]}},
            },
            "sampler": {"type": "RandomSampler"},
            "seed": 0,
            "pruner": None,
            "budget": {"max_trials": 1},
            "parallelism": 2,
            "launch": launch,
        }
        answer = self._api.post("/sweeps", json=document | changes)
        assert answer.is_success, answer.text

    def command(self, name: str, verb: str) -> None:
        self._api.post(f"/sweeps/{name}/{verb}").raise_for_status()

    def get(self, path: str) -> Any:
        answer = self._api.get(path)
        answer.raise_for_status()
        return answer.json()

    def get_sweep(self, name: str) -> Any:
        return self.get(f"/sweeps/{name}")["sweep"]

    def list_trials(self, name: str) -> list[dict[str, Any]]:
        trials: list[dict[str, Any]] = self.get(f"/studies/{name}/trials")["trials"]
        return trials

    def list_attempts(self, name: str) -> list[dict[str, Any]]:
        """By trial, the last one first."""
        attempts: list[dict[str, Any]] = self.get(f"/sweeps/{name}/attempts")["attempts"]
        return sorted(attempts, key=lambda attempt: (attempt["trial"], -attempt["attempt"]))

    def wait_over(self, name: str) -> None:
        self.wait_until(lambda: self.get_sweep(name)["state"] in _OVER)

    def wait_rows(self, name: str, count: int = 1) -> None:
        """Returns once so many values of a trial have arrived."""
        self.wait_until(
            lambda: any(
                len(trial["intermediate_values"]) >= count for trial in self.list_trials(name)
            )
        )

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert time.monotonic() < deadline, self._describe()
            time.sleep(0.2)

    def run_cli(self, *arguments: str) -> str:
        """What `asktell` prints."""
        done = subprocess.run(
            [sys.executable, "-m", "service.cli.main", *arguments, "--url", self._server.url],
            env=os.environ | {"ASKTELL_TOKEN": TOKEN},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    # The workers

    def start_worker(
        self, name: str, *, queue: str = "default", environment: Mapping[str, str] | None = None
    ) -> None:
        """A worker, unless it runs; the same as before if it was started before.

        Args:
            environment: Of W&B; by default that of the backend.
        """
        if name in self._workers:
            return
        home = self.folder / name
        home.mkdir(exist_ok=True)
        options = {
            "--url": self._server.url,
            "--name": name,
            "--queue": queue,
            "--slots": "2",
            "--workdir": str(home),
            "--allow-program": "*",
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            self._workers[name] = subprocess.Popen(
                [
                    *(sys.executable, "-m", "service.cli.main", "worker"),
                    *(part for option in options.items() for part in option),
                ],
                env=self.isolate(home, environment) | {"ASKTELL_TOKEN": TOKEN},
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def isolate(self, home: Path, environment: Mapping[str, str] | None = None) -> dict[str, str]:
        """A whole environment whose W&B is this one, with nobody's folders or key."""
        folders = {f"WANDB_{each}_DIR": str(home / "own") for each in ("CACHE", "CONFIG", "DATA")}
        own = self.backend.build_environment() if environment is None else environment
        return {"PATH": os.environ["PATH"], "HOME": str(home), **folders, **own}

    def kill_worker(self, name: str) -> None:
        worker = self._workers.pop(name)
        worker.kill()
        worker.wait()

    def stop_worker(self, name: str) -> None:
        """Ends it and what it runs, if it runs."""
        worker = self._workers.pop(name, None)
        deadline = time.monotonic() + PATIENCE_SECONDS
        # The first signal drains it, a second one ends what it runs; close together they are one.
        while worker is not None and worker.poll() is None:
            assert time.monotonic() < deadline, "the worker does not leave"
            worker.send_signal(signal.SIGTERM)
            time.sleep(_PREEMPTING_SECONDS)

    def _describe(self) -> str:
        logs = [log.read_text()[-3000:] for log in sorted(self.folder.glob("*.log"))]
        return "\n".join(map(str, [*self.get("/sweeps")["sweeps"], *logs]))


@contextmanager
def open_wandb_world(folder: Path, database: Database) -> Iterator[WandbWorld]:
    """A world with a server; workers are up to the test.

    At its end W&B must not have been asked for what the stand-in does not know.
    """
    server = ServerProcess(database, folder / "server")
    with running(server), Backend() as backend:
        world = WandbWorld(server, folder, backend)
        try:
            yield world
        finally:
            world.close()
        assert backend.unknown == [], "Teach tests/wandb_backend what the SDK asked for."
