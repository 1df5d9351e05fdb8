"""What is left to say on W&B of runs whose processes could not say it themselves.

A run whose process was killed has no end: W&B shows it as running until its heartbeat has been
missing for minutes. What is to be said instead is kept in a file until W&B takes it.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn

import structlog

from service.domain.attempts import parse_attempt_id
from service.schedulers.executors.connection.connection import (
    SystemAway,
    SystemRefused,
    SystemSilent,
)
from service.schedulers.executors.process import folders
from service.schedulers.executors.wandb.runs.run_api import WandbApi
from service.schedulers.executors.wandb.runs.run_states import is_at_work
from service.schedulers.executors.wandb.runs.runs import RunPath
from service.schedulers.pace import Backoff, Pace

_KEPT_FOR = timedelta(days=7)
# Twice as long as W&B waits for the heartbeat of a run that nobody goes on with.
_MAY_GO_ON_FOR = timedelta(minutes=10)
_SUFFIX = ".json"
_LAST_SECONDS = 5.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Repair:
    """One of them.

    Attributes:
        exit_code: That its process would have had.
        is_stopped: The worker had it stopped: W&B is to show it as killed.
        noted_at: When that was.
        may_go_on: The next attempt is to go on with the run, and it is ended if none has.
    """

    attempt_id: str
    path: RunPath
    exit_code: int
    is_stopped: bool
    noted_at: datetime
    may_go_on: bool = False

    @property
    def due_at(self) -> datetime:
        return self.noted_at + _MAY_GO_ON_FOR if self.may_go_on else self.noted_at


@dataclass(slots=True)
class _Delay:
    """Of one that W&B did not take."""

    backoff: Backoff
    until: datetime


class Repairs:
    """Repairs not done yet, one file each. They survive the worker.

    One that fails though W&B answers is tried more and more seldom, and each failure is the last
    call for a while: nobody who launches something is to wait for W&B because of repairs.

    Args:
        clock: Tells the time, aware.
    """

    def __init__(
        self, folder: Path, api: WandbApi, *, clock: Callable[[], datetime], pace: Pace
    ) -> None:
        self._folder = folder
        self._api = api
        self._clock = clock
        self._backoff = Backoff(pace)
        self._seldom = replace(pace, longest_pause_seconds=40 * pace.longest_pause_seconds)
        self._delays: dict[str, _Delay] = {}
        self._are_due = asyncio.Event()

    def note(
        self,
        attempt_id: str,
        path: RunPath,
        *,
        exit_code: int,
        is_stopped: bool,
        may_go_on: bool = False,
    ) -> None:
        """Keeps a repair; idempotent, also for one that is done: W&B changes no end."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        record = {
            "external_ref": path.external_ref,
            "exit_code": exit_code,
            "is_stopped": is_stopped,
            "noted_at": self._clock().isoformat(),
            "may_go_on": may_go_on,
        }
        folders.write_lasting_record(str(self._folder), attempt_id + _SUFFIX, record)

    def drop(self, path: RunPath) -> None:
        """Drops what is left to say of a run that goes on; idempotent."""
        for name in self._list_names():
            try:
                repair = self._read(name)
            except OSError as error:
                # It must not keep the run from being launched.
                _log.warning("repair.failed", attempt_id=name, reason=str(error))
                continue
            if repair is not None and repair.path == path:
                self._find_file(name).unlink(missing_ok=True)

    def wake(self) -> None:
        """Has what was noted done soon."""
        self._are_due.set()

    async def run(self) -> NoReturn:
        """Does what there is to do, now and whenever there is more; at last once more."""
        try:
            while True:
                self._are_due.clear()
                if await self.work_off():
                    self._backoff.reset()
                    await self._are_due.wait()
                else:
                    await asyncio.sleep(self._backoff.next_pause())
        except asyncio.CancelledError:
            # The worker ends, and it may be long until there is another one in its folder.
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_SECONDS):
                    await self.work_off()
            raise

    async def work_off(self) -> bool:
        """Does those that are due, up to the first that W&B does not take; False if any is left."""
        try:
            names = await asyncio.to_thread(self._list_names)
        except OSError as error:
            _log.warning("repair.failed", reason=str(error))
            return False
        left = set(names)
        for name in self._choose_due(names):
            try:
                if await self._try(name):
                    left.discard(name)
            except (SystemAway, SystemRefused):
                break
        return not left

    def _choose_due(self, names: Sequence[str]) -> list[str]:
        """Those first that have not failed, or have waited longest."""
        self._delays = {name: self._delays[name] for name in names if name in self._delays}
        waits = {name: delay.until for name, delay in self._delays.items()}
        now = self._clock()
        due = [name for name in names if waits.get(name, now) <= now]
        return sorted(due, key=lambda name: (name in waits, waits.get(name, now)))

    async def _try(self, attempt_id: str) -> bool:
        """One that cannot be read or removed must not keep the others from being done.

        Raises:
            SystemAway: W&B does not take it now.
            SystemRefused: W&B does not accept the key.
        """
        try:
            repair = await asyncio.to_thread(self._read, attempt_id)
            if repair is not None and repair.due_at > self._clock():
                self._delays[attempt_id] = _Delay(Backoff(self._seldom), repair.due_at)
                return False
            if repair is not None:
                await self._see_to(repair)
                await asyncio.to_thread(self._find_file(attempt_id).unlink, missing_ok=True)
        except (SystemAway, SystemRefused) as error:
            if isinstance(error, SystemSilent):
                self._delay(attempt_id)
            raise
        except Exception as error:
            _log.warning("repair.failed", attempt_id=attempt_id, reason=str(error))
            return False
        return True

    def _delay(self, attempt_id: str) -> None:
        delay = self._delays.setdefault(attempt_id, _Delay(Backoff(self._seldom), self._clock()))
        delay.until = self._clock() + timedelta(seconds=delay.backoff.next_pause())

    async def _see_to(self, repair: Repair) -> None:
        """Returns if nothing is left to do for it; raises if W&B does not take it yet."""
        run = repair.path.external_ref
        try:
            problem = await self._do(repair)
        except (SystemAway, SystemRefused) as error:
            is_old = self._clock() - repair.noted_at >= _KEPT_FOR
            if not is_old and not await self._is_refused_for_good(error):
                raise
            _log.warning("run.not_repaired", run=run, reason=str(error))
            return
        if problem is None:
            _log.info("run.repaired", run=run)
        else:
            _log.info("run.not_repaired", run=run, reason=problem)

    async def _do(self, repair: Repair) -> str | None:
        """Returns why there is nothing to be done any more; None if it was done."""
        # What nobody has gone on with, W&B calls crashed by now.
        if repair.may_go_on and is_at_work(await self._api.find_run(repair.path)):
            return "W&B hears of it: another attempt goes on with it."
        if repair.is_stopped:
            await self._api.flag_stop(repair.path)
        is_ended_now = await self._api.end_run(repair.path, exit_code=repair.exit_code)
        return None if is_ended_now else "It has an end there already."

    async def _is_refused_for_good(self, error: Exception) -> bool:
        """Not if it is the key that is refused: there may be another one soon."""
        if not isinstance(error, SystemRefused):
            return False
        with suppress(SystemAway, SystemRefused):
            await self._api.find_account()
            return True
        return False

    def _list_names(self) -> list[str]:
        """Returns the attempts that have a file, whatever is in it."""
        if not self._folder.exists():
            return []
        files = (name for name in sorted(os.listdir(self._folder)) if name.endswith(_SUFFIX))
        names = (name.removesuffix(_SUFFIX) for name in files)
        return [name for name in names if parse_attempt_id(name) is not None]

    def _read(self, attempt_id: str) -> Repair | None:
        match folders.read_record(str(self._folder), attempt_id + _SUFFIX):
            case {
                "external_ref": str(external_ref),
                "exit_code": int(exit_code),
                "is_stopped": bool(is_stopped),
                "noted_at": str(noted_at),
                **others,
            } if path := RunPath.from_external_ref(external_ref):
                with suppress(ValueError):
                    when = datetime.fromisoformat(noted_at)
                    # Older workers noted nothing of the kind.
                    may_go_on = others.get("may_go_on") is True
                    return Repair(attempt_id, path, exit_code, is_stopped, when, may_go_on)
        return None

    def _find_file(self, attempt_id: str) -> Path:
        return self._folder / (attempt_id + _SUFFIX)
