"""What an attempt's note says of its run: that W&B lacks it, and how to upload it."""

import glob
import os
from collections.abc import Sequence

from service.schedulers.executors.wandb.local.kept_runs import KeptRuns
from service.schedulers.executors.wandb.local.looking import RunSighting

# Of a log in which nothing is recorded yet; see `run_log`, which takes long to import.
_HEADER_BYTES = 7
_EMPTY = "wandb had recorded nothing when its program ended, so there is nothing to upload."


def build_note(found: RunSighting, folder: str, kept: KeptRuns) -> str | None:
    """None if W&B has all of the run, or gets it.

    Args:
        folder: The attempt's.
    """
    recording = found.recording
    if recording.is_online and not (found.is_cut_short or found.is_unsent):
        return None
    reason = "" if recording.reason is None else f" {recording.reason}"
    if found.seen.ending is not None and found.run_folders and _is_empty(found.run_folders):
        # `wandb sync` cannot read such a log.
        return _EMPTY if recording.is_online else f"Recorded offline.{reason} But {_EMPTY}"
    upload = kept.describe_sync(recording.run_id, folder, found.run_folders)
    if found.is_cut_short:
        return f"W&B did not answer when it was to be uploaded. What is missing there: {upload}"
    if recording.is_online:
        return f"It ended before W&B had all of it. What is missing there: {upload}"
    return f"Recorded offline.{reason} To upload it once it has ended: {upload}"


def _is_empty(run_folders: Sequence[str]) -> bool:
    logs = (log for each in run_folders for log in glob.glob(f"{glob.escape(each)}/run-*.wandb"))
    return all(os.path.getsize(log) <= _HEADER_BYTES for log in logs)
