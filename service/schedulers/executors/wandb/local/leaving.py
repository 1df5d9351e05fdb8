"""What is seen to before the folder of an attempt goes: its end on W&B, and what W&B lacks."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from service.schedulers.executors.base import Launch, StillRunning
from service.schedulers.executors.process import folders
from service.schedulers.executors.process.launching import Probe
from service.schedulers.executors.process.looking import end_left_overs, is_at_work
from service.schedulers.executors.wandb.local.attempt_files import (
    CUT_SHORT,
    FLAGGED,
    Recording,
    find_runs_folder,
    read_recording,
    settle_recording,
    was_told_to_end,
)
from service.schedulers.executors.wandb.local.ending import choose_final_exit_code
from service.schedulers.executors.wandb.local.kept_runs import KeptRuns
from service.schedulers.executors.wandb.local.looking import build_follower, has_unsent
from service.schedulers.executors.wandb.local.places import find_left, goes_with
from service.schedulers.executors.wandb.local.repairs import Repairs
from service.schedulers.executors.wandb.runs.runs import RunPath

if TYPE_CHECKING:
    from service.schedulers.executors.wandb.local.following import RunSeen

_MOST_LOOKS = 10

_log = structlog.get_logger(__name__)


class Leaving:
    """The last that is done with the folder of an attempt; every step may be the worker's last.

    Args:
        was_preempted: Tells whether the next attempt is to go on with the same run.
    """

    def __init__(
        self,
        kept_runs: KeptRuns,
        repairs: Repairs,
        *,
        was_preempted: Callable[[str], bool],
        probe: Probe,
    ) -> None:
        self._kept_runs = kept_runs
        self._repairs = repairs
        self._was_preempted = was_preempted
        self._probe = probe
        self._failed_looks: dict[str, int] = {}

    def leave(self, attempt_id: str, folder: str) -> None:
        """Notes what to repair and takes from the folder what is to be kept; idempotent.

        Raises:
            StillRunning: The attempt has not ended.
            OSError: It cannot be done now. What cannot be read ten times is kept unread.
        """
        recording = read_recording(folder)
        if recording is None:
            return
        if is_at_work(folder):
            raise StillRunning(f"{attempt_id} has not ended. Stop it before it is forgotten.")
        end_left_overs(folder)
        run = self._see_end(attempt_id, folder, recording)
        if run is not None:
            recording = settle_recording(folder, recording, entity=run.entity, project=run.project)
        if recording.is_online:
            self._note_repair(attempt_id, folder, recording, run)
        self._probe("repair-noted")
        if run is None:
            self._kept_runs.keep_unread(attempt_id, find_runs_folder(folder))
        elif not recording.is_online or run.has_offline_part or has_unsent(folder, run):
            own = [each for each in run.folders if goes_with(folder, each)]
            self._kept_runs.keep(attempt_id, own)
        self._probe("runs-kept")
        self._failed_looks.pop(attempt_id, None)

    def _see_end(self, attempt_id: str, folder: str, recording: Recording) -> "RunSeen | None":
        """None if what the run has left cannot be read, however often."""
        try:
            return _look_to_the_end(attempt_id, folder, recording)
        except Exception as error:
            looks = self._failed_looks.get(attempt_id, 0) + 1
            self._failed_looks[attempt_id] = looks
            # Most troubles pass: the machine may be short of descriptors.
            if isinstance(error, OSError) and looks < _MOST_LOOKS:
                raise
            _log.warning("run.unreadable", attempt_id=attempt_id, reason=str(error))
            return None

    def _note_repair(
        self, attempt_id: str, folder: str, recording: Recording, run: "RunSeen | None"
    ) -> None:
        may_go_on = self._was_preempted(attempt_id)
        # An upload is cut short as a program is stopped, but that is not why the run has ended.
        was_told = was_told_to_end(folder) and not (may_go_on or folders.has(folder, CUT_SHORT))
        if _has_own_end(folder, run, was_told=was_told):
            return
        exit_code = None if run is None else run.exit_code
        if exit_code is None:
            exit_code = choose_final_exit_code(was_told=was_told)
        self._repairs.note(
            attempt_id,
            RunPath(recording.entity or "", recording.project, recording.run_id),
            exit_code=exit_code,
            is_stopped=was_told,
            may_go_on=may_go_on,
        )


def _has_own_end(folder: str, run: "RunSeen | None", *, was_told: bool) -> bool:
    """Whether W&B shows, or will show, how it ended without being told by the worker.

    Of a run that cannot be read nobody knows.
    """
    if run is None:
        return False
    if not run.has_run or run.is_preempting or run.is_offline:
        return True
    is_flagged = not was_told or folders.has(folder, FLAGGED)
    return is_flagged and not has_unsent(folder, run)


def _look_to_the_end(attempt_id: str, folder: str, recording: Recording) -> "RunSeen":
    follower = build_follower(Launch(attempt_id), folder, recording)
    if not follower.look().has_run and find_left(folder, recording.run_id):
        follower = build_follower(Launch(attempt_id), folder, recording)
    while (run := follower.look()).is_behind:
        pass
    return run
