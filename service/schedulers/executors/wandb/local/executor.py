"""Launches attempts as processes that are W&B runs.

The process executor does all that concerns the process. Metrics come from the transaction log that
wandb writes for each run, so they are there as soon without W&B as with it; W&B itself is asked and
told as little as can be, and nothing waits for it for long.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from service.domain.attempts import Ending
from service.schedulers.executors.base import (
    ErrorKind,
    Launch,
    Sighting,
    StopKind,
    Watch,
)
from service.schedulers.executors.connection.connection import (
    SystemAway,
    SystemBusy,
    SystemRefused,
    SystemSilent,
    SystemThrottled,
)
from service.schedulers.executors.process import folders
from service.schedulers.executors.process.executor import (
    KEPT_RUNS,
    ProcessExecutor,
    no_probe,
)
from service.schedulers.executors.process.launching import Probe, is_settled
from service.schedulers.executors.process.looking import is_at_work
from service.schedulers.executors.wandb.local.attempt_files import (
    CUT_SHORT,
    FLAGGED,
    STOPPING,
    Recording,
    find_runs_folder,
    read_recording,
    write_recording,
)
from service.schedulers.executors.wandb.local.earlier_parts import EarlierParts
from service.schedulers.executors.wandb.local.ending import blame_person, may_be_a_persons_doing
from service.schedulers.executors.wandb.local.environment import build_run_environment
from service.schedulers.executors.wandb.local.kept_runs import KeptRuns
from service.schedulers.executors.wandb.local.leaving import Leaving
from service.schedulers.executors.wandb.local.looking import RunLooks, RunSighting
from service.schedulers.executors.wandb.local.notes import build_note
from service.schedulers.executors.wandb.local.repairs import Repairs
from service.schedulers.executors.wandb.local.throttling import Throttling
from service.schedulers.executors.wandb.local.uploads import Uploads
from service.schedulers.executors.wandb.runs.deleted_sweeps import leave_deleted_sweep
from service.schedulers.executors.wandb.runs.run_api import WandbApi, classify_error
from service.schedulers.executors.wandb.runs.run_metrics import RunMetrics
from service.schedulers.executors.wandb.runs.runs import (
    RunPath,
    find_entity,
    find_project,
    find_run,
    find_run_url,
)
from service.schedulers.pace import Backoff, Pace

_LAUNCH_SECONDS = 10.0
_CALL_SECONDS = 3.0
# As long as W&B answers, if only others.
_STOP_SECONDS = 10.0
_KILLED = "killed"

T = TypeVar("T")

_log = structlog.get_logger(__name__)


def read_clock() -> datetime:
    """The time of production."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class WandbSettings:
    """What the executor needs of its worker.

    Attributes:
        workdir: Runs that W&B does not have are kept in `wandb` below it, what is left to say on
            W&B in `wandb-repairs`.
        environment: The worker's own.
        was_preempted: Tells whether the worker itself is why an attempt ends: the next one goes on
            with the same run.
        upload_seconds: How long a program whose run has its end may try to reach a W&B that does
            not answer.
        question_seconds: How long the end of an attempt waits for what only W&B can tell.
        throttled_seconds: How long a launch waits while W&B only answers that it is asked too
            often; well below `Pace.launch_seconds`.
        clock: The time, aware.
    """

    workdir: Path
    environment: Mapping[str, str] = field(repr=False)
    was_preempted: Callable[[str], bool]
    upload_seconds: float = 60.0
    question_seconds: float = 30.0
    throttled_seconds: float = 180.0
    pace: Pace = field(default_factory=Pace)
    clock: Callable[[], datetime] = read_clock


