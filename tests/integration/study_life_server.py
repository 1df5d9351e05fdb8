"""One study behind an engine that can be restarted, killed and cut off, whose time is given."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import psycopg

from service.domain.trials import TrialView
from service.engine.actor import Actor
from service.engine.engine import Engine, open_engine
from service.storage.database import Database
from service.storage.reads import StoredStudy
from tests.integration.engine_use import eventually

# Whoever writes the study holds an advisory lock on it; gone when this returns.
_CUT_OFF = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_locks
WHERE locktype = 'advisory' AND objid = %s
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

_SELECT_HIDDEN = """
SELECT is_paused, last_seq, wake_at,
       (SELECT count(*) FROM asktell.suggestions JOIN asktell.trials USING (trial_id)
        WHERE trials.study_id = studies.study_id),
       (SELECT count(*) FROM asktell.idempotency_keys AS kept
        WHERE kept.study_id = studies.study_id)
FROM asktell.studies WHERE study_id = %s
"""

_MANY = 10_000


class Fault(StrEnum):
    """What may go wrong while an operation is under way."""

    CUT_BEFORE_COMMIT = "before-commit"
    CUT_AFTER_COMMIT = "after-commit"
    CLIENT_GONE = "client gone"
    SERVER_DEAD = "server dead"


class _Killed(Exception):
    """The process died: nothing is drained, nobody is answered."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that is stored of a study."""

    study: StoredStudy
    trials: list[TrialView]
    is_paused: bool
    last_seq: int
    wake_at: datetime | None
    n_suggestions: int
    n_replies: int


class StudyServer:
    """An event loop and an engine of its own, for one study.

    Args:
        clock: Gives the time that the engine goes by.
    """

    def __init__(self, database: Database, name: str, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._name = name
        self._clock = clock
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._admin = psycopg.connect(database.conninfo, autocommit=True)
        self._study_id: int | None = None
        self._cut_at: Fault | None = None
        self.engine: Engine = self.run(self._open())

    def close(self) -> None:
        self.run(self._stack.aclose())
        self._runner.close()
        self._admin.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    def call(self, act: Callable[[Actor], Awaitable[Any]]) -> Any:
        """Returns what the operation does, or raises what it is refused with."""
        return self.run(self._call(act))

    def restart(self) -> None:
        """Ends the engine in order; the next one has the study when this returns."""
        self.run(self._restart(None))

    def call_amid(self, fault: Fault, act: Callable[[Actor], Awaitable[Any]], *, turns: int) -> Any:
        """Lets something go wrong with the operation; the study is served when this returns.

        Args:
            turns: Of the event loop, before the client goes or the server dies.

        Returns:
            The answer; or what was raised; None if there was nobody to get it.
        """
        match fault:
            case Fault.CUT_BEFORE_COMMIT | Fault.CUT_AFTER_COMMIT:
                return self.run(self._call_cut_off(fault, act))
            case Fault.CLIENT_GONE:
                return self.run(self._call_and_leave(act, turns))
            case Fault.SERVER_DEAD:
                return self.run(self._call_and_die(act, turns))

    def look(self) -> Seen:
        """Returns the study as it is in the database."""
        return self.run(self._look())

    async def _open(self) -> Engine:
        opened = open_engine(
            self._database, clock=self._clock, reap_every_seconds=None, probe=self._strike
        )
        return await self._stack.enter_async_context(opened)

    def _strike(self, point: str) -> None:
        if self._cut_at is None or self._cut_at.value != point:
            return
        self._cut_at = None
        self._admin.execute(_CUT_OFF, (self._study_id,))
        if point == Fault.CUT_AFTER_COMMIT:
            raise psycopg.OperationalError("The answer to COMMIT was lost.")

    async def _call(self, act: Callable[[Actor], Awaitable[Any]]) -> Any:
        return await act(await self._get_actor())

    async def _get_actor(self) -> Actor:
        return await eventually(lambda: self.engine.get_actor(self._name))

    async def _call_cut_off(self, fault: Fault, act: Callable[[Actor], Awaitable[Any]]) -> Any:
        actor = await self._get_actor()
        self._study_id = actor.study_id
        self._cut_at = fault
        (outcome,) = await asyncio.gather(act(actor), return_exceptions=True)
        self._cut_at = None
        await self._get_actor()
        return outcome

    async def _call_and_leave(self, act: Callable[[Actor], Awaitable[Any]], turns: int) -> None:
        actor = await self._get_actor()
        await _abandon(act(actor), turns)
        # What has a key goes on without its client.
        await _take_turns(turns)
        async with actor.drawing:
            await actor.confirm()

    async def _call_and_die(self, act: Callable[[Actor], Awaitable[Any]], turns: int) -> None:
        actor = await self._get_actor()
        going = asyncio.ensure_future(act(actor))
        await _take_turns(turns)
        await self._restart(_Killed())
        await asyncio.gather(going, return_exceptions=True)

    async def _restart(self, error: Exception | None) -> None:
        await self._stack.__aexit__(type(error) if error else None, error, None)
        self.engine = await self._open()
        await self._get_actor()

    async def _look(self) -> Seen:
        study = await self.engine.reads.find_study(self._name)
        assert study is not None
        study_id = study.summary.study_id
        trials = await self.engine.reads.list_trials(study_id, states=None, limit=_MANY, after=None)
        hidden = self._admin.execute(_SELECT_HIDDEN, (study_id,)).fetchone()
        assert hidden is not None
        return Seen(study, trials, *hidden)


async def _abandon(work: Awaitable[Any], turns: int) -> None:
    task = asyncio.ensure_future(work)
    await _take_turns(turns)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _take_turns(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
