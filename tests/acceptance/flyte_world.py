"""A server, workers as people start them, and a stand-in for Flyte that runs real task programs."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from service.storage.database import Database
from tests.acceptance.server_process import ServerProcess, running
from tests.acceptance.worker_world import WorkerWorld
from tests.flyte_admin import FlyteAdmin, Zygote
from tests.flyte_admin.admin import DOMAIN, PROJECT, VERSION
from tests.flyte_admin.records import Executed, ExecutionRecord

TASKS = "tests.acceptance.flyte_tasks"
TOO_LATE = (403, 409)


class FlyteWorld(WorkerWorld):
    """One machine with Asktell on it.

    Attributes:
        admin: What workers take for Flyte unless they are told otherwise.
        zygote: Forks the programs of tasks, for any admin.
    """

    def __init__(
        self, server: ServerProcess, folder: Path, admin: FlyteAdmin, zygote: Zygote
    ) -> None:
        super().__init__(server, folder)
        self.admin = admin
        self.zygote = zygote

    def start_worker(
        self,
        name: str,
        *,
        queue: str = "default",
        executors: str = "flyte",
        slots: int = 2,
        admin: FlyteAdmin | None = None,
    ) -> None:
        """A worker, unless it runs; the same as before if it was started before."""
        admin = admin or self.admin
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.make_home(name)),
            **admin.build_environment(),
        }
        options = {"--queue": queue, "--executors": executors, "--slots": str(slots)}
        self.run_worker(name, environment, options)

    def list_executions(self, name: str, admin: FlyteAdmin | None = None) -> list[ExecutionRecord]:
        """All that any worker ever started for a sweep, in the order of creation."""
        return list_executions(admin or self.admin, self.get_sweep(name)["id"])

    def list_programs(self, name: str) -> list[Executed]:
        """All that were ever started for a sweep."""
        names = [execution.name for execution in self.list_executions(name)]
        return [each for each in self.admin.executed if each.execution in names]

    def wait_executions(
        self, name: str, *phases: str, admin: FlyteAdmin | None = None
    ) -> list[ExecutionRecord]:
        """Returns once a sweep has an execution in each of the phases, in this order."""
        self.wait_until(
            lambda: [each.phase for each in self.list_executions(name, admin)] == list(phases)
        )
        return self.list_executions(name, admin)

    def list_notes(self, name: str) -> list[str]:
        """What is to be said of attempts."""
        return [each["note"] for each in self.list_attempts(name) if each["note"] is not None]

    def check_once(self, name: str, admin: FlyteAdmin | None = None) -> None:
        """Each attempt of a sweep was one execution, which has ended and can say nothing more."""
        admin = admin or self.admin
        executions = self.list_executions(name, admin)
        check_once(admin, [attempt["id"] for attempt in self.list_attempts(name)], executions)
        assert all(speak_as(execution) in TOO_LATE for execution in executions)


def speak_as(execution: ExecutionRecord) -> int:
    """The status that a task gets for a report, with what it knows of Asktell."""
    envs = execution.envs
    trial = f"{envs['ASKTELL_URL']}/studies/{envs['ASKTELL_STUDY']}/trials/{envs['ASKTELL_TRIAL']}"
    headers = {"Authorization": f"Bearer {envs['ASKTELL_TOKEN']}"}
    report = {"step": 99, "value": 0.5}
    return httpx.post(f"{trial}/report", json=report, headers=headers).status_code


def build_launch(task: str, *, version: str = VERSION, **arguments: Any) -> dict[str, Any]:
    """How sweeps launch a task of `flyte_tasks`."""
    return {
        "executor": "flyte",
        "task": f"{PROJECT}/{DOMAIN}/{TASKS}.{task}@{version}",
        **arguments,
    }


def list_executions(admin: FlyteAdmin, sweep_id: str) -> list[ExecutionRecord]:
    """All that any worker ever started for a sweep, in the order of creation."""
    executions = admin.executions.values()
    return [each for each in executions if each.labels.get("asktell-sweep") == sweep_id]


def count_executions(executions: list[ExecutionRecord]) -> Counter[str]:
    """How many there are of each attempt."""
    return Counter(execution.labels["asktell-attempt"] for execution in executions)


def check_once(admin: FlyteAdmin, attempts: list[str], executions: list[ExecutionRecord]) -> None:
    """Each attempt was one execution, which has ended, and no program was started twice."""
    assert count_executions(executions) == Counter(attempts)
    assert all(execution.has_ended for execution in executions)
    names = {execution.name for execution in executions}
    started = Counter((each.execution, each.attempt) for each in admin.executed)
    assert all(times == 1 for (name, _), times in started.items() if name in names)


@contextmanager
def open_flyte_world(folder: Path, database: Database) -> Iterator[FlyteWorld]:
    """A world with a server and all tasks; workers are up to the test.

    At its end Flyte must not have been asked for what the stand-in does not know.
    """
    server = ServerProcess(database, folder / "server")
    with open_flyte(folder) as (admin, zygote), running(server):
        world = FlyteWorld(server, folder, admin, zygote)
        try:
            yield world
        finally:
            world.close()


@contextmanager
def open_flyte(folder: Path) -> Iterator[tuple[FlyteAdmin, Zygote]]:
    """A stand-in that has all tasks, and what forks their programs."""
    home = folder / "zygote"
    home.mkdir()
    zygote = Zygote(home)
    try:
        with open_admin(zygote) as admin:
            yield admin, zygote
    finally:
        zygote.close()


@contextmanager
def open_admin(zygote: Zygote, *, slots: int = 16) -> Iterator[FlyteAdmin]:
    """A stand-in that has all tasks."""
    with FlyteAdmin(zygote=zygote, slots=slots) as admin:
        admin.register(TASKS)
        yield admin
        assert admin.unknown == [], f"Teach tests/flyte_admin this: {admin.unknown}"
