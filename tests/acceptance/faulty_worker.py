"""The real worker, which strikes: `python -m tests.acceptance.faulty_worker URL WORKDIR ORDERS`.

ORDERS is the file of `build_strike`. Faster than usual, so that tests need not wait.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from asktell.workers import WorkerClient

from service.schedulers.executors.base import Executor
from service.schedulers.executors.process.executor import ProcessExecutor, ProcessSettings
from service.schedulers.pace import Pace
from service.schedulers.server_calls import WorkerIdentity
from service.schedulers.workdir import Workdir, open_workdir
from service.schedulers.worker import Worker
from tests.acceptance.strikes import Strike, StrikingExecutor, StrikingTransport, build_strike

_QUICKLY = Pace(
    look_seconds=0.05,
    observe_seconds=0.1,
    register_seconds=1.0,
    claim_wait_seconds=2.0,
    first_pause_seconds=0.1,
    longest_pause_seconds=0.5,
)


def main(open_executor: Callable[[Workdir, Strike], AbstractAsyncContextManager[Executor]]) -> None:
    """Works until SIGTERM; strikes by its executor and by its connection to the server."""
    logging.disable()
    url, folder, orders = sys.argv[1:]
    strike = build_strike(Path(orders))
    client = WorkerClient(url, transport=StrikingTransport(strike))
    with client, open_workdir(Path(folder)) as workdir:
        asyncio.run(_work(client, workdir, open_executor(workdir, strike), strike))


async def _work(
    client: WorkerClient,
    workdir: Workdir,
    opening: AbstractAsyncContextManager[Executor],
    strike: Strike,
) -> None:
    async with opening as opened:
        executor = StrikingExecutor(opened, strike)
        identity = WorkerIdentity(
            workdir.worker_id,
            name=workdir.path.name,
            host="here",
            queue="default",
            executors=(executor.name,),
            slots=2,
            version="0",
            adopts=(executor.name,) if executor.is_shared else (),
        )
        worker = Worker(client, identity, workdir, [executor], pace=_QUICKLY)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.drain)
        await worker.run()


@asynccontextmanager
async def _open_processes(workdir: Workdir, _strike: Strike) -> AsyncIterator[Executor]:
    settings = ProcessSettings(
        workdir=workdir.path,
        host="here",
        allowed=("*",),
        environment=os.environ,
        interpreter=sys.executable,
        passed=(),
    )
    yield ProcessExecutor(settings)


if __name__ == "__main__":
    main(_open_processes)
