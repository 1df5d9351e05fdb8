"""The real worker, which strikes: `python -m tests.acceptance.faulty_worker URL WORKDIR ORDERS`.

ORDERS is the file of `build_strike`. Faster than usual, so that tests need not wait.
"""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from asktell.workers import WorkerClient

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


async def _work(client: WorkerClient, workdir: Workdir, strike: Strike) -> None:
    settings = ProcessSettings(
        workdir=workdir.path,
        host="here",
        allowed=("*",),
        environment=os.environ,
        interpreter=sys.executable,
        passed=(),
    )
    executor = StrikingExecutor(ProcessExecutor(settings), strike)
    identity = WorkerIdentity(
        workdir.worker_id,
        name=workdir.path.name,
        host="here",
        queue="default",
        executors=(executor.name,),
        slots=2,
        version="0",
    )
    worker = Worker(client, identity, workdir, [executor], pace=_QUICKLY)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.drain)
    await worker.run()


if __name__ == "__main__":
    logging.disable()
    _url, _workdir, _orders = sys.argv[1:]
    _strike = build_strike(Path(_orders))
    _client = WorkerClient(_url, transport=StrikingTransport(_strike))
    with _client, open_workdir(Path(_workdir)) as _opened:
        asyncio.run(_work(_client, _opened, _strike))
