"""What is seen to before the folder of an attempt goes: its end on W&B, and what W&B lacks."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from service.schedulers.executors.base import Launch, StillRunning
from service.schedulers.executors.process import folders
from service.schedulers.executors.process.launching import Probe
from service.schedulers.executors.process.looking import end_left_overs, is_at_work
from service.schedulers.executors.wandb.local.attempt_files import (
    CUT_SHORT,
    Recording,
    read_recording,
    was_told_to_end,
)
from service.schedulers.executors.wandb.local.ending import choose_final_exit_code, had_to_leave
from service.schedulers.executors.wandb.local.kept_runs import KeptRuns
from service.schedulers.executors.wandb.local.looking import build_follower
from service.schedulers.executors.wandb.local.repairs import Repairs
from service.schedulers.executors.wandb.runs.runs import RunPath

if TYPE_CHECKING:
    from service.schedulers.executors.wandb.local.following import RunFollower, RunSeen


class Leaving:
    """The last that is done with the folder of an attempt; every step may be the worker's last.

    Args:
        was_preempted: Tells whether the next attempt goes on with the same run.
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

    def leave(self, attempt_id: str, folder: str) -> None:
        """Notes what to repair and takes from the folder what is to be kept; idempotent.

        Raises:
            StillRunning: The attempt has not ended.
        """
        recording = read_recording(folder)
        if recording is None:
            return
        if is_at_work(folder):
            raise StillRunning(f"{attempt_id} has not ended. Stop it before it is forgotten.")
        end_left_overs(folder)
        run = _look_to_the_end(build_follower(Launch(attempt_id), folder, recording))
        if recording.is_online:
            self._note_repair(attempt_id, folder, recording, run)
        self._probe("repair-noted")
        if not recording.is_online or _has_unsent(folder, run):
            self._kept_runs.keep(attempt_id, run.folders)
        self._probe("runs-kept")

    def _note_repair(
        self, attempt_id: str, folder: str, recording: Recording, run: "RunSeen"
    ) -> None:
        goes_on = run.is_preempting or self._was_preempted(attempt_id)
        if not run.has_run or run.exit_code is not None or goes_on:
            return
        was_told = was_told_to_end(folder)
        self._repairs.note(
            attempt_id,
            RunPath(recording.entity or "", recording.project, recording.run_id),
            exit_code=choose_final_exit_code(was_told=was_told),
            is_stopped=was_told,
        )


def _look_to_the_end(follower: "RunFollower") -> "RunSeen":
    while (run := follower.look()).is_behind:
        pass
    return run


def _has_unsent(folder: str, run: "RunSeen") -> bool:
    """Whether its process had no time to upload all that it had recorded."""
    exit_record = folders.read_record(folder, folders.EXIT) or {}
    return (
        run.exit_code is None
        or folders.has(folder, CUT_SHORT)
        or had_to_leave(exit_record.get("signal"))
    )
