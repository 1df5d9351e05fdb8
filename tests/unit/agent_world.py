"""A sweep of W&B and its agents in memory, and a worker's executor wandb-agent on it."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from service.schedulers.executors.base import Launch, Sighting, Watch
from service.schedulers.executors.connection.connection import SystemRefused
from service.schedulers.executors.wandb.agents.agent_api import AgentApi
from service.schedulers.executors.wandb.agents.agent_executor import WandbAgentExecutor
from service.schedulers.executors.wandb.runs.run_api import WandbApi
from service.schedulers.executors.wandb.runs.run_settings import RunSettings
from tests.unit.launch_worker import Clock, settle
from tests.unit.launch_world import LaunchWorld, Run

SWEEP = "acme/mnist/sweep001"
NEVER_BEGUN = ("pending", "killed")


@dataclass
class EnqueuedRun(Run):
    """A run of the sweep; `label` is its display name, and an agent may have taken it."""

    state: str = "pending"
    label: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    is_taken: bool = False
    created_at: str = "2026-01-01T00:00:00Z"


class AgentWorld(LaunchWorld):
    """What is at W&B, and what agents and people do there.

    Attributes:
        sweep_state: W&B's word; None: it was deleted.
        can_enqueue: Whether this W&B can.
        hidden: Names of runs that are not in lists yet.
        takes_at_once: Whether agents take what waits before anybody looks at it, and programs end
            at the first request.
        executions: How often a program was begun, by label.
    """

    def __init__(self, *, takes_at_once: bool = False) -> None:
        super().__init__()
        self.sweep_state: str | None = "RUNNING"
        self.can_enqueue = True
        self.hidden: set[str] = set()
        self.takes_at_once = takes_at_once
        self.executions: Counter[str] = Counter()

    def list_enqueued(self) -> list[EnqueuedRun]:
        return [run for run in self.runs.values() if isinstance(run, EnqueuedRun)]

    def take(self, *, is_begun: bool = True) -> EnqueuedRun:
        """An agent takes the oldest run that waits, and its program begins."""
        run = next(run for run in self.list_enqueued() if run.state == "pending")
        run.is_taken = True
        if not is_begun:
            return run
        run.state = "running"
        self.executions[run.label] += 1
        return run

    def _enqueue_run(
        self, entity: str, project: str, sweep: str, params: dict[str, Any], label: str
    ) -> str | None:
        if self.sweep_state is None:
            raise SystemRefused("There is no such sweep.")
        if not self.can_enqueue:
            return None
        name = f"w{next(self._numbers):03d}"
        self.runs[f"{entity}/{project}/{name}"] = EnqueuedRun(label=label, config=params)
        return name

    def _list_enqueued_runs(
        self, entity: str, project: str, sweep: str, labels: list[str]
    ) -> list[dict[str, Any]]:
        assert f"{entity}/{project}/{sweep}" == SWEEP
        return [
            {
                "name": name,
                "label": run.label,
                "state": run.state,
                "created_at": run.created_at,
            }
            for name, run in ((path.split("/")[2], run) for path, run in self.runs.items())
            if isinstance(run, EnqueuedRun) and run.label in labels and name not in self.hidden
        ]

    def _list_taken_runs(self, entity: str, project: str, sweep: str) -> list[str]:
        assert f"{entity}/{project}/{sweep}" == SWEEP
        found = ((path.split("/")[2], run) for path, run in self.runs.items())
        return [name for name, run in found if isinstance(run, EnqueuedRun) and run.is_taken]

    def _find_runs(self, entity: str, project: str, run_ids: list[str]) -> dict[str, Any] | None:
        while self.takes_at_once and any(run.state == "pending" for run in self.list_enqueued()):
            self.take()
        return super()._find_runs(entity, project, run_ids)

    def _flag_stop(self, entity: str, project: str, run_id: str) -> None:
        super()._flag_stop(entity, project, run_id)
        run = self.runs[f"{entity}/{project}/{run_id}"]
        if run.state == "pending" or (self.takes_at_once and run.state == "running"):
            run.state = "killed"

    def _read_heartbeat(self, entity: str, project: str, run_id: str) -> str:
        run = self.runs[f"{entity}/{project}/{run_id}"]
        assert isinstance(run, EnqueuedRun)
        return run.heartbeat_at

    def _end_run(self, entity: str, project: str, run_id: str, exit_code: int) -> bool:
        assert exit_code != 0
        self.runs[f"{entity}/{project}/{run_id}"].end("failed")
        return True

    def _read_sweep_states(
        self, entity: str, project: str, names: list[str]
    ) -> dict[str, str | None]:
        return dict.fromkeys(names, self.sweep_state)

    def _find_sweeps(
        self, entity: str | None, project: str, marker: str, cursor: str | None
    ) -> dict[str, Any]:
        assert (entity, project, marker) == (None, "mnist", "asktell k3v9x2ab")
        entity, project, name = SWEEP.split("/")
        sweep = {"entity": entity, "project": project, "name": name, "created_at": "", "url": ""}
        found = [] if self.sweep_state is None else [{**sweep, "state": self.sweep_state}]
        return {"sweeps": found, "cursor": None}


class Worker(WandbAgentExecutor):
    """An executor that looks when a test says so."""

    def __init__(self, world: AgentWorld, clock: Clock) -> None:
        settings = RunSettings(
            environment={"WANDB_BASE_URL": "https://wandb.example.org"},
            tick_seconds=0.01,
            soonest_seconds=0.005,
            clock=clock,
        )
        super().__init__(WandbApi(world), AgentApi(world), settings)
        self._tests_clock = clock

    async def look(
        self, launch: Launch, cursor: int = 0, *, after_seconds: float = 0.01
    ) -> Sighting:
        """What is to be seen after one more look at W&B."""
        self._tests_clock.seconds += after_seconds
        await self.poll([Watch(launch, cursor)])
        await settle()
        return (await self.poll([Watch(launch, cursor)]))[launch.attempt_id]


def build_launch(number: int = 12, attempt: int = 1, **arguments: Any) -> Launch:
    attempt_id = f"k3v9x2ab-{number}-{attempt}"
    return Launch(
        attempt_id,
        run_id=attempt_id,
        study="digits",
        trial=number,
        attempt=attempt,
        params={"lr": 0.1, "optimizer": {"name": "adam"}},
        metrics=("loss",),
        directions=("minimize",),
        arguments={"program": "train.py", "project": "mnist", "value": "last", **arguments},
        mirror_ref=SWEEP,
        environment={"ASKTELL_TOKEN": "a-token-of-this-attempt"},
    )
