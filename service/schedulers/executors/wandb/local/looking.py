"""Looking at the runs of attempts: what the folder of each tells, without asking W&B."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import Launch, Sighting, Watch
from service.schedulers.executors.process import folders
from service.schedulers.executors.wandb.local.attempt_files import (
    CUT_SHORT,
    Recording,
    read_recording,
    settle_recording,
    was_told_to_end,
)
from service.schedulers.executors.wandb.local.ending import (
    RunEnd,
    blame_move,
    had_to_leave,
    judge,
)
from service.schedulers.executors.wandb.local.last_words import find_last_words
from service.schedulers.executors.wandb.local.places import PlaceSearch, find_left, read_place
from service.schedulers.executors.wandb.local.uploads import has_unanswered_request, has_uploaded
from service.schedulers.executors.wandb.runs.run_metrics import RunMetrics

if TYPE_CHECKING:
    from service.schedulers.executors.wandb.local.following import RunFollower, RunSeen

_MOST_BLIND_LOOKS = 100
_WISHED = "Its program itself asks for that, by `mode` or WANDB_MODE in its code."

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunSighting:
    """An attempt that has a run, or will have one.

    Attributes:
        seen: With the rows and the end that its run tells.
        recording: Offline if its program wants that, whatever was decided.
        was_told: The worker had it stopped.
        has_run: wandb has begun one.
        is_finishing: Its run has its end, and is being uploaded.
        is_unanswered: W&B does not take what is sent of it, or has not yet.
        is_cut_short: It was finishing for too long.
        is_unsent: It has ended before W&B had all of it.
        run_folders: As wandb has made them.
    """

    seen: Sighting
    recording: Recording
    was_told: bool
    has_run: bool
    is_finishing: bool
    is_unanswered: bool
    is_cut_short: bool
    is_unsent: bool
    run_folders: Sequence[str]


class RunLooks:
    """Follows the runs of attempts from look to look, one thread at a time for all of them.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(
        self, find_folder: Callable[[str], str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._find_folder = find_folder
        self._search = PlaceSearch(clock)
        self._followers: dict[str, tuple[tuple[str, ...], RunFollower]] = {}
        self._blind_looks: dict[str, int] = {}

    def look(
        self, watch: Watch, process: Sighting, *, earlier: RunMetrics | None = None
    ) -> RunSighting | Sighting | None:
        """Adds what its run tells to what was just seen of an attempt's process.

        Args:
            earlier: What the attempt that this one goes on from had logged, as far as it is known.

        Returns:
            The process alone if there will be no run; None if the run cannot be looked at now.
        """
        attempt_id = watch.launch.attempt_id
        folder = self._find_folder(attempt_id)
        try:
            recording = read_recording(folder)
            if recording is None:
                return process
            run = self._get_follower(watch.launch, folder, recording).look(earlier)
            if not run.has_run and self._finds_elsewhere(folder, recording, process):
                del self._followers[attempt_id]
                run = self._get_follower(watch.launch, folder, recording).look(earlier)
            recording = settle_recording(folder, recording, entity=run.entity, project=run.project)
            sighting = _combine(watch, process, folder, recording, run)
        except Exception as error:
            return self._look_blindly(attempt_id, process, error)
        if attempt_id in self._blind_looks:
            self._blind_looks[attempt_id] = 0
        return sighting

    def forget(self, attempt_id: str) -> None:
        self._followers.pop(attempt_id, None)
        self._blind_looks.pop(attempt_id, None)

    def _get_follower(self, launch: Launch, folder: str, recording: Recording) -> "RunFollower":
        """Of what is nobody's only the name is known at first."""
        known = self._followers.get(launch.attempt_id)
        if known is None or known[0] != launch.metrics:
            known = (launch.metrics, build_follower(launch, folder, recording))
            self._followers[launch.attempt_id] = known
        return known[1]

    def _finds_elsewhere(self, folder: str, recording: Recording, process: Sighting) -> bool:
        if process.ending is not None:
            return find_left(folder, recording.run_id)
        return self._search.find(folder, recording.run_id)

    def _look_blindly(
        self, attempt_id: str, process: Sighting, error: Exception
    ) -> Sighting | None:
        if attempt_id not in self._blind_looks:
            _log.warning("run.unreadable", attempt_id=attempt_id, reason=str(error))
        looks = self._blind_looks.get(attempt_id, 0) + 1
        self._blind_looks[attempt_id] = looks
        if looks < _MOST_BLIND_LOOKS or process.ending is None:
            return None
        message = f"What its W&B run has logged on this machine cannot be read: {error}"
        return replace(process, ending=Ending(EndingKind.VANISHED, message=message, values={}))


def build_follower(launch: Launch, folder: str, recording: Recording) -> "RunFollower":
    """Returns what reads the log of the attempt's run from its beginning on."""
    # It takes most of a second to import wandb, which a worker without runs need not.
    from service.schedulers.executors.wandb.local.following import RunFollower

    metrics = RunMetrics.from_launch(launch)
    return RunFollower(read_place(folder), recording.run_id, metrics)


def has_unsent(folder: str, run: "RunSeen") -> bool:
    """Tells whether a process that has ended had no time to upload all that it had recorded."""
    exit_record = folders.read_record(folder, folders.EXIT) or {}
    return (
        run.exit_code is None
        or folders.has(folder, CUT_SHORT)
        or had_to_leave(exit_record.get("signal"))
    )


def _combine(
    watch: Watch, process: Sighting, folder: str, recording: Recording, run: "RunSeen"
) -> RunSighting:
    is_cut_short = folders.has(folder, CUT_SHORT)
    was_told = was_told_to_end(folder)
    if recording.is_online and run.is_offline:
        recording = replace(recording, is_online=False, reason=_WISHED)
    end = RunEnd(
        has_run=run.has_run,
        exit_code=run.exit_code,
        is_preempting=run.is_preempting,
        is_cut_short=is_cut_short,
        values=run.values,
        trouble=run.trouble,
    )
    ending = None
    if process.ending is not None and not run.is_behind:
        ending = judge(_give_last_words(process.ending, folder), end, was_told=was_told)
        if recording.is_moved and watch.launch.mirror_ref is not None:
            ending = blame_move(ending, f"{recording.entity}/{recording.project}")
    is_finishing = ending is None and _is_finishing(recording, run)
    return RunSighting(
        replace(process, rows=run.rows.read_from(watch.cursor), ending=ending),
        recording,
        was_told=was_told,
        has_run=run.has_run,
        is_finishing=is_finishing,
        is_unanswered=is_finishing and has_unanswered_request(run.folders[-1]),
        is_cut_short=is_cut_short,
        is_unsent=ending is not None and _lacks_something(folder, run),
        run_folders=run.folders,
    )


def _lacks_something(folder: str, run: "RunSeen") -> bool:
    return run.has_run and (run.has_offline_part or has_unsent(folder, run))


def _give_last_words(ending: Ending, folder: str) -> Ending:
    """What a program says last is why it failed, but for what wandb says after it."""
    if ending.kind is not EndingKind.EXITED or ending.message is None:
        return ending
    return replace(ending, message=find_last_words(folder))


def _is_finishing(recording: Recording, run: "RunSeen") -> bool:
    has_end = recording.is_online and run.exit_code is not None
    return has_end and not has_uploaded(run.folders[-1])
