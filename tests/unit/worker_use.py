"""A worker in a test: quick, in this event loop, with programs that the test plays."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from asktell.workers import WorkerClient

from service.schedulers.executors.base import Executor
from service.schedulers.executors.fake import FakeExecutor, FakeWorld
from service.schedulers.executors.mirrors import SweepMirror
from service.schedulers.pace import Pace
from service.schedulers.server_calls import WorkerIdentity
from service.schedulers.workdir import open_workdir
from service.schedulers.worker import Worker
from tests.unit.scripted_server import ScriptedServer

URL = "http://127.0.0.1:8700"
ONE, TWO, THREE = (f"k3v9x2ab-{trial}-1" for trial in range(3))
QUICK = Pace(
    look_seconds=0.003,
    observe_seconds=0.01,
    register_seconds=0.01,
    claim_wait_seconds=0.0,
    ask_again_seconds=0.01,
    launch_seconds=10.0,
    moment_seconds=10.0,
    first_pause_seconds=0.005,
    longest_pause_seconds=0.02,
    refused_pause_seconds=0.01,
    leave_seconds=10.0,
)


class OwnExecutor(FakeExecutor):
    """Another one, whose attempts are bound to the worker."""

    name = "own"


class Stage:
    """A server, a world of programs, a folder, and workers that come and go."""

    def __init__(self, folder: Path) -> None:
        self.server = ScriptedServer()
        self.world = FakeWorld()
        self.folder = folder

    @asynccontextmanager
    async def working(
        self,
        *,
        slots: int = 4,
        executors: Sequence[Executor] = (),
        mirrors: Mapping[str, SweepMirror] | None = None,
        drain_seconds: float | None = None,
        pace: Pace = QUICK,
    ) -> AsyncIterator[Worker]:
        """A worker at work; killed in the end, if it has not left."""
        present = executors or [FakeExecutor(self.world)]
        names = tuple(executor.name for executor in present)
        client = WorkerClient(URL, "a-token-for-tests", transport=self.server.transport)
        with open_workdir(self.folder) as workdir, client:
            identity = WorkerIdentity(workdir.worker_id, "w", "h", "default", names, slots, "0")
            worker = Worker(
                client,
                identity,
                workdir,
                present,
                mirrors=mirrors,
                drain_seconds=drain_seconds,
                pace=pace,
            )
            # A worker that fails fails the test.
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(worker.run())
                yield worker
                task.cancel()

    async def has_left(self) -> None:
        """Returns once no worker is known to the server."""
        await until(lambda: self.server.calls["leave"] > 0 and not self.server.workers)

    async def is_over(self, *attempt_ids: str) -> None:
        """Returns once the server has been told the ends of these, and nothing is kept of them."""
        attempts = [self.server.attempts[attempt_id] for attempt_id in attempt_ids]
        await until(lambda: all(attempt.is_over for attempt in attempts))
        await until(lambda: not set(attempt_ids) & set(self.world.list_known()))


async def until(is_so: Callable[[], bool]) -> None:
    """Returns when it is so; the test's time limit is the patience."""
    while True:
        if is_so():
            return
        await asyncio.sleep(0.001)
