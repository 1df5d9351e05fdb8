"""Ending an attempt at once, and removing what is left of one that is nobody's."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import structlog

from service.domain.attempts import Ending
from service.schedulers.executors.base import (
    ErrorKind,
    Executor,
    Launch,
    StillRunning,
    StopKind,
    Watch,
)
from service.schedulers.lookout import Lookout
from service.schedulers.pace import Backoff, Pace
from service.schedulers.surroundings import LeftToOthers, Surroundings

_log = structlog.get_logger(__name__)
_Result = TypeVar("_Result")


async def insist(
    executor: Executor,
    operation: Callable[[], Awaitable[_Result]],
    pace: Pace,
    *,
    patience_seconds: float = math.inf,
) -> _Result:
    """Repeats an operation of the executor until it succeeds.

    Raises:
        Exception: What it failed with, if trying again cannot help or the patience is at its end.
    """
    clock = asyncio.get_running_loop().time
    until = clock() + patience_seconds
    backoff = Backoff(pace)
    while True:
        try:
            return await operation()
        except Exception as error:
            if executor.classify(error) is ErrorKind.PERMANENT or clock() >= until:
                raise
            pause = backoff.next_pause()
            _log.warning(
                "executor.failed", executor=executor.name, reason=str(error), again_in_seconds=pause
            )
        await asyncio.sleep(pause)


async def end_at_once(
    executor: Executor,
    lookout: Lookout,
    launch: Launch,
    pace: Pace,
    *,
    patience_seconds: float = math.inf,
) -> Ending | None:
    """Kills an attempt that may be at any point of its life; returns once it has ended.

    None if there is nothing to see of it.

    Args:
        patience_seconds: For how long a kill that fails for the moment is repeated.

    Raises:
        StillRunning: It does not go; whoever wants it gone has to try again later.
        Exception: It cannot be killed.
    """
    await insist(
        executor,
        lambda: executor.stop(launch, StopKind.AT_ONCE),
        pace,
        patience_seconds=patience_seconds,
    )
    is_there = False
    try:
        async with asyncio.timeout(pace.leave_seconds):
            while True:
                sighting = await lookout.look(Watch(launch))
                is_there = True
                if sighting.ending is not None:
                    return sighting.ending
    except TimeoutError:
        if is_there:
            raise StillRunning(f"{launch.attempt_id} was killed and does not go.") from None
        return None


async def end_or_leave(
    executor: Executor,
    lookout: Lookout,
    launch: Launch,
    around: Surroundings,
    *,
    patience_seconds: float,
) -> Ending | None:
    """Kills an attempt however long that takes; None if there is nothing to see of it.

    What others can go on with need not hold a slot for ever: it is left as it is once every stop
    has failed for as long as the patience lasts, or the worker goes.

    Raises:
        StillRunning: It does not go, and nobody else can kill it.
        LeftToOthers: The worker has to go, and others can go on with the attempt.
        Exception: It cannot be killed, and nobody else can.
    """
    if not executor.is_shared:
        return await end_at_once(executor, lookout, launch, around.pace)
    ending = asyncio.create_task(
        _insist_on_end(executor, lookout, launch, around.pace, patience_seconds)
    )
    leaving = asyncio.create_task(around.must_go.wait())
    try:
        await asyncio.wait([ending, leaving], return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        ending.cancel()
    if not ending.done():
        raise LeftToOthers
    try:
        return ending.result()
    except Exception as error:
        names = {"attempt_id": launch.attempt_id, "study": launch.study}
        _log.warning("attempt.not_stopped", **names, reason=str(error))
        return None


async def finish_or_leave(work: Coroutine[Any, Any, None], around: Surroundings) -> bool:
    """Does what is left to do here for an attempt; False if the worker leaves before that is done.

    Once the worker has to go, there is as much time for it as for its last words. Its next start
    finds what is left.

    Raises:
        Exception: What the work failed with.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_wait_to_leave(around))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        working.cancel()
    if not working.done():
        return False
    working.result()
    return True


async def clear_left_over(
    executor: Executor, lookout: Lookout, attempt_id: str, pace: Pace
) -> None:
    """Ends what nobody wants from this worker any more, and removes it.

    Raises:
        StillRunning: It does not go.
        Exception: It cannot be killed, or not be removed.
    """
    launch = Launch(attempt_id)
    await end_at_once(executor, lookout, launch, pace)
    await insist(executor, lambda: executor.forget(launch), pace)


async def _wait_to_leave(around: Surroundings) -> None:
    await around.must_go.wait()
    await asyncio.sleep(around.pace.leave_seconds)


async def _insist_on_end(
    executor: Executor, lookout: Lookout, launch: Launch, pace: Pace, patience_seconds: float
) -> Ending | None:
    while True:
        # An outside system may take its time.
        with suppress(StillRunning):
            return await end_at_once(
                executor, lookout, launch, pace, patience_seconds=patience_seconds
            )
