"""Ending what executors have launched that a worker does not have any more."""

import asyncio
from functools import partial

import structlog

from service.schedulers.clearing import end_at_once, insist
from service.schedulers.executors.base import Executor, Launch, Watch
from service.schedulers.lookout import Lookout
from service.schedulers.pace import Pace
from service.schedulers.workdir import Workdir

_log = structlog.get_logger(__name__)


async def end_orphans(executor: Executor, workdir: Workdir, pace: Pace | None = None) -> None:
    """Kills what still runs of the executor's attempts, before the worker speaks to the server.

    Nobody can follow them, so the worker will say that they were preempted, and the next attempts
    may go on with the same outside runs. Their folders stay: only the executor that made them knows
    what of them is to be kept.

    Args:
        executor: Sees the attempts and ends them; need not be the one that launched them.

    Raises:
        StillRunning: One does not go.
        Exception: One cannot be killed.
    """
    pace = pace or Pace()
    lookout = Lookout(executor, pace)
    looking = asyncio.create_task(lookout.run())
    try:
        orphans = await _find_running(executor, pace)
        await asyncio.gather(*(_end(executor, lookout, each, workdir, pace) for each in orphans))
    finally:
        looking.cancel()


async def _find_running(executor: Executor, pace: Pace) -> list[str]:
    attempt_ids = await insist(executor, partial(executor.list_left_over, frozenset()), pace)
    watches = [Watch(Launch(attempt_id)) for attempt_id in attempt_ids]
    sightings = await executor.poll(watches)
    ended = {name for name, sighting in sightings.items() if sighting.ending is not None}
    return [attempt_id for attempt_id in attempt_ids if attempt_id not in ended]


async def _end(
    executor: Executor, lookout: Lookout, attempt_id: str, workdir: Workdir, pace: Pace
) -> None:
    workdir.note_preempted(attempt_id)
    await end_at_once(executor, lookout, Launch(attempt_id), pace)
    _log.warning("attempt.orphaned", attempt_id=attempt_id)
