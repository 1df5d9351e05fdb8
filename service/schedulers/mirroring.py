"""Sweeps in outside systems: each is made for a sweep of ours, and then both are kept the same.

The server decides who follows whom. A worker makes what is to be made, says what it sees, and does
what the answer says. Whatever goes wrong here keeps nothing else of the worker from going on.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

import structlog
from asktell import AsktellError
from asktell.workers import WantedMirror

from service.domain.mirrors import MirrorState
from service.domain.sweeps import describe_resume
from service.schedulers.executors.mirrors import (
    Look,
    MadeMirror,
    MirrorAway,
    MirrorBusy,
    MirrorRefused,
    SweepMirror,
)
from service.schedulers.pace import Backoff, Pace
from service.schedulers.server_calls import ServerCalls, choose_pause, is_gone, may_pass

_LONGEST_PROBLEM = 1000

_log = structlog.get_logger(__name__)


class Mirroring:
    """Keeps those mirrors that the server has this worker keep; to be run once.

    Args:
        mirrors: The outside systems, by the names of the executors that know them.
    """

    def __init__(self, calls: ServerCalls, mirrors: Mapping[str, SweepMirror], pace: Pace) -> None:
        self._calls = calls
        self._mirrors = mirrors
        self._pace = pace
        # All by the id of the sweep.
        self._wanted: dict[str, WantedMirror] = {}
        self._creating: dict[str, asyncio.Task[None]] = {}
        self._made: dict[str, MadeMirror] = {}
        self._missing: set[str] = set()
        self._complained: set[str] = set()
        # None before the first answer.
        self._untried: set[str] | None = None
        self._has_tried = asyncio.Event()

    async def run(self) -> None:
        """Goes on until it is cancelled; returns at once if there is no outside system."""
        if not self._mirrors:
            return
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for executor in self._mirrors:
                tasks.create_task(self._keep_looking(executor))
            await self._keep_claiming()

    async def wait_for_first_tries(self) -> None:
        """Returns once what there was to make at first is made, or cannot be; or after a while.

        Until then the server has only the word of those who tried before, and lets attempts begin
        without the sweep outside if that was a complaint.
        """
        if not self._mirrors:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pace.first_mirrors_seconds):
                await self._has_tried.wait()

    async def _keep_claiming(self) -> NoReturn:
        backoff = Backoff(self._pace)
        while True:
            pause = self._pace.claim_mirrors_seconds
            try:
                self._settle(await self._calls.claim_mirrors(self._mirrors))
                backoff.reset()
            except AsktellError as error:
                pause = choose_pause(error, backoff, self._pace)
                if not may_pass(error):
                    self._has_tried.set()
                    _log.error("mirrors.refused", reason=str(error))
            except Exception as error:
                self._has_tried.set()
                pause = self._pace.refused_pause_seconds
                _log.exception("mirrors.unreadable", reason=str(error))
            await asyncio.sleep(pause)

    def _settle(self, wanted: Sequence[WantedMirror]) -> None:
        """Begins what is new, and leaves what is not this worker's any more."""
        self._wanted = {each.sweep_id: each for each in wanted if each.executor in self._mirrors}
        for sweep_id in (self._creating.keys() | self._made.keys()) - self._wanted.keys():
            self._leave(sweep_id)
        self._missing &= self._wanted.keys()
        self._complained &= self._wanted.keys()
        for sweep_id, each in self._wanted.items():
            if each.external_ref is None and sweep_id not in self._creating:
                self._creating[sweep_id] = self._tasks.create_task(self._create(each))
        if self._untried is None:
            self._untried = set(self._creating)
            self._note_tried()

    def _leave(self, sweep_id: str) -> None:
        self._made.pop(sweep_id, None)
        if sweep_id in self._creating:
            self._creating[sweep_id].cancel()

    async def _create(self, wanted: WantedMirror) -> None:
        """Makes a sweep outside, however long that takes, and tells of it.

        If telling fails, the next claim brings the sweep here again.
        """
        backoff = Backoff(self._pace)
        patient_until = asyncio.get_running_loop().time() + self._pace.busy_mirror_seconds
        try:
            while wanted.sweep_id not in self._made:
                await self._try_to_create(wanted, backoff, patient_until)
            await self._tell(wanted, seen=MirrorState.RUNNING)
        finally:
            del self._creating[wanted.sweep_id]
            self._note_tried(wanted.sweep_id)

    async def _try_to_create(
        self, wanted: WantedMirror, backoff: Backoff, patient_until: float
    ) -> None:
        try:
            made = await self._mirrors[wanted.executor].create(wanted)
        except Exception as error:
            is_busy = isinstance(error, MirrorBusy)
            if not is_busy or asyncio.get_running_loop().time() >= patient_until:
                await self._complain(wanted, error)
                self._note_tried(wanted.sweep_id)
            away = isinstance(error, MirrorAway)
            at_least = 0.0 if away else self._pace.refused_pause_seconds
            await asyncio.sleep(backoff.next_pause(at_least_seconds=at_least))
        else:
            self._made[wanted.sweep_id] = made
            _log.info("mirror.made", study=wanted.study, external_ref=made.external_ref)

    def _note_tried(self, *sweep_ids: str) -> None:
        if self._untried is not None:
            self._untried.difference_update(sweep_ids)
            if not self._untried:
                self._has_tried.set()

    async def _keep_looking(self, executor: str) -> NoReturn:
        while True:
            await asyncio.sleep(self._pace.look_at_mirrors_seconds)
            mine = [each for each in self._wanted.values() if each.executor == executor]
            known = {each.external_ref: each for each in mine if each.external_ref is not None}
            if known:
                await self._look(self._mirrors[executor], known)

    async def _look(self, mirror: SweepMirror, known: Mapping[str, WantedMirror]) -> None:
        """Looks at all of an outside system's at once, and does what follows for each."""
        try:
            looks = await mirror.look(known)
        except Exception as error:
            await asyncio.gather(*(self._complain(each, error) for each in known.values()))
            return
        matches = (self._match(mirror, known[ref], look) for ref, look in looks.items())
        await asyncio.gather(*matches)

    async def _match(self, mirror: SweepMirror, wanted: WantedMirror, look: Look) -> None:
        """Tells what a sweep outside is, and makes it what the answer says."""
        if look is None:
            await self._tell_missing(wanted)
            return
        if isinstance(look, MirrorRefused):
            await self._complain(wanted, look)
            return
        self._missing.discard(wanted.sweep_id)
        new_state = await self._tell(wanted, seen=look)
        if new_state is None or wanted.external_ref is None:
            return
        try:
            await mirror.set_state(wanted.external_ref, MirrorState(new_state))
        except Exception as error:
            await self._complain(wanted, error)
        else:
            await self._tell(wanted, seen=new_state)

    async def _tell_missing(self, wanted: WantedMirror) -> None:
        """Who deletes the sweep outside wants no more of it; once may be an error of the system."""
        if wanted.sweep_id in self._missing:
            problem = (
                f"{wanted.external_ref} was deleted, so no new trials are started. To go on with "
                f"another one: {describe_resume(wanted.study)}."
            )
            self._missing.discard(wanted.sweep_id)
            self._made.pop(wanted.sweep_id, None)
            await self._tell(wanted, is_deleted=True, problem=problem)
            return
        self._missing.add(wanted.sweep_id)

    async def _complain(self, wanted: WantedMirror, error: Exception) -> None:
        """Says once why a mirror cannot be made or kept; what it would do next may cure that."""
        if wanted.sweep_id in self._complained:
            return
        if isinstance(error, MirrorAway | MirrorRefused):
            _log.warning("mirror.failed", study=wanted.study, reason=str(error))
        else:
            _log.error("mirror.failed", study=wanted.study, reason=str(error), exc_info=error)
        await self._tell(wanted, problem=str(error) or type(error).__name__)

    async def _tell(
        self,
        wanted: WantedMirror,
        *,
        seen: str | None = None,
        is_deleted: bool = False,
        problem: str | None = None,
    ) -> str | None:
        """Returns what the mirror is to be set to; None also if the server has not answered."""
        made = self._made.get(wanted.sweep_id)
        external_ref = wanted.external_ref if is_deleted else None
        try:
            new_state = await self._calls.tell_mirror(
                wanted.study,
                external_ref=made.external_ref if made else external_ref,
                url=made.url if made else None,
                seen=seen,
                is_deleted=is_deleted,
                problem=problem and problem[:_LONGEST_PROBLEM],
            )
        except AsktellError as error:
            # What is still so is said again in a while.
            if not may_pass(error) and not is_gone(error):
                _log.error("mirror.refused", study=wanted.study, reason=str(error))
            return None
        except Exception as error:
            _log.exception("mirrors.unreadable", study=wanted.study, reason=str(error))
            return None
        (self._complained.add if problem else self._complained.discard)(wanted.sweep_id)
        return new_state
