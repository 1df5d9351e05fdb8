"""Dispatch: which sweeps a worker's free slots go to."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice

import structlog

from service.domain.attempts import find_run_attempt
from service.domain.errors import (
    AsktellError,
    ClientGone,
    Invalid,
    NotFound,
    Unavailable,
    WriteFailed,
)
from service.domain.workers import Worker, compute_away_since
from service.engine.claim import ClaimedAttempt, claim, reclaim
from service.engine.engine import Engine

_log = structlog.get_logger(__name__)

# Another server, or a person, may make a sweep want attempts without a word being said here.
_LOOK_EVERY_SECONDS = 1.0

# More than a worker has room for: some may be another server's to hand out.
_MOST_ABANDONED = 1000


@dataclass(frozen=True, slots=True)
class WorkerClaim:
    """What a worker could take.

    Attributes:
        executors: Those that it has.
        adopts: Those of them with which it can go on with what other workers have launched.
        count: How many attempts it has room for.
        held: Ids of those that it is at.
        wait_seconds: How long to wait for the first one.
        is_wanted: Tells after a wait whether the worker is still there.
    """

    worker: Worker
    queue: str
    executors: tuple[str, ...]
    count: int
    adopts: tuple[str, ...] = ()
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

    Then comes what workers have that are away, if this one can go on with it. Of new ones the
    sweep that has waited longest is served first; what several want is shared among them. There
    are none after `wait_seconds`.

    Raises:
        ClientGone: The worker left while it waited.
        DatabaseUnavailable: Nothing is known to have happened; repeat it.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + command.wait_seconds
    claimed = await _hand_back(engine, command)
    free = command.count - len(claimed.attempts) - len(claimed.unreachable)
    claimed.attempts.extend(await _claim_more(engine, command, free))
    while not claimed.attempts and free > 0 and loop.time() < until:
        if engine.offers.closed.is_set():
            break
        await engine.offers.wait(min(_LOOK_EVERY_SECONDS, until - loop.time()))
        if command.is_wanted is not None and not await command.is_wanted():
            raise ClientGone("The worker left while it waited for attempts; it got none.")
        if await engine.workers.is_draining(command.worker.worker_id):
            # It has said so elsewhere, beside this call.
            break
        claimed.attempts.extend(await _claim_more(engine, command, free))
    return replace(claimed, attempts=await _name_outside(engine, claimed.attempts))


async def _hand_back(engine: Engine, command: WorkerClaim) -> Claimed:
    """What a lost answer, or an earlier life of the worker, has left."""
    claimed = Claimed()
    worker = command.worker
    missing: dict[str, dict[int, str]] = {}
    for study, number, attempt_id in await engine.launches.list_open(worker.worker_id):
        if attempt_id not in command.held:
            missing.setdefault(study, {})[number] = attempt_id
    for study, attempts in missing.items():
        try:
            actor = await engine.get_actor(study)
            owners = dict.fromkeys(attempts, worker.worker_id)
            claimed.attempts.extend(await reclaim(actor, worker, owners))
        except NotFound:
            continue
        except Unavailable:
            claimed.unreachable.extend(attempts.values())
    return claimed


async def _claim_more(engine: Engine, command: WorkerClaim, count: int) -> list[ClaimedAttempt]:
    adopted = await _adopt(engine, command, count)
    return adopted + await _claim_new(engine, command, count - len(adopted))


async def _adopt(engine: Engine, command: WorkerClaim, count: int) -> list[ClaimedAttempt]:
    """What others have launched that are away, and this worker can go on with."""
    if count <= 0 or not command.adopts:
        return []
    found: dict[str, dict[int, str]] = {}
    for study, number, owner in await engine.launches.list_abandoned(
        command.worker.worker_id,
        queue=command.queue,
        executors=command.adopts,
        unseen_since=compute_away_since(engine.clock()),
        limit=_MOST_ABANDONED,
    ):
        found.setdefault(study, {})[number] = owner
    adopted: list[ClaimedAttempt] = []
    for study, owners in found.items():
        wanted = dict(islice(owners.items(), count - len(adopted)))
        # What another server has, or was deleted just now, is left to others.
        with suppress(NotFound, Unavailable):
            adopted += await reclaim(await engine.get_actor(study), command.worker, wanted)
    return adopted


async def _name_outside(engine: Engine, claimed: list[ClaimedAttempt]) -> list[ClaimedAttempt]:
    """Adds what attempts, and the sweeps that they belong to, are called outside."""
    trials = {(each.study_id, each.launch.number) for each in claimed if each.launch.attempt > 1}
    preempted = await engine.launches.list_preempted(trials)
    mirrored = [each.study_id for each in claimed if each.spec.has_mirror]
    refs = await engine.mirrors.list_refs(mirrored) if mirrored else {}
    return [
        replace(
            each,
            run_attempt=find_run_attempt(
                each.launch.attempt, preempted.get((each.study_id, each.launch.number), ())
            ),
            mirror_ref=refs.get(each.study_id),
        )
        for each in claimed
    ]


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
    except WriteFailed as error:
        _log.error("sweep.broken", study=study, code=error.code, reason=error.message)
    except AsktellError as error:
        # It has changed since it was listed, or another server has it.
        _log.debug("sweep.passed_over", study=study, code=error.code)
    except Exception:
        # What is wrong with one sweep must not keep the others of its queue waiting.
        _log.exception("sweep.broken", study=study)
    return []
