"""A worker's connection to an outside system, such as W&B or Flyte.

There is one per worker and system. The system's package may retry for minutes, and keeps its state
per process: it lives in a process of its own, and every call has a deadline here.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, assert_never

from service.schedulers.executors.base import Unanswered
from service.schedulers.executors.connection.child import (
    Answer,
    ChildGone,
    ChildRefused,
    ConnectionChild,
)
from service.schedulers.executors.connection.limits import Clock
from service.schedulers.executors.connection.reachability import Reachability
from service.schedulers.executors.connection.system import OutsideSystem


class SystemAway(Exception):
    """The system does not answer, or not now; the same call may succeed later.

    The message says why.
    """


class SystemSilent(SystemAway, Unanswered):
    """The call was made, and may have been done."""


class SystemBusy(SystemAway):
    """The call was not made: this worker has too many of them. The system answers others."""


class SystemThrottled(SystemBusy):
    """The system answers, if only that it is asked too often."""


class CallThrottled(SystemThrottled, SystemSilent):
    """The call was made; a package that tries several times may have had it done."""


class SystemRefused(Exception):
    """The system does not take the call, and will not before a person changes something.

    The message says why.

    Attributes:
        is_about_key: The system does not know who asks, or does not let them: whoever asks with
            another key may not be refused.
    """

    def __init__(self, message: str, *, is_about_key: bool = False) -> None:
        super().__init__(message)
        self.is_about_key = is_about_key


class Connection(Protocol):
    """What those need who ask an outside system something."""

    async def call(
        self, operation: str, arguments: Mapping[str, Any], *, deadline_seconds: float
    ) -> Any:
        """Has an operation done, and returns its result.

        Args:
            deadline_seconds: Waiting for other calls and for pauses counts.

        Raises:
            SystemAway: Not tried because the system is away.
            SystemSilent: Not done in time; it may have been done.
            SystemBusy: Not tried because other calls took the time.
            SystemThrottled: The system takes no calls for a while; if it is a SystemSilent, too,
                it was tried.
            SystemRefused: It was not done.
        """


@dataclass(frozen=True, slots=True)
class ConnectionPace:
    """How fast a connection does things; tests have faster ones.

    Attributes:
        calls_per_second: None: as many as the system bears.
        start_seconds: How long the process may take to start.
        late_seconds: How long after its deadline an answer may still come; then the process is
            killed, and started again for the next call.
        refused_seconds: From one start to the next of a process that says that it cannot work;
            a person may have installed what it lacks.
        farewell_seconds: How long it may take to end by itself.
        least_seconds: With less time left a call is not made: its failure would say nothing about
            the system. Of a call that has little time from the start, half of that.
    """

    calls_per_second: float | None = None
    start_seconds: float = 60.0
    late_seconds: float = 5.0
    refused_seconds: float = 30.0
    farewell_seconds: float = 2.0
    least_seconds: float = 1.0


class SystemConnection:
    """Calls an outside system, one call at a time. All methods belong to one event loop.

    The process is started by the first call, and ends with the worker, however that ends.

    Args:
        now: Tells the time of day, aware.
        chance: From 0 up to 1, so that workers that fail together do not come back together.
    """

    def __init__(
        self,
        system: OutsideSystem,
        *,
        pace: ConnectionPace | None = None,
        clock: Clock = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._system = system
        self._pace = pace or ConnectionPace()
        self._clock = clock
        self._sleep = sleep
        self._reach = Reachability(
            system,
            calls_per_second=self._pace.calls_per_second or system.calls_per_second,
            clock=clock,
            now=now,
            chance=chance,
        )
        self._turn = asyncio.Lock()
        self._child: ConnectionChild | None = None
        self._starting: asyncio.Task[ConnectionChild] | None = None
        self._refusal = ""
        self._startable_at = clock()
        self._settling: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def is_away(self) -> bool:
        """Whether the system has not answered for so long that calls fail at once."""
        return self._reach.is_away

    async def call(
        self, operation: str, arguments: Mapping[str, Any], *, deadline_seconds: float
    ) -> Any:
        """See `Connection`.

        The start of the process does not count: it says nothing of the system.
        """
        self._check_worth_trying()
        await self._ensure_child()
        due_at = self._clock() + deadline_seconds
        await self._take_turn(deadline_seconds)
        try:
            await self._hold_back(due_at)
            seconds = due_at - self._clock()
            if seconds < min(self._pace.least_seconds, deadline_seconds / 2):
                raise self._put_off(deadline_seconds)
            # The call before may have been the end of it.
            child = await self._ensure_child()
        except BaseException:
            self._turn.release()
            raise
        self._reach.note_call()
        asking = asyncio.create_task(child.ask(operation, arguments, seconds))
        await self._wait_for_answer(child, asking, seconds)
        return self._judge(asking)

    async def close(self) -> None:
        """Ends the process; calls fail from now on. Idempotent."""
        self._is_closed = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        if self._child is not None:
            await self._child.end(self._pace.farewell_seconds)
        if self._settling:
            await asyncio.wait(self._settling)

    def _check_worth_trying(self) -> None:
        self._check_not_closed()
        # The one call per pause may be under way already.
        if self.is_away and (self._reach.get_pause() > 0.0 or self._turn.locked()):
            raise SystemAway(self._reach.describe())

    def _check_not_closed(self) -> None:
        if self._is_closed:
            raise SystemAway(f"The worker ends, and does not call {self._system.name} any more.")

    async def _ensure_child(self) -> ConnectionChild:
        self._check_not_closed()
        if self._child is not None and not self._child.has_ended:
            return self._child
        if self._clock() < self._startable_at:
            raise SystemRefused(self._refusal)
        starting = self._starting
        if starting is None:
            starting = self._starting = asyncio.create_task(self._start_child())
            starting.add_done_callback(take_exception)
        # Who does not want to wait any longer does not end it for the others.
        await asyncio.wait([starting])
        self._check_not_closed()
        return starting.result()

    async def _start_child(self) -> ConnectionChild:
        try:
            if self._child is not None:
                await self._child.kill()
            self._child = await ConnectionChild.start(
                self._system, start_seconds=self._pace.start_seconds
            )
        except ChildGone as error:
            name = self._system.name
            message = f"The process that calls {name} did not start: {error}"
            raise SystemAway(self._note_failure(message)) from error
        except ChildRefused as error:
            self._refusal = str(error)
            self._startable_at = self._clock() + self._pace.refused_seconds
            raise SystemRefused(self._refusal) from error
        finally:
            self._starting = None
        return self._child

    async def _take_turn(self, deadline_seconds: float) -> None:
        try:
            async with asyncio.timeout(deadline_seconds):
                await self._turn.acquire()
        except TimeoutError:
            raise self._put_off(deadline_seconds) from None

    async def _hold_back(self, due_at: float) -> None:
        """Waits for as long as the system is to be left alone, if that leaves half of the time."""
        pause = self._reach.get_pause()
        if pause > 0.0:
            if self.is_away or pause > (due_at - self._clock()) / 2:
                raise self._build_not_made(self._reach.describe())
            await self._sleep(pause)

    def _put_off(self, deadline_seconds: float) -> SystemAway:
        where, waited = self._reach.place, f"{deadline_seconds:g} s"
        message = f"Other calls to {where} took so long that this one waited {waited}."
        return self._build_not_made(message)

    def _build_not_made(self, message: str) -> SystemAway:
        if self._reach.is_throttled:
            return SystemThrottled(self._reach.describe())
        return SystemBusy(message) if self._reach.is_answering else SystemAway(message)

    async def _wait_for_answer(
        self, child: ConnectionChild, asking: "asyncio.Task[Answer]", seconds: float
    ) -> None:
        """Ends with the turn given back, or in the hands of whoever waits for a late answer."""
        due_at = self._clock() + seconds
        try:
            await asyncio.wait([asking], timeout=seconds)
        except asyncio.CancelledError:
            # Nobody hears of it any more, but it says as much of the system.
            left_seconds = due_at - self._clock()
            self._let_settle(self._settle(child, asking, left_seconds, is_unheard=True))
            raise
        if asking.done():
            self._turn.release()
            return
        self._let_settle(self._settle(child, asking))
        raise self._fail(f"{self._reach.place} did not answer within {seconds:.1f} s.")

    def _let_settle(self, settle: Coroutine[Any, Any, None]) -> None:
        settling = asyncio.create_task(settle)
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)

    async def _settle(
        self,
        child: ConnectionChild,
        asking: "asyncio.Task[Answer]",
        left_seconds: float = 0.0,
        *,
        is_unheard: bool = False,
    ) -> None:
        await asyncio.wait([asking], timeout=left_seconds + self._pace.late_seconds)
        if not asking.done():
            await child.kill()
            await asyncio.wait([asking])
        self._turn.release()
        if is_unheard:
            with suppress(SystemAway, SystemRefused):
                self._judge(asking)
        else:
            take_exception(asking)

    def _judge(self, asking: "asyncio.Task[Answer]") -> Any:
        try:
            answer = asking.result()
        except ChildGone as error:
            name = self._system.name
            raise self._fail(f"The process that calls {name} is gone: {error}") from error
        match answer.kind:
            case "done":
                self._reach.note_answer(answer.seconds)
                return answer.value
            case "refused":
                self._reach.note_answer(answer.seconds)
                message = self._system.redact(str(answer.value))
                raise SystemRefused(message, is_about_key=answer.is_about_key)
            case "undone":
                self._reach.note_answer(answer.seconds)
                raise SystemSilent(self._system.redact(str(answer.value)))
            case "throttled":
                message = self._system.redact(str(answer.value))
                self._reach.note_throttled(message)
                raise CallThrottled(f"{self._reach.place} is asked too often: {message}")
            case "away":
                raise self._fail(f"{self._reach.place} cannot be asked now: {answer.value}")
            case _:
                assert_never(answer.kind)

    def _fail(self, message: str) -> SystemSilent:
        return SystemSilent(self._note_failure(message))

    def _note_failure(self, message: str) -> str:
        message = self._system.redact(message)
        # What was told to go, and is gone, says nothing of the system.
        if not self._is_closed:
            self._reach.note_failure(message)
        return message


def take_exception(task: "asyncio.Task[Any]") -> None:
    """Nobody may be waiting for it any more, and asyncio would complain."""
    if not task.cancelled():
        task.exception()
