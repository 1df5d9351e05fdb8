"""One attempt from its claim until it is launched, or never will be."""

import asyncio
import math
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import structlog

from service.domain.attempts import AttemptState, Ending, EndingKind
from service.schedulers.clearing import end_at_once, end_or_leave
from service.schedulers.executors.base import (
    ErrorKind,
    Executor,
    Launch,
    SweepRefused,
    Unanswered,
)
from service.schedulers.lookout import Lookout
from service.schedulers.pace import Backoff
from service.schedulers.speaking import Speaker
from service.schedulers.stop_orders import StopOrder, blame_worker
from service.schedulers.surroundings import Surroundings

# What the server takes.
_LONGEST_NOTE = 1000

_log = structlog.get_logger(__name__)
_Result = TypeVar("_Result")


class Launching:
    """Launches an attempt however often it takes, and renews its lease meanwhile. To be run once.

    Args:
        speaker: Says why the attempt is not launched yet, as its note.
        stop: Given meanwhile, it takes back what was launched.
    """

    def __init__(
        self,
        launch: Launch,
        executor: Executor,
        *,
        lookout: Lookout,
        around: Surroundings,
        speaker: Speaker,
        stop: StopOrder,
    ) -> None:
        self._launch = launch
        self._executor = executor
        self._lookout = lookout
        self._around = around
        self._pace = around.pace
        self._clock = asyncio.get_running_loop().time
        self._speaker = speaker
        self._stop = stop
        self._is_unwanted = asyncio.Event()
        self._trouble: str | None = None
        # Whoever had it before may have launched it.
        self._may_be_launched = speaker.claimed.claim > 1

    async def run(self) -> str | Ending:
        """Returns the attempt's outside reference, or how it ended without having been launched.

        Raises:
            AttemptGone: It is not this worker's any more; something of it may run.
            StillRunning: What was to be taken back does not go.
            LeftToOthers: The worker has to go, and others can go on with the attempt.
        """
        if self._speaker.claimed.claim > 1:
            await self._ask_whether_wanted()
        self._heed()
        # One after the other: what is found to be another worker's meanwhile is not taken back.
        launched = await self._hear_during(self._launch_patiently())
        if launched is None:
            return await self._hear_during(self._take_back())
        return launched

    async def _ask_whether_wanted(self) -> None:
        """Whoever had it before may not have heard that nobody wants it any more."""
        while not self._around.is_closing.is_set():
            if self._speaker.is_due(is_urgent=True):
                instruction = await self._speaker.observe(state=AttemptState.LAUNCHING)
                if instruction is not None:
                    self._stop.obey(instruction)
                    return
            await asyncio.sleep(self._pace.look_seconds)

    async def _hear_during(self, doing: Coroutine[Any, Any, _Result]) -> _Result:
        """Renews the lease meanwhile, and finds out whether the launch is still wanted."""
        task = asyncio.create_task(doing)
        try:
            while not task.done():
                await asyncio.wait([task], timeout=self._pace.look_seconds)
                if not task.done():
                    await self._hear()
        finally:
            # Not cancelled: no other call may concern the attempt while this one goes on.
            self._is_unwanted.set()
            await asyncio.wait([task])
        return task.result()

    async def _hear(self) -> None:
        if not self._around.must_go.is_set() and self._speaker.is_due(is_urgent=False):
            state = AttemptState.LAUNCHING
            self._stop.obey(await self._speaker.observe(state=state, note=self._trouble))
        self._heed()

    def _heed(self) -> None:
        if self._around.is_closing.is_set() or self._stop.is_given:
            self._is_unwanted.set()

    async def _launch_patiently(self) -> str | Ending | None:
        """None if the launch is not wanted any more."""
        backoff = Backoff(self._pace)
        until = self._clock() + self._pace.launch_seconds
        while not self._is_unwanted.is_set():
            try:
                return await self._launch_once()
            except Exception as error:
                self._may_be_launched |= isinstance(error, Unanswered)
                if self._executor.classify(error) is ErrorKind.PERMANENT:
                    return _build_refused(error)
                if self._clock() >= until:
                    return await self._give_up(error)
                pause = backoff.next_pause()
                self._note_trouble(error, pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_unwanted.wait(), pause)
        return None

    async def _launch_once(self) -> str:
        external_ref = await self._executor.launch(self._launch)
        self._log("attempt.launched", external_ref=external_ref)
        self._around.troubles.note_launched(self._executor.name)
        return external_ref

    def _note_trouble(self, error: Exception, again_in_seconds: float) -> None:
        trouble = f"Not launched yet: {error}"[:_LONGEST_NOTE]
        is_news = self._around.troubles.note_failed(self._executor.name, str(error))
        if is_news and trouble != self._trouble:
            self._log("attempt.not_launched", reason=str(error), again_in_seconds=again_in_seconds)
        self._trouble = trouble

    async def _give_up(self, error: Exception) -> Ending:
        """Lets another worker try what cannot be launched here."""
        tried = f"It could not be launched for {self._pace.launch_seconds:g} s: {error}"
        self._around.troubles.note_given_up(self._executor.name, str(error))
        # What keeps a launch from succeeding may keep all this from succeeding too.
        with suppress(OSError):
            self._stop.preempt()
        try:
            ending = await end_at_once(
                self._executor,
                self._lookout,
                self._launch,
                self._pace,
                patience_seconds=self._pace.leave_seconds,
            )
        except Exception as failure:
            self._log("attempt.not_stopped", reason=str(failure))
            ending = None
        return replace(blame_worker(ending), message=tried)

    async def _take_back(self) -> Ending:
        """For a launch that is not wanted any more; it may have succeeded without an answer.

        No end is made up for what may run: where that is so, the stop is repeated until it is done.
        """
        self._around.leave_if_others_can_follow(self._executor)
        if not self._stop.is_given:
            self._stop.preempt()
        ending = await end_or_leave(
            self._executor,
            self._lookout,
            replace(self._launch, stop_reason=self._stop.reason),
            self._around,
            patience_seconds=math.inf if self._may_be_launched else self._pace.leave_seconds,
        )
        if self._stop.is_preemption:
            return blame_worker(ending)
        return ending or Ending(EndingKind.NOT_STARTED, message="Stopped before it was launched.")

    def _log(self, event: str, **fields: object) -> None:
        launch = self._launch
        _log.info(event, attempt_id=launch.attempt_id, study=launch.study, **fields)


def _build_refused(error: Exception) -> Ending:
    is_for_all = isinstance(error, SweepRefused)
    kind = EndingKind.REFUSED if is_for_all else EndingKind.NOT_STARTED
    return Ending(kind, message=str(error))
