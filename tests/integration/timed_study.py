"""One study on an engine whose time stands still until a test lets it pass."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from service.domain.studies import StudySettings, StudySummary
from service.domain.trials import AskedTrial, Outcome, TrialState, TrialView
from service.engine.actor import Actor
from service.engine.ask import Ask, ask
from service.engine.create import NewStudy, create_study
from service.engine.engine import Engine, open_engine
from service.engine.expire import expire
from service.engine.import_trials import ImportedTrial
from service.engine.tell import tell
from service.storage.database import Database
from tests.integration.engine_use import count_rows, new_study

LEASE_SECONDS = 60.0
PARAMS = {"x": 0.5, "n": 1, "c": "a"}
DONE = ImportedTrial(TrialState.COMPLETE, PARAMS, values=(1.0,))


class TimedStudy:
    """A study to be created, and the engine that serves it.

    Attributes:
        now: The time by the engine's clock.
        engine: Another one after each restart.
        actor: The same.
    """

    engine: Engine
    actor: Actor

    def __init__(self, database: Database, stack: AsyncExitStack) -> None:
        self.database = database
        # How old idempotency keys are goes by the database's own clock.
        self.now = datetime.now(UTC)
        self._stack = stack

    async def create(self, new: NewStudy | None = None, **settings: Any) -> None:
        """Creates the study, with leases of `LEASE_SECONDS` unless told otherwise."""
        if not hasattr(self, "engine"):
            self.engine = await self._open_engine()
        chosen = StudySettings(**({"lease_seconds": LEASE_SECONDS} | settings))
        new = replace(new or new_study(), settings=chosen)
        await create_study(self.engine, new)
        self.actor = await self.engine.get_actor(new.name)

    async def close(self) -> None:
        """Closes the engine; whoever comes next may have the study."""
        await self._stack.aclose()

    async def restart(self) -> None:
        """Closes the engine and has another one load the study."""
        name = self.actor.spec.name
        await self.close()
        self.engine = await self._open_engine()
        self.actor = await self.engine.get_actor(name)

    async def let_pass(self, seconds: float) -> None:
        """Moves the clock, and has the engine look for what is overdue then."""
        self.move_clock(seconds)
        await expire(self.actor)

    def move_clock(self, seconds: float) -> None:
        """Moves the clock; the engine is at other things."""
        self.now += timedelta(seconds=seconds)

    async def lose(self) -> None:
        """Lets every lease that nobody renews run out."""
        await self.let_pass(LEASE_SECONDS + 1)

    async def ask(self, **command: Any) -> tuple[AskedTrial, ...]:
        return await ask(self.actor, Ask(**command))

    async def complete(self, number: int, value: float = 1.0, **outcome: Any) -> TrialView:
        return await tell(self.actor, number, Outcome(TrialState.COMPLETE, (value,), **outcome))

    async def fail(self, number: int, **outcome: Any) -> TrialView:
        return await tell(self.actor, number, Outcome(TrialState.FAIL, **outcome))

    async def view(self, number: int) -> TrialView:
        """A trial as it is committed."""
        found = await self.engine.reads.find_trial(self.actor.study_id, number)
        assert found is not None
        return found

    async def summary(self) -> StudySummary:
        """The study as it is committed."""
        found = await self.engine.reads.find_study(self.actor.spec.name)
        assert found is not None
        return found.summary

    def count(self, query: str) -> int:
        """The number that a query of the database gives."""
        return count_rows(self.database, query)

    async def _open_engine(self) -> Engine:
        opening = open_engine(self.database, clock=lambda: self.now, reap_every_seconds=None)
        return await self._stack.enter_async_context(opening)


@asynccontextmanager
async def open_timed_study(database: Database) -> AsyncIterator[TimedStudy]:
    """A study that the test still has to create."""
    async with AsyncExitStack() as stack:
        yield TimedStudy(database, stack)
