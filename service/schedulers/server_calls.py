"""A worker's calls to its server, made from the event loop."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog
from asktell import (
    ApiConnectionError,
    ApiError,
    AsktellError,
    AuthenticationError,
    TooManyRequestsError,
    UnavailableError,
)
from asktell.workers import (
    GONE_CODES,
    Claimed,
    ClaimedAttempt,
    Ending,
    Instruction,
    WantedMirror,
    WorkerClient,
)

from service.schedulers.pace import Backoff, Pace

_MOST_AT_ONCE = 8

# A server that restarts is not worth a line.
_SAID_AFTER_SECONDS = 5.0

_log = structlog.get_logger(__name__)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """How a worker presents itself.

    Attributes:
        worker_id: The same each time that this worker starts.
        executors: Names of its ways to launch attempts.
        adopts: Those of them with which it can go on with what other workers have launched.
        slots: How many attempts it handles at a time.
    """

    worker_id: str
    name: str
    host: str
    queue: str
    executors: tuple[str, ...]
    slots: int
    version: str
    adopts: tuple[str, ...] = ()


class ServerCalls:
    """Every call is one try of its own, in a thread of its own.

    Not in a pool: a long-poll must not keep observations waiting, and not the process from
    leaving either. All methods belong to one event loop, and raise what `WorkerClient` does.
    """

    def __init__(self, client: WorkerClient, identity: WorkerIdentity) -> None:
        self.url = client.url
        self._client = client
        self._identity = identity
        self._room = asyncio.Semaphore(_MOST_AT_ONCE)
        self._silent_since: float | None = None
        self._said: str | None = None

    async def register(self, *, busy: int, is_draining: bool) -> None:
        """Says that the worker is there."""
        me = self._identity
        await self._call(
            partial(
                self._client.register,
                me.worker_id,
                name=me.name,
                host=me.host,
                queue=me.queue,
                executors=me.executors,
                slots=me.slots,
                busy=busy,
                version=me.version,
                is_draining=is_draining,
            )
        )

    async def leave(self) -> None:
        """Says that the worker ends."""
        await self._call(partial(self._client.leave, self._identity.worker_id))

    async def claim(
        self,
        count: int,
        *,
        executors: Sequence[str],
        held: Iterable[str],
        wait_seconds: float = 0.0,
    ) -> Claimed:
        """What the worker has but does not hold, and up to `count` new attempts of executors."""
        me = self._identity
        return await self._call(
            partial(
                self._client.claim,
                me.worker_id,
                name=me.name,
                host=me.host,
                queue=me.queue,
                executors=executors,
                count=count,
                held=tuple(held),
                adopts=[name for name in me.adopts if name in executors],
                wait_seconds=wait_seconds,
            )
        )

    async def observe(
        self,
        claimed: ClaimedAttempt,
        *,
        state: str,
        external_ref: str | None,
        url: str | None,
        note: str | None,
        points: list[tuple[int, float]],
        ending: Ending | None,
    ) -> Instruction:
        """Says what was seen of an attempt; not for too many of them at a time."""
        async with self._room:
            return await self._call(
                partial(
                    self._client.observe,
                    claimed.attempt_id,
                    claim=claimed.claim,
                    state=state,
                    external_ref=external_ref,
                    url=url,
                    note=note,
                    points=points,
                    ending=ending,
                )
            )

    async def send_log(self, claimed: ClaimedAttempt, *, offset: int, data: bytes) -> None:
        """Sends a part of what an attempt's program printed."""
        async with self._room:
            await self._call(
                partial(
                    self._client.send_log,
                    claimed.attempt_id,
                    claim=claimed.claim,
                    offset=offset,
                    data=data,
                )
            )

    async def claim_mirrors(self, executors: Iterable[str]) -> list[WantedMirror]:
        """Sweeps outside that this worker is to keep, of those executors that know of any."""
        me = self._identity
        return await self._call(
            partial(
                self._client.claim_mirrors,
                me.worker_id,
                queue=me.queue,
                executors=tuple(executors),
            )
        )

    async def tell_mirror(
        self,
        study: str,
        *,
        external_ref: str | None = None,
        url: str | None = None,
        seen: str | None = None,
        is_deleted: bool = False,
        problem: str | None = None,
    ) -> str | None:
        """Says what is known of a sweep outside; returns what it is to be set to, if anything."""
        async with self._room:
            return await self._call(
                partial(
                    self._client.tell_mirror,
                    self._identity.worker_id,
                    study,
                    external_ref=external_ref,
                    url=url,
                    seen=seen,
                    is_deleted=is_deleted,
                    problem=problem,
                )
            )

    async def _call(self, function: Callable[[], _Answer]) -> _Answer:
        try:
            answer = await _run_in_thread(function)
        except AsktellError as error:
            self._note_failure(error)
            raise
        self._note_success()
        return answer

    def _note_failure(self, error: AsktellError) -> None:
        """Says once what every call would say until it passes."""
        if isinstance(error, AuthenticationError):
            self._say("server.refused", error)
        elif may_pass(error):
            now = asyncio.get_running_loop().time()
            if self._silent_since is None:
                self._silent_since = now
            if now - self._silent_since >= _SAID_AFTER_SECONDS:
                self._say("server.lost", error)

    def _say(self, event: str, error: AsktellError) -> None:
        if self._said is None:
            self._said = event
            _log.warning(event, url=self.url, reason=str(error))

    def _note_success(self) -> None:
        self._silent_since = None
        if self._said is not None:
            self._said = None
            _log.info("server.found", url=self.url)


def is_gone(error: AsktellError) -> bool:
    """Whether the attempt, or the mirror, is not this worker's any more."""
    return isinstance(error, ApiError) and error.code in GONE_CODES


def may_pass(error: AsktellError) -> bool:
    """Whether the same call may succeed later, and nothing is wrong with what it said."""
    passing = (ApiConnectionError, UnavailableError, TooManyRequestsError, AuthenticationError)
    return isinstance(error, passing)


def choose_pause(error: AsktellError, backoff: Backoff, pace: Pace) -> float:
    """Seconds until a call that failed like this makes sense again."""
    if not isinstance(error, ApiError):
        return backoff.next_pause()
    if error.status < 500 and not isinstance(error, TooManyRequestsError):
        return backoff.next_pause(at_least_seconds=pace.refused_pause_seconds)
    wished = min(error.retry_after_seconds or 0.0, pace.longest_pause_seconds)
    return backoff.next_pause(at_least_seconds=wished)


async def _run_in_thread(function: Callable[[], _Answer]) -> _Answer:
    future: Future[_Answer] = Future()
    thread = threading.Thread(
        target=_settle, args=(future, function), name="asktell-worker-call", daemon=True
    )
    thread.start()
    return await asyncio.wrap_future(future)


def _settle(future: "Future[_Answer]", function: Callable[[], _Answer]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function())
    except BaseException as error:
        future.set_exception(error)
