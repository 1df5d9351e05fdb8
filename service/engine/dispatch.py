"""Dispatch: which sweeps a worker's free slots go to."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from service.domain.errors import AsktellError, ClientGone, Invalid, NotFound, Unavailable
from service.domain.workers import Worker
from service.engine.claim import ClaimedAttempt, claim, reclaim
from service.engine.engine import Engine

_log = structlog.get_logger(__name__)

# Another server, or a person, may make a sweep want attempts without a word being said here.
_LOOK_EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WorkerClaim:
    """What a worker could take.

    Attributes:
        executors: Those that it has.
        count: How many attempts it has room for.
        held: Ids of those that it is at.
        wait_seconds: How long to wait for the first one.
        is_wanted: Tells after a wait whether the worker is still there.
    """

    worker: Worker
    queue: str
    executors: tuple[str, ...]
    count: int
    held: frozenset[str] = frozenset()
    wait_seconds: float = 0.0
    is_wanted: Callable[[], Awaitable[bool]] | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a worker gets.

    Attributes:
        unreachable: Ids of attempts that it has but does not hold, and that cannot be handed out
            here and now, because another server has their study perhaps.
    """

    attempts: list[ClaimedAttempt] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)


async def claim_attempts(engine: Engine, command: WorkerClaim) -> Claimed:
    """Gets attempts for a worker, committed: what it has but does not hold, and new ones.

    The sweep that has waited longest is served first; what several want is shared among them.
    There are none after `wait_seconds`.

    Raises:
        ClientGone: The worker left while it waited.
        DatabaseUnavailable: Nothing is known to have happened; repeat it.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + command.wait_seconds
    claimed = await _hand_back(engine, command)
    free = command.count - len(claimed.attempts) - len(claimed.unreachable)
    claimed.attempts.extend(await _claim_new(engine, command, free))
    while not claimed.attempts and free > 0 and loop.time() < until:
        if engine.offers.closed.is_set():
            break
        await engine.offers.wait(min(_LOOK_EVERY_SECONDS, until - loop.time()))
        if command.is_wanted is not None and not await command.is_wanted():
            raise ClientGone("The worker left while it waited for attempts; it got none.")
        claimed.attempts.extend(await _claim_new(engine, command, free))
    return claimed


async def _hand_back(engine: Engine, command: WorkerClaim) -> Claimed:
    """What a lost answer, or an earlier life of the worker, has left."""
    claimed = Claimed()
    missing: dict[str, dict[int, str]] = {}
    for study, number, attempt_id in await engine.launches.list_open(command.worker.worker_id):
        if attempt_id not in command.held:
            missing.setdefault(study, {})[number] = attempt_id
    for study, attempts in missing.items():
        try:
            actor = await engine.get_actor(study)
            claimed.attempts.extend(await reclaim(actor, command.worker, attempts.keys()))
        except NotFound:
            continue
        except Unavailable:
            claimed.unreachable.extend(attempts.values())
    return claimed


async def _claim_new(engine: Engine, command: WorkerClaim, count: int) -> list[ClaimedAttempt]:
    if count <= 0:
        return []
    studies = await engine.launches.list_wanting(command.queue, command.executors)
    claimed: list[ClaimedAttempt] = []
    for position, study in enumerate(studies):
        share = -(-(count - len(claimed)) // (len(studies) - position))
        if share:
            claimed += await _claim_of(engine, study, command.worker, share)
    return claimed


async def _claim_of(engine: Engine, study: str, worker: Worker, count: int) -> list[ClaimedAttempt]:
    try:
        return await claim(await engine.get_actor(study), worker, count)
    except Invalid as error:
        _log.warning("sweep.refused", study=study, code=error.code, reason=error.message)
    except AsktellError as error:
        # It has changed since it was listed, or another server has it.
        _log.debug("sweep.passed_over", study=study, code=error.code)
    return []
