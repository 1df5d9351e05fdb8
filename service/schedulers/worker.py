"""A worker: takes attempts of a queue as long as it has free slots, and follows each to its end.

It speaks HTTP only. Whatever dies, nothing is lost: a server that is away finds every attempt
followed as before when it is back, and the next worker in the same folder goes on with what this
one had.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from asktell import AsktellError
from asktell.workers import Claimed, ClaimedAttempt, Ending, WorkerClient

from service.domain.attempts import AttemptState, EndingKind
from service.schedulers.clearing import clear_left_over, finish_or_leave, insist
from service.schedulers.executors.base import Executor, StillRunning
from service.schedulers.executors.mirrors import SweepMirror
from service.schedulers.following import Follower, ServerAway
from service.schedulers.launch_troubles import LaunchTroubles
from service.schedulers.lookout import Lookout
from service.schedulers.mirroring import Mirroring
from service.schedulers.pace import Backoff, Pace
from service.schedulers.server_calls import ServerCalls, WorkerIdentity, choose_pause, may_pass
from service.schedulers.speaking import AttemptGone, Speaker
from service.schedulers.surroundings import LeftToOthers, Surroundings
from service.schedulers.workdir import Workdir

_log = structlog.get_logger(__name__)


class Worker:
    """One worker, to be run once. All methods belong to the event loop that it is made in.

    Args:
        client: The way to the server.
        identity: How it presents itself; its executors are the names of `executors`.
        workdir: Where its executors keep what they have to.
        mirrors: Outside systems that have sweeps of their own, by the names of the executors that
            know them.
        drain_seconds: How long a draining worker waits for what runs; None for as long as it
            takes.
    """

    def __init__(
        self,
        client: WorkerClient,
        identity: WorkerIdentity,
        workdir: Workdir,
        executors: Sequence[Executor],
        *,
        mirrors: Mapping[str, SweepMirror] | None = None,
        drain_seconds: float | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._identity = identity
        self._executors = {executor.name: executor for executor in executors}
        # What others can go on with is not ended because this worker does not have it any more.
        self._own_executors = {each.name: each for each in executors if not each.is_shared}
        self._drain_seconds = drain_seconds
        self._pace = pace or Pace()
        self._calls = ServerCalls(client, identity)
        self._is_draining = asyncio.Event()
        self._must_go = asyncio.Event()
        self._leaves_shared = asyncio.Event()
        self._is_finished = asyncio.Event()
        self._troubles = LaunchTroubles(self._pace, clock=asyncio.get_running_loop().time)
        self._around = Surroundings(
            self._calls, workdir, self._pace, self._is_draining, self._must_go, self._troubles
        )
        self._returning = replace(self._around, is_closing=_at_once(), must_go=_at_once())
        self._around_shared = replace(
            self._around, is_closing=self._leaves_shared, must_go=self._leaves_shared
        )
        self._mirroring = Mirroring(self._calls, mirrors or {}, self._pace)
        self._lookouts = {executor.name: Lookout(executor, self._pace) for executor in executors}
        self._followers: dict[str, Follower] = {}
        self._lost_claims: set[str] = set()
        self._has_changed = asyncio.Event()
        self._left_claim: asyncio.Task[Claimed] | None = None
        self._clearing: dict[str, asyncio.Task[None]] = {}
        # What may run here though nobody follows it: the server cannot hand it out just now, or
        # has not been asked yet.
        self._away: frozenset[str] = frozenset()
        self._unsettled: frozenset[str] = frozenset()
        self._asked_for: frozenset[str] = frozenset()

    def drain(self) -> None:
        """Takes no more attempts and ends with the last one; told twice, it ends them all."""
        if self._is_draining.is_set():
            self._must_go.set()
        self._is_draining.set()
        self._has_changed.set()

    async def run(self) -> None:
        """From the first word to the server to the last; returns after `drain`."""
        me = self._identity
        _log.info("worker.started", worker=me.name, queue=me.queue, slots=me.slots)
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            registering = tasks.create_task(self._keep_registered())
            beside: list[asyncio.Task[Any]]
            beside = [tasks.create_task(lookout.run()) for lookout in self._lookouts.values()]
            beside += [tasks.create_task(each.tend()) for each in self._executors.values()]
            beside.append(tasks.create_task(self._mirroring.run()))
            await self._wait_for_mirrors()
            if await self._take_over():
                while not self._is_draining.is_set():
                    await self._fill_slots()
                await self._finish()
            for task in beside:
                task.cancel()
            # Not cancelled: what it is saying must not arrive after the farewell.
            self._is_finished.set()
            await registering
        await self._leave()

    async def _keep_registered(self) -> None:
        while not self._is_finished.is_set():
            is_draining = self._is_draining.is_set()
            # What goes wrong is said elsewhere, and nothing depends on it.
            with suppress(AsktellError):
                await self._calls.register(busy=len(self._followers), is_draining=is_draining)
            # A worker that begins to drain says so at once.
            change = self._is_finished if is_draining else self._is_draining
            await _wait_for(change, self._pace.register_seconds)

    async def _wait_for_mirrors(self) -> None:
        """What is claimed before they are made has no part in them."""
        waiting = self._tasks.create_task(self._mirroring.wait_for_first_tries())
        await self._wait_unless_draining(waiting)
        waiting.cancel()

    async def _take_over(self) -> bool:
        """Goes on with what an earlier life of this worker had; what else it left is ended.

        False if the worker drains before the server has answered: what runs is left as it is.
        """
        claimed = await self._claim(0)
        if claimed is None:
            return False
        self._settle(claimed, self._around)
        known = frozenset(self._followers) | self._away
        for executor in self._executors.values():
            list_left_over = partial(executor.list_left_over, known)
            for attempt_id in await insist(executor, list_left_over, self._pace):
                self._start_clearing(attempt_id)
        return True

    async def _fill_slots(self) -> None:
        count = self._count_free()
        if count == 0 and not self._away and not self._unsettled:
            await self._wait_for_change(self._troubles.get_pause())
            return
        claimed = await self._claim(count)
        if claimed is not None:
            self._settle(claimed, self._around)
        if count == 0 and self._away:
            await self._wait_for_change(self._pace.ask_again_seconds)
        elif count > 0 and (claimed is None or not claimed.attempts):
            await self._pause(self._pace.first_pause_seconds)

    def _count_free(self) -> int:
        """How many attempts to claim; the server subtracts what is away and what it gives back."""
        if self._unsettled or not self._list_able():
            return 0
        free = self._identity.slots - len(self._followers) - len(self._clearing)
        return free if free > len(self._away) else 0

    def _list_able(self) -> list[str]:
        return self._troubles.list_able(self._executors)

    def _settle(self, claimed: Claimed, around: Surroundings) -> None:
        """Follows what a claim brought, and ends what was asked for and is another's by now."""
        self._follow_all(claimed.attempts, around)
        self._unsettled -= self._asked_for
        self._away = claimed.unreachable
        for attempt_id in self._asked_for - self._away - self._followers.keys():
            self._start_clearing(attempt_id)

    async def _claim(self, count: int) -> Claimed | None:
        """Tries until the server answers; None once the worker drains."""
        backoff = Backoff(self._pace)
        while not self._is_draining.is_set():
            claiming = asyncio.create_task(self._claim_once(count))
            await self._wait_unless_draining(claiming)
            if not claiming.done():
                self._left_claim = claiming
                return None
            try:
                return claiming.result()
            except AsktellError as error:
                if not may_pass(error):
                    _log.error("claim.refused", worker=self._identity.name, reason=str(error))
                await self._pause(choose_pause(error, backoff, self._pace))
        return None

    async def _claim_once(self, count: int) -> Claimed:
        self._asked_for = self._away | self._unsettled
        pause = self._troubles.get_pause() or math.inf
        wait_seconds = min(self._pace.claim_wait_seconds, pause)
        if self._asked_for:
            wait_seconds = min(wait_seconds, self._pace.ask_again_seconds)
        return await self._calls.claim(
            count,
            # Whatever they are, the worker gets back what it has.
            executors=self._list_able() or list(self._executors),
            held=(*self._followers, *self._clearing),
            wait_seconds=wait_seconds if count else 0.0,
        )

    def _follow_all(self, claimed: Sequence[ClaimedAttempt], around: Surroundings) -> None:
        for attempt in claimed:
            known = self._followers.get(attempt.attempt_id)
            if known is not None:
                known.renew(attempt)
            elif attempt.executor in self._executors:
                self._follow(attempt, around)
            else:
                self._tasks.create_task(self._return(attempt))

    def _follow(self, claimed: ClaimedAttempt, around: Surroundings) -> None:
        attempt_id = claimed.attempt_id
        was_seen = claimed.state != AttemptState.LAUNCHING or attempt_id in self._lost_claims
        executor = self._executors[claimed.executor]
        if executor.is_shared and around is self._around:
            around = self._around_shared
        follower = Follower(
            claimed,
            executor,
            self._lookouts[claimed.executor],
            around,
            was_launched=was_seen,
        )
        self._followers[attempt_id] = follower
        self._tasks.create_task(self._follow_to_the_end(attempt_id, follower))
        _log.info(
            "attempt.claimed", attempt_id=attempt_id, study=claimed.study, state=claimed.state
        )

    async def _follow_to_the_end(self, attempt_id: str, follower: Follower) -> None:
        try:
            await follower.follow()
        except AttemptGone as refusal:
            self._lost_claims.add(attempt_id)
            _log.warning("attempt.gone", attempt_id=attempt_id, reason=str(refusal))
        except LeftToOthers:
            _log.info("attempt.left", attempt_id=attempt_id)
        except ServerAway as error:
            _log.warning("attempt.untold", attempt_id=attempt_id, reason=str(error))
        except Exception as error:
            # The server gives it back, or it is cleared; whatever is wrong may pass until then.
            _log.exception("attempt.dropped", attempt_id=attempt_id, reason=str(error))
            await self._pause(self._pace.longest_pause_seconds)
            self._unsettled |= {attempt_id}
        finally:
            del self._followers[attempt_id]
            self._has_changed.set()

    async def _return(self, claimed: ClaimedAttempt) -> None:
        """For what only an earlier life of this worker could launch."""
        message = f"This worker does not have the executor {claimed.executor!r} any more."
        ending = Ending(str(EndingKind.PREEMPTED), message=message)
        with suppress(AttemptGone):
            # If it fails, the next claim brings the attempt again.
            await Speaker(claimed, self._calls, self._pace).observe(
                state=claimed.state, ending=ending
            )

    def _start_clearing(self, attempt_id: str) -> None:
        if attempt_id not in self._clearing:
            # If it should come back all the same, it is not launched a second time.
            self._lost_claims.add(attempt_id)
            self._clearing[attempt_id] = self._tasks.create_task(self._clear(attempt_id))

    async def _clear(self, attempt_id: str) -> None:
        try:
            if await finish_or_leave(self._clear_everywhere(attempt_id), self._around):
                self._around.workdir.forget(attempt_id)
                _log.info("attempt.cleared", attempt_id=attempt_id)
            else:
                _log.warning(
                    "attempt.not_cleared", attempt_id=attempt_id, reason="The worker left."
                )
        except StillRunning as error:
            _log.warning("attempt.not_cleared", attempt_id=attempt_id, reason=str(error))
            await self._pause(self._pace.ask_again_seconds)
            self._unsettled |= {attempt_id}
        except Exception as error:
            _log.exception("attempt.not_cleared", attempt_id=attempt_id, reason=str(error))
        finally:
            del self._clearing[attempt_id]
            self._has_changed.set()

    async def _clear_everywhere(self, attempt_id: str) -> None:
        for name, executor in self._own_executors.items():
            await clear_left_over(executor, self._lookouts[name], attempt_id, self._pace)

    async def _finish(self) -> None:
        """Waits for what runs, as long as it may; then has it ended."""
        _log.info("worker.draining", running=len(self._followers))
        unwanted = self._tasks.create_task(self._return_claimed())
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_seconds):
                while self._follows_its_own() and not self._must_go.is_set():
                    # Nobody says so when nothing is left of an attempt but to forget it.
                    await self._wait_for_change(self._pace.register_seconds)
        # Only now: nobody else has them as long as this worker says that it is there.
        self._leaves_shared.set()
        self._must_go.set()
        # The server answers the claim of a draining worker at once.
        await asyncio.wait([unwanted], timeout=self._pace.leave_seconds)
        unwanted.cancel()
        await self._return_last()
        while self._followers:
            await self._wait_for_change()
        while self._clearing:
            await self._wait_for_change()

    def _follows_its_own(self) -> bool:
        """Whether it is at what no other worker can go on with, and what is not over."""
        return any(not (each.is_shared or each.is_over) for each in self._followers.values())

    async def _return_claimed(self) -> None:
        """Lets others have what a claim brings that was under way when the worker drained."""
        if self._left_claim is not None:
            with suppress(AsktellError):
                self._follow_all((await self._left_claim).attempts, self._returning)

    async def _return_last(self) -> None:
        """As that, for a claim whose answer nobody waits for."""
        with suppress(AsktellError):
            self._settle(await self._claim_once(0), self._returning)

    async def _leave(self) -> None:
        with suppress(AsktellError):
            await self._calls.leave()
        _log.info("worker.left", worker=self._identity.name)

    async def _wait_for_change(self, seconds: float | None = None) -> None:
        """Returns when something here has ended or `drain` was called, since the last time."""
        await _wait_for(self._has_changed, seconds)
        self._has_changed.clear()

    async def _wait_unless_draining(self, task: "asyncio.Task[Any]") -> None:
        draining = asyncio.create_task(self._is_draining.wait())
        await asyncio.wait([task, draining], return_when=asyncio.FIRST_COMPLETED)
        draining.cancel()

    async def _pause(self, seconds: float) -> None:
        """Waits, unless the worker drains."""
        await _wait_for(self._is_draining, seconds)


async def _wait_for(event: asyncio.Event, seconds: float | None) -> None:
    # Not wait_for, which in Python 3.11 may swallow that the waiting task is cancelled.
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _at_once() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