class WandbExecutor:
    """Each attempt is a process and a run.

    Args:
        processes: An executor of its own, for attempts in `ATTEMPTS_OF_RUNS`.
    """

    name = "wandb"
    is_shared = False

    def __init__(
        self,
        processes: ProcessExecutor,
        api: WandbApi,
        settings: WandbSettings,
        *,
        probe: Probe = no_probe,
    ) -> None:
        workdir = settings.workdir.resolve()
        self._processes = processes
        self._api = api
        self._settings = settings
        self._probe = probe
        self._kept_runs = KeptRuns(workdir / KEPT_RUNS)
        self._repairs = Repairs(
            workdir / "wandb-repairs", api, clock=settings.clock, pace=settings.pace
        )
        self._leaving = Leaving(
            self._kept_runs, self._repairs, was_preempted=settings.was_preempted, probe=probe
        )
        self._uploads = Uploads(
            api,
            self._cut_short,
            upload_seconds=settings.upload_seconds,
            clock=time.monotonic,
        )
        self._looks = RunLooks(processes.find_folder)
        self._earlier_parts = EarlierParts(
            api,
            workdir / KEPT_RUNS,
            pace=settings.pace,
            patience_seconds=settings.question_seconds,
        )
        self._throttling = Throttling(seconds=settings.throttled_seconds, clock=settings.clock)
        self._persons_doings: dict[str, asyncio.Task[bool]] = {}
        self._pages: dict[str, str] = {}

    async def launch(self, launch: Launch) -> str:
        folder = self._processes.find_folder(launch.attempt_id)
        recording = await asyncio.to_thread(read_recording, folder)
        if recording is None:
            recording = await self._decide(launch, folder)
        if recording.is_online:
            launch = await leave_deleted_sweep(launch, recording.path, self._api)
            if launch.is_resumed:
                await asyncio.to_thread(self._repairs.drop, recording.path)
        environment = build_run_environment(
            _settle_project(launch, recording),
            self._settings.environment,
            folder=find_runs_folder(folder),
            is_online=recording.is_online,
        )
        await self._processes.launch(
            replace(launch, metrics=(), environment=environment),
            furnish=lambda folder: self._furnish(folder, recording),
        )
        return recording.external_ref

    async def poll(self, watches: Sequence[Watch]) -> Mapping[str, Sighting]:
        processes = await self._processes.poll([replace(watch, cursor=0) for watch in watches])
        launches = {watch.launch.attempt_id: watch.launch for watch in watches}
        earlier = self._earlier_parts.list_found(launches)
        found = await asyncio.to_thread(self._look, watches, processes, earlier)
        completed = {
            attempt_id: self._complete(
                launches[attempt_id], each, knows_earlier=attempt_id in earlier
            )
            for attempt_id, each in found.items()
        }
        return {attempt_id: seen for attempt_id, seen in completed.items() if seen is not None}

    async def stop(self, launch: Launch, kind: StopKind) -> None:
        if kind is StopKind.GRACEFUL:
            await self._flag_stop(launch.attempt_id)
        await self._processes.stop(launch, kind)

    async def forget(self, launch: Launch) -> None:
        attempt_id = launch.attempt_id
        if (question := self._persons_doings.pop(attempt_id, None)) is not None:
            question.cancel()
        folder = self._processes.find_folder(attempt_id)
        await asyncio.to_thread(self._leaving.leave, attempt_id, folder)
        self._repairs.wake()
        await self._processes.forget(launch)
        self._looks.forget(attempt_id)
        self._earlier_parts.forget(attempt_id)
        self._throttling.forget(attempt_id)
        self._pages.pop(attempt_id, None)
        self._uploads.note(attempt_id, is_finishing=False)

    async def list_left_over(self, known: Collection[str]) -> list[str]:
        return await self._processes.list_left_over(known)

    def url(self, external_ref: str) -> str | None:
        """None until its run was seen: a program may never begin one."""
        page = find_run(external_ref, self._pages.values())
        return None if page is None else find_run_url(page, self._settings.environment)

    def classify(self, error: Exception) -> ErrorKind:
        return classify_error(error)

    async def tend(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repairs.run())
            tasks.create_task(self._uploads.run())

    async def _decide(self, launch: Launch, folder: str) -> Recording:
        environment = self._settings.environment
        offline = Recording(
            find_project(launch.arguments, environment),
            launch.run_id or launch.attempt_id,
            is_online=False,
        )
        if launch.arguments.get("mode") == "offline" or await asyncio.to_thread(is_settled, folder):
            return offline
        try:
            entity = await self._find_entity(launch)
        except SystemAway as error:
            self._throttling.check(launch.attempt_id, error)
            _log.warning("run.offline", attempt_id=launch.attempt_id, reason=str(error))
            # As far as it is known: `wandb sync` is to take the run where its sweep is.
            account = self._api.account
            default = None if account is None else account.entity
            known = find_entity(launch.arguments, environment) or default
            return replace(offline, reason=str(error), entity=known)
        except SystemRefused as error:
            # Not offline: who has a key wants the runs where they belong.
            raise SystemRefused(
                f"W&B refuses this worker: {error} `mode: offline` needs no key.",
                is_about_key=error.is_about_key,
            ) from error
        return replace(offline, is_online=True, entity=entity)

    async def _find_entity(self, launch: Launch) -> str:
        """W&B is asked even if it is known: a run must not begin when it does not answer."""
        known = self._api.account
        try:
            account = await self._api.find_account(deadline_seconds=_LAUNCH_SECONDS)
        except SystemBusy as error:
            if known is None or isinstance(error, SystemThrottled):
                raise
            account = known
        return find_entity(launch.arguments, self._settings.environment) or account.entity

    def _furnish(self, folder: str, recording: Recording) -> None:
        write_recording(folder, recording)
        self._probe("recording-decided")

    def _look(
        self,
        watches: Sequence[Watch],
        processes: Mapping[str, Sighting],
        earlier: Mapping[str, RunMetrics],
    ) -> dict[str, RunSighting | Sighting]:
        found = {}
        for watch in watches:
            attempt_id = watch.launch.attempt_id
            process = processes.get(attempt_id)
            if process is None:
                continue
            sighting = self._looks.look(watch, process, earlier=earlier.get(attempt_id))
            if isinstance(sighting, RunSighting):
                folder = self._processes.find_folder(attempt_id)
                note = build_note(sighting, folder, self._kept_runs)
                sighting = replace(sighting, seen=replace(sighting.seen, note=note))
            if sighting is not None:
                found[attempt_id] = sighting
        return found

    def _complete(
        self, launch: Launch, found: RunSighting | Sighting, *, knows_earlier: bool
    ) -> Sighting | None:
        """Adds what has to do with W&B itself; None until W&B has answered what it is asked."""
        attempt_id = launch.attempt_id
        if isinstance(found, Sighting):
            return found
        self._uploads.note(
            attempt_id, is_finishing=found.is_finishing, is_unanswered=found.is_unanswered
        )
        if found.has_run:
            self._pages[attempt_id] = found.recording.external_ref
        seen = found.seen
        if not knows_earlier and self._earlier_parts.is_to_wait(
            launch, found.recording, seen.ending
        ):
            return None
        if seen.ending is None or not _is_to_ask(found, seen.ending):
            return seen
        is_persons_doing = self._ask_whose_doing(attempt_id, found.recording)
        if is_persons_doing is None:
            return None
        return replace(seen, ending=blame_person(seen.ending)) if is_persons_doing else seen

    def _ask_whose_doing(self, attempt_id: str, recording: Recording) -> bool | None:
        """None as long as W&B is asked; nothing else waits for that.

        One answer for all looks to come: an end does not change any more.
        """
        if attempt_id not in self._persons_doings:
            asking = asyncio.create_task(self._was_stopped_on_wandb(recording))
            self._persons_doings[attempt_id] = asking
        asking = self._persons_doings[attempt_id]
        if not asking.done():
            return None
        return not asking.cancelled() and asking.exception() is None and asking.result()

    async def _was_stopped_on_wandb(self, recording: Recording) -> bool:
        with suppress(SystemAway, SystemRefused, TimeoutError):
            async with asyncio.timeout(self._settings.question_seconds):
                run = await self._insist(
                    partial(self._api.find_run, recording.path), SystemBusy, SystemSilent
                )
            return run is not None and (run.is_stopped or run.state == _KILLED)
        return False

    async def _flag_stop(self, attempt_id: str) -> None:
        """Has W&B show the run as killed, if it can be told that quickly."""
        folder = self._processes.find_folder(attempt_id)
        path = await asyncio.to_thread(self._begin_to_flag, attempt_id, folder)
        if path is None:
            return
        self._probe("stopping")
        with suppress(SystemAway, SystemRefused, TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._insist(partial(self._api.flag_stop, path), SystemBusy)
            await asyncio.to_thread(folders.mark, folder, FLAGGED)
        self._probe("flagged")

    async def _insist(self, ask: Callable[..., Awaitable[T]], *passing: type[SystemAway]) -> T:
        """Asks again for as long as it fails by one of these; anything else is an answer."""
        backoff = Backoff(self._settings.pace)
        while True:
            try:
                return await ask(deadline_seconds=_CALL_SECONDS)
            except passing:
                await asyncio.sleep(backoff.next_pause())

    def _begin_to_flag(self, attempt_id: str, folder: str) -> RunPath | None:
        """None also for what the worker preempts: the next attempt would find the flag."""
        recording = read_recording(folder)
        if recording is None or not recording.is_online or self._settings.was_preempted(attempt_id):
            return None
        if folders.has(folder, FLAGGED) or not is_at_work(folder):
            return None
        # Before W&B is told: it then interrupts the program, which must not look like a person's
        # doing.
        folders.mark(folder, STOPPING)
        return recording.path

    async def _cut_short(self, attempt_id: str) -> None:
        folder = self._processes.find_folder(attempt_id)
        if await asyncio.to_thread(folders.has, folder, folders.STOP):
            return
        _log.warning("run.cut_short", attempt_id=attempt_id)
        with suppress(OSError):
            await asyncio.to_thread(folders.mark, folder, CUT_SHORT)
            await self._processes.stop(Launch(attempt_id), StopKind.GRACEFUL)


def _is_to_ask(found: RunSighting, ending: Ending) -> bool:
    is_askable = found.recording.is_online and found.has_run and not found.was_told
    return is_askable and may_be_a_persons_doing(ending)


def _settle_project(launch: Launch, recording: Recording) -> Launch:
    """The same launch, where it was once decided that its run is."""
    settled = {"project": recording.project, "entity": recording.entity}
    known = {name: value for name, value in settled.items() if value is not None}
    return replace(launch, arguments={**launch.arguments, **known})
