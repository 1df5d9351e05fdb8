"""The stand-in as a server in a thread, and what tests do to it."""

import json
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import uvicorn

from tests.wandb_backend import launch_agent
from tests.wandb_backend.app import build_app
from tests.wandb_backend.artifacts import add_artifact
from tests.wandb_backend.faults import EVERYTHING, Faults
from tests.wandb_backend.launch import add_queue
from tests.wandb_backend.launch_items import LaunchQueue, QueueItem
from tests.wandb_backend.planted_artifacts import PlantedArtifact
from tests.wandb_backend.run_records import HISTORY, RunRecord
from tests.wandb_backend.sweep_records import SweepRecord
from tests.wandb_backend.sweeps import cancel_sweep
from tests.wandb_backend.world import World

ENTITY, PROJECT = "acme", "mnist"
QUEUE_PROJECT = "model-registry"
# As long as the SDK wants keys to be (40), and nobody could mistake it for one.
API_KEY = "madeup" * 7


class Backend:
    """W&B on a loopback port, which stays the same while it is down.

    Attributes:
        world: Everything it remembers; the properties below are shorter ways to it.
        url: What WANDB_BASE_URL is to be.
    """

    def __init__(self, *, port: int = 0, heartbeat_timeout_seconds: float = 300) -> None:
        self._passed_seconds = 0.0
        self.world = World(
            entity=ENTITY,
            api_key=API_KEY,
            clock=self._read_clock,
            heartbeat_timeout_seconds=heartbeat_timeout_seconds,
        )
        self._faults = Faults()
        self._reservation = _bind(port)
        self._server: _ServerThread | None = None
        self.url = self.world.base_url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.come_back()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_down()
        self._reservation.close()

    @property
    def port(self) -> int:
        port: int = self._reservation.getsockname()[1]
        return port

    @property
    def entity(self) -> str:
        return self.world.entity

    @property
    def api_key(self) -> str:
        return self.world.api_key

    @property
    def runs(self) -> dict[str, RunRecord]:
        """By "entity/project/run_id"; silent ones have crashed by now."""
        with self.world.lock:
            self.world.expire_heartbeats()
            return dict(self.world.runs)

    @property
    def sweeps(self) -> dict[str, SweepRecord]:
        """By "entity/project/name"."""
        with self.world.lock:
            return dict(self.world.sweeps)

    @property
    def items(self) -> list[QueueItem]:
        """What is in the launch queues, in the order of arrival."""
        with self.world.lock:
            return list(self.world.items.values())

    @property
    def files(self) -> dict[str, bytes]:
        """Uploads, by "entity/project/run_id/name"."""
        with self.world.lock:
            return dict(self.world.files)

    @property
    def requests(self) -> Counter[str]:
        """How often each operation came, answered or not."""
        with self.world.lock:
            return Counter(self.world.requests)

    @property
    def unknown(self) -> list[str]:
        """What came and is not known here: must stay empty."""
        with self.world.lock:
            return list(self.world.unknown)

    def build_environment(self) -> dict[str, str]:
        """The variables with which the SDK comes here and not to W&B."""
        return {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": self.api_key,
            "WANDB_ENTITY": self.entity,
            "WANDB_ERROR_REPORTING": "false",
        }

    # Faults.

    def fail(
        self, name: str, statuses: Iterable[int], *, retry_after_seconds: int | None = None
    ) -> None:
        """The next requests of that name get these statuses and have no effect.

        Args:
            name: An operation, "file_stream", "storage", "artifact_file", or "*" for all.
        """
        self._faults.fail(name, statuses, retry_after_seconds)

    def lose(self, name: str, times: int = 1) -> None:
        """The next requests take effect, and a gateway answers 504 instead."""
        self._faults.lose(name, times)

    @contextmanager
    def hang(self, name: str = EVERYTHING) -> Iterator[None]:
        """Requests of that name get no answer until the end of the block."""
        self._faults.hold(name)
        try:
            yield
        finally:
            self._faults.let_go(name)

    @contextmanager
    def keep_answers(self, name: str) -> Iterator[None]:
        """Requests of that name take effect, and get no answer until the end of the block."""
        self._faults.keep(name)
        try:
            yield
        finally:
            self._faults.let_go(name)

    def recover(self) -> None:
        """Ends all faults."""
        self._faults.clear()
        self.come_back()

    def go_down(self) -> None:
        """Closes the port and all connections: refused until `come_back`."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def come_back(self) -> None:
        if self._server is None:
            self._server = _ServerThread(build_app(self.world, self._faults), self.port)

    def pass_time(self, seconds: float) -> None:
        """Lets W&B's time pass, without waiting."""
        self._passed_seconds += seconds

    # What there was before.

    def plant_run(
        self,
        name: str,
        *,
        project: str = PROJECT,
        rows: Iterable[dict[str, Any]] = (),
        state: str = "running",
        sweep: str | None = None,
    ) -> RunRecord:
        """A run that is just so, its summary being the last row."""
        history = [{"_step": step} | row for step, row in enumerate(rows)]
        run = RunRecord(
            entity=self.entity,
            project=project,
            name=name,
            created_at=self.world.now(),
            state=state,
            sweep=sweep,
            summary=dict(history[-1]) if history else {},
            heartbeat_at=self._read_clock(),
        )
        with self.world.lock:
            run.write_lines(HISTORY, 0, [json.dumps(row) for row in history])
            self.world.projects.add((self.entity, project))
            self.world.runs[run.path] = run
        return run

    def plant_sweep(self, name: str, *, project: str = PROJECT) -> SweepRecord:
        """A sweep that somebody else's scheduler drives."""
        sweep = SweepRecord(
            entity=self.entity,
            project=project,
            name=name,
            created_at=self.world.now(),
            config={"method": "custom", "parameters": {"lr": {"min": 0.0, "max": 1.0}}},
        )
        with self.world.lock:
            self.world.projects.add((self.entity, project))
            self.world.sweeps[sweep.path] = sweep
        return sweep

    def plant_queue(self, name: str, *, project: str = QUEUE_PROJECT) -> LaunchQueue:
        with self.world.lock:
            return add_queue(self.world, name, {"entity": self.entity, "project": project})

    def plant_job(self, name: str, *, project: str = PROJECT, alias: str = "latest") -> None:
        """A job that runs an image."""
        document = {
            "_version": "v0",
            "source_type": "image",
            "source": {"image": "registry.example.com/train:1"},
            "input_types": {"wb_type": "typedDict", "params": {"type_map": {}}},
            "output_types": {"wb_type": "typedDict", "params": {"type_map": {}}},
        }
        files = {"wandb-job.json": json.dumps(document).encode()}
        self.plant_artifact(name, files, project=project, alias=alias, kind="job")

    def plant_artifact(
        self,
        name: str,
        files: Mapping[str, bytes],
        *,
        project: str = PROJECT,
        alias: str = "latest",
        kind: str = "optuna",
        references: Mapping[str, str] | None = None,
    ) -> None:
        """An artifact that somebody logged; see `PlantedArtifact`."""
        planted = PlantedArtifact(
            self.entity, project, name, alias, kind, files, references=references or {}
        )
        with self.world.lock:
            add_artifact(self.world, planted)

    # What a person does in W&B's pages.

    def stop_run(self, path: str) -> None:
        with self.world.lock:
            self.world.runs[path].stop()

    def delete_run(self, path: str) -> None:
        with self.world.lock:
            del self.world.runs[path]

    def pause_sweep(self, path: str) -> None:
        with self.world.lock:
            self.world.sweeps[path].state = "PAUSED"

    def resume_sweep(self, path: str) -> None:
        with self.world.lock:
            self.world.sweeps[path].state = "RUNNING"

    def stop_sweep(self, path: str) -> None:
        """No new runs; those that run may finish."""
        with self.world.lock:
            self.world.sweeps[path].state = "FINISHED"

    def cancel_sweep(self, path: str) -> None:
        """No new runs, and those that run are stopped."""
        with self.world.lock:
            cancel_sweep(self.world, self.world.sweeps[path])

    # What a launch agent does.

    def claim_next(self, queue: str, *, project: str = QUEUE_PROJECT) -> QueueItem:
        """Takes the next item of a queue; its run has an id now and may begin."""
        with self.world.lock:
            return launch_agent.claim_next(self.world, f"{self.entity}/{project}/{queue}")

    def run_next(
        self, queue: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.Popen[str]:
        """Claims the next item and starts its program. Leave the `with` block of it to wait."""
        return launch_agent.start_program(self.claim_next(queue), command, environment)

    def fail_next(self, queue: str, message: str, *, project: str = QUEUE_PROJECT) -> QueueItem:
        """Takes the next item and says why it cannot be run."""
        with self.world.lock:
            path = f"{self.entity}/{project}/{queue}"
            return launch_agent.fail_next(self.world, path, message)

    def _read_clock(self) -> float:
        return time.time() + self._passed_seconds


class _ServerThread:
    """One life of the server: from the opening of its port to its closing."""

    def __init__(self, app: Any, port: int) -> None:
        self._socket = _bind(port)
        self._socket.listen(128)
        config = uvicorn.Config(app, log_level="critical", lifespan="off", access_log=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Returns when the port is closed; requests that are being answered are dropped."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._socket.close()


def _bind(port: int) -> socket.socket:
    """A port that nobody else is given, though it refuses connections until somebody listens."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound
