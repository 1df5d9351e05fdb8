"""Looking at attempts: one look at all of an executor's at once, for whoever waits for one."""

import asyncio
from collections.abc import Mapping
from typing import NoReturn

import structlog

from service.schedulers.executors.base import Executor, Sighting, Watch
from service.schedulers.pace import Backoff, Pace

_log = structlog.get_logger(__name__)


class Lookout:
    """Gathers what followers want to see, so that an executor is asked once for all of it."""

    def __init__(self, executor: Executor, pace: Pace) -> None:
        self._executor = executor
        self._pace = pace
        self._backoff = Backoff(pace)
        self._waiting: dict[str, tuple[Watch, asyncio.Future[Sighting]]] = {}
        self._is_wanted = asyncio.Event()

    def look(self, watch: Watch) -> "asyncio.Future[Sighting]":
        """The next sighting of an attempt; while it is awaited no other call may concern it."""
        future: asyncio.Future[Sighting] = asyncio.get_running_loop().create_future()
        self._waiting[watch.launch.attempt_id] = (watch, future)
        self._is_wanted.set()
        return future

    async def run(self) -> NoReturn:
        """Looks as often as the pace says, while anybody waits."""
        while True:
            await self._is_wanted.wait()
            await asyncio.sleep(self._pace.look_seconds)
            await self._look_once()

    async def _look_once(self) -> None:
        looked_at = {
            name: waiting for name, waiting in self._waiting.items() if not waiting[1].done()
        }
        self._waiting = dict(looked_at)
        sightings = await self._poll([watch for watch, _ in looked_at.values()])
        for attempt_id, sighting in sightings.items():
            self._hand_over(attempt_id, looked_at[attempt_id][1], sighting)
        if not self._waiting:
            self._is_wanted.clear()

    async def _poll(self, watches: list[Watch]) -> Mapping[str, Sighting]:
        if not watches:
            return {}
        try:
            sightings = await self._executor.poll(watches)
        except Exception as error:
            pause = self._backoff.next_pause()
            _log.warning("look.failed", executor=self._executor.name, reason=str(error))
            await asyncio.sleep(pause)
            return {}
        self._backoff.reset()
        return sightings

    def _hand_over(
        self, attempt_id: str, future: "asyncio.Future[Sighting]", sighting: Sighting
    ) -> None:
        # Whoever gave up meanwhile may wait again, for something else.
        if self._waiting[attempt_id][1] is future:
            del self._waiting[attempt_id]
        if not future.done():
            future.set_result(sighting)
