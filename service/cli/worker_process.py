"""The worker process: everything that a worker is made of, in order."""

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from asktell.workers import WorkerClient

from service import __version__
from service.cli.failures import CannotStart
from service.cli.worker_executors import open_executors
from service.schedulers.executors.base import Executor
from service.schedulers.server_calls import WorkerIdentity
from service.schedulers.workdir import Workdir, WorkdirUnusable, open_workdir
from service.schedulers.worker import Worker
from service.settings import WorkerSettings

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_worker(settings: WorkerSettings, client: WorkerClient, *, workdir: Path) -> None:
    """Works until SIGINT or SIGTERM, then finishes what runs; a second one ends that.

    Raises:
        CannotStart: A setting or the machine stands in the way; the message says which.
    """
    try:
        with open_workdir(workdir) as opened:
            asyncio.run(_work(settings, client, opened))
    except WorkdirUnusable as error:
        raise CannotStart(str(error)) from None


async def _work(settings: WorkerSettings, client: WorkerClient, workdir: Workdir) -> None:
    async with open_executors(settings, workdir) as opened:
        worker = Worker(
            client,
            _build_identity(settings, workdir, opened.executors),
            workdir,
            opened.executors,
            mirrors=opened.mirrors,
            drain_seconds=settings.drain_seconds,
        )
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, worker.drain)
        await worker.run()


def _build_identity(
    settings: WorkerSettings, workdir: Workdir, executors: Sequence[Executor]
) -> WorkerIdentity:
    return WorkerIdentity(
        workdir.worker_id,
        name=settings.name,
        host=socket.gethostname(),
        queue=settings.queue,
        executors=tuple(executor.name for executor in executors),
        slots=settings.slots or count_cores(),
        version=__version__,
        adopts=tuple(executor.name for executor in executors if executor.is_shared),
    )


def count_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
