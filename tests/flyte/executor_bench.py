"""The executor `flyte` of a worker beside the stand-in: a real process with flytekit, real gRPC."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from service.domain.attempts import Ending
from service.domain.flyte import build_execution_name
from service.schedulers.executors.base import Executor, Launch, Sighting, Watch
from service.schedulers.executors.connection.connection import (
    Connection,
    ConnectionPace,
    SystemConnection,
)
from service.schedulers.executors.flyte.api import FlyteApi
from service.schedulers.executors.flyte.executor import FlyteExecutor, FlyteSettings
from service.schedulers.executors.flyte.system import describe_flyte
from service.schedulers.executors.process.processes import list_processes
from tests.contracts.executor_contract import watch_until
from tests.flyte_admin import FlyteAdmin
from tests.flyte_admin.admin import DOMAIN, PROJECT, VERSION
from tests.flyte_admin.records import ExecutionRecord

PLANTED = "train"
TOKEN = "a-token-of-this-attempt"


@dataclass(slots=True)
class Bench:
    """A Flyte, and a worker's connection to it.

    Attributes:
        number: Of the last launch that was built.
    """

    admin: FlyteAdmin
    connection: SystemConnection
    number: int = field(default=0)

    def clear(self) -> None:
        """Ends all faults and executions."""
        self.admin.recover()
        for name, record in self.admin.executions.items():
            if not record.has_ended:
                self.admin.abort(name, "The test is over.")

    def open_executor(
        self,
        connection: Connection | None = None,
        *,
        now: Callable[[], float] = time.time,
        tick_seconds: float = 0.02,
    ) -> FlyteExecutor:
        """Another executor, as another worker has it."""
        settings = FlyteSettings(
            tick_seconds=tick_seconds, soonest_seconds=tick_seconds / 2, now=now
        )
        return FlyteExecutor(FlyteApi(connection or self.connection), settings)

    def build_launch(
        self,
        params: Mapping[str, Any] | None = None,
        *,
        attempt_id: str | None = None,
        metrics: tuple[str, ...] = ("loss",),
        task: str = PLANTED,
        version: str = VERSION,
        **arguments: Any,
    ) -> Launch:
        """An attempt that no other test has; of the planted task unless told otherwise."""
        self.number += 1
        if not {"workflow", "launch_plan"} & set(arguments):
            arguments["task"] = f"{PROJECT}/{DOMAIN}/{task}@{version}"
        return Launch(
            attempt_id or f"k3v9x2ab-{self.number}-1",
            study="digits",
            trial=self.number,
            attempt=1,
            params={"x": 0.5} if params is None else params,
            metrics=metrics,
            directions=("minimize",) * len(metrics),
            arguments=arguments,
            environment={"ASKTELL_TOKEN": TOKEN},
        )

    def find(self, launch: Launch) -> ExecutionRecord:
        return self.admin.executions[build_execution_name(launch.attempt_id)]

    def list_executions(self, launch: Launch) -> list[ExecutionRecord]:
        """All that have its label."""
        records = self.admin.executions.values()
        return [each for each in records if each.labels["asktell-attempt"] == launch.attempt_id]

    def wait_for(self, launch: Launch, *phases: str) -> ExecutionRecord:
        return self.admin.wait_for(build_execution_name(launch.attempt_id), *phases)

    def succeed(self, launch: Launch, **outputs: float) -> None:
        """Ends an execution of the planted task."""
        self.admin.succeed(build_execution_name(launch.attempt_id), **outputs)

    async def wait_for_calls(self, rpc: str, count: int) -> None:
        """Returns when it has come so often since the start of Flyte."""
        while True:
            if self.admin.calls[rpc] >= count:
                return
            await asyncio.sleep(0.01)

    @contextmanager
    def count_calls(self) -> Iterator[Counter[str]]:
        """Filled at the end with the RPCs that came meanwhile."""
        before, during = self.admin.calls, Counter[str]()
        yield during
        during.update(self.admin.calls - before)


@asynccontextmanager
async def open_bench(
    admin: FlyteAdmin, home: Path, variables: Mapping[str, str] | None = None
) -> AsyncIterator[Bench]:
    """A worker beside a Flyte that has a task `train` from `x` to `o0` without a program.

    Args:
        variables: More of them for the worker.
    """
    admin.plant_task(PLANTED, inputs={"x": float}, outputs={"o0": float})
    environment = build_worker_environment(admin, home) | dict(variables or {})
    connection = open_connection(environment)
    try:
        yield Bench(admin, connection)
    finally:
        await connection.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    """One for all tests of a module: the process with flytekit takes seconds to start."""
    with FlyteAdmin(slots=2) as admin:
        async with open_bench(admin, tmp_path_factory.mktemp("home")) as bench:
            yield bench
        assert admin.unknown == [], f"Teach tests/flyte_admin this: {admin.unknown}"


def build_worker_environment(admin: FlyteAdmin, home: Path) -> dict[str, str]:
    """Of a worker that finds Flyte by its variables, and nobody's home."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), **admin.build_environment()}


def open_connection(environment: Mapping[str, str], **pace: float) -> SystemConnection:
    """One that never pauses."""
    return SystemConnection(
        describe_flyte(environment),
        pace=ConnectionPace(**{"calls_per_second": 1000.0, **pace}),
        chance=lambda: 0.0,
    )


async def see(
    executor: Executor, launch: Launch, condition: Callable[[Sighting], bool]
) -> Sighting:
    return await watch_until(executor, Watch(launch), condition)


async def see_end(executor: Executor, launch: Launch) -> Ending:
    seen = await see(executor, launch, lambda seen: seen.ending is not None)
    assert not seen.is_running
    assert seen.note is None
    assert seen.ending is not None
    return seen.ending


def list_children() -> list[int]:
    """The processes with flytekit that this one has started, and that are still there."""
    mine = [each.pid for each in list_processes() if each.parent == os.getpid()]
    return [pid for pid in mine if "executors.flyte.process" in read_command(pid)]


def read_command(pid: int) -> str:
    """Empty for what has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""
