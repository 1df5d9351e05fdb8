"""A server, and workers as people start them; whatever is killed may return."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.acceptance.server_process import HEADERS, TOKEN, ServerProcess

# A program that imports what real ones do takes seconds; on a busy machine, many.
_PATIENCE_SECONDS = 240.0
_OVER = ("finished", "failed", "cancelled")
_PREEMPTING_SECONDS = 2.0
_Found = TypeVar("_Found")


class WorkerWorld:
    """One machine with Asktell on it.

    Attributes:
        folder: Of everything; a worker's folder has its name.
    """

    def __init__(self, server: ServerProcess, folder: Path) -> None:
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

    def list_outcomes(self, name: str) -> list[tuple[Any, str, Any]]:
        """Parameters, state and values of each trial."""
        return [(each["params"], each["state"], each["values"]) for each in self.list_trials(name)]

    def wait_over(self, name: str) -> None:
        self.wait_until(lambda: self.get_sweep(name)["state"] in _OVER)

    def wait_rows(self, name: str, count: int = 1) -> None:
        """Returns once so many values of a trial have arrived."""
        self.wait_until(
            lambda: any(
                len(trial["intermediate_values"]) >= count for trial in self.list_trials(name)
            )
        )

    def wait_until(self, find: Callable[[], _Found]) -> _Found:
        """What a function finds as soon as it finds something."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (found := find()):
            assert time.monotonic() < deadline, self._describe()
            time.sleep(0.2)
        return found

    def run_cli(self, *arguments: str, variables: Mapping[str, str] | None = None) -> str:
        """What `asktell` prints; it must end well."""
        done = subprocess.run(
            [sys.executable, "-m", "service.cli.main", *arguments, "--url", self._server.url],
            env={**os.environ, **(variables or {}), "ASKTELL_TOKEN": TOKEN},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    # The workers

    def run_worker(
        self, name: str, environment: Mapping[str, str], options: Mapping[str, str]
    ) -> None:
        """Starts a worker, unless it runs; the same as before if it was started before.

        Args:
            environment: All that it has, but for its token.
        """
        if name in self._workers:
            return
        options = {
            "--url": self._server.url,
            "--name": name,
            "--workdir": str(self.make_home(name)),
            "--allow-program": "*",
            **options,
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            self._workers[name] = subprocess.Popen(
                [
                    *(sys.executable, "-m", "service.cli.main", "worker"),
                    *(part for option in options.items() for part in option),
                ],
                env={**environment, "ASKTELL_TOKEN": TOKEN},
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def make_home(self, name: str) -> Path:
        """A worker's folder."""
        home = self.folder / name
        home.mkdir(exist_ok=True)
        return home

    def kill_worker(self, name: str) -> None:
        worker = self._workers.pop(name)
        worker.kill()
        worker.wait()

    def stop_worker(self, name: str) -> None:
        """Ends it and what it runs, if it runs."""
        worker = self._workers.pop(name, None)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        # The first signal drains it, a second one ends what it runs; close together they are one.
        while worker is not None and worker.poll() is None:
            assert time.monotonic() < deadline, "the worker does not leave"
            worker.send_signal(signal.SIGTERM)
            time.sleep(_PREEMPTING_SECONDS)

    def _describe(self) -> str:
        logs = [log.read_text()[-3000:] for log in sorted(self.folder.glob("*.log"))]
        return "\n".join(map(str, [*self.get("/sweeps")["sweeps"], *logs]))
