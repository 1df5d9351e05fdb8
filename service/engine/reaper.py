"""Attends to studies that nobody calls: leases and time limits that run out."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import structlog

from service.domain.errors import AsktellError
from service.engine.actor import Actor
from service.engine.expire import expire
from service.observability import log_context

_log = structlog.get_logger(__name__)

# What another server has, or had, is looked for less often than what is in memory here.
_ROUNDS_PER_PATROL = 5


class Studies(Protocol):
    """The engine, as the reaper needs it."""

    def list_actors(self) -> list[Actor]:
        """Studies that are held in memory here."""

    async def list_overdue(self) -> list[str]:
        """Names of other studies in the database that should have been attended to."""

    async def get_actor(self, name: str) -> Actor:
        """Loads a study, unless another server has it."""

    async def put_idle_aside(self) -> None:
        """Forgets studies that nobody uses, if there are too many."""


async def reap(studies: Studies, *, every_seconds: float) -> None:
    """Gives up what is overdue, again and again, until cancelled.

    Studies that are in the database only, after a restart say, are loaded once one of their
    leases has run out: nobody else would notice.
    """
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_repeat(attend, studies, every_seconds))
        # Loading takes a while, and what is held here must not wait for it.
        tasks.create_task(_repeat(patrol, studies, every_seconds * _ROUNDS_PER_PATROL))


async def attend(studies: Studies) -> None:
    """Gives up what is overdue in the studies that are held here."""
    for actor in studies.list_actors():
        # One study that cannot be attended to must not keep the others waiting.
        with log_context(study=actor.spec.name), _carrying_on():
            await expire(actor)
    with _carrying_on():
        await studies.put_idle_aside()


async def patrol(studies: Studies) -> None:
    """Loads the studies in which something is overdue, unless another server has them."""
    names: list[str] = []
    with _carrying_on():
        names = await studies.list_overdue()
    for name in names:
        # Another server has it, it is gone, or the database is: the next round will tell.
        with log_context(study=name), _carrying_on():
            await studies.get_actor(name)


async def _repeat(
    work: Callable[[Studies], Awaitable[None]], studies: Studies, every_seconds: float
) -> None:
    while True:
        await asyncio.sleep(every_seconds)
        await work(studies)


@contextmanager
def _carrying_on() -> Iterator[None]:
    try:
        yield
    except AsktellError as error:
        _log.debug("reaper.waits", code=error.code)
    except Exception:
        _log.exception("reaper.failed")
