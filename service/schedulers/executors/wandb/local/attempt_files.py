"""What the executor keeps of a run in the folder of its attempt, besides what a process has there.

wandb.json          where the run is recorded, decided before its program is started
runs/wandb/…        the run's own folders
wandb.stopping      the program was told to end
wandb.flagged       and W&B knows
wandb.cut-short     the run had its end, and was not let upload any longer
"""

import os
from dataclasses import asdict, dataclass, replace

from service.schedulers.executors.process import folders
from service.schedulers.executors.wandb.runs.runs import RunPath, build_offline_ref

STOPPING = "wandb.stopping"
FLAGGED = "wandb.flagged"
CUT_SHORT = "wandb.cut-short"

_RECORD = "wandb.json"
_RUNS = "runs"


@dataclass(frozen=True, slots=True)
class Recording:
    """Where the run of an attempt is recorded.

    Attributes:
        entity: None if only W&B could tell, and was not asked.
        reason: Why it is offline though it should not be.
        is_moved: Its program has it elsewhere than was decided.
    """

    project: str
    run_id: str
    is_online: bool
    entity: str | None = None
    reason: str | None = None
    is_moved: bool = False

    @property
    def path(self) -> RunPath:
        return RunPath(self.entity or "", self.project, self.run_id)

    @property
    def external_ref(self) -> str:
        if not self.is_online:
            return build_offline_ref(self.project, self.run_id)
        return self.path.external_ref


def find_runs_folder(folder: str) -> str:
    """Returns what WANDB_DIR is for the attempt's program."""
    return os.path.join(folder, _RUNS)


def write_recording(folder: str, recording: Recording) -> None:
    """Keeps a decision; makes the folder of runs too, for without one wandb goes elsewhere."""
    folders.write_lasting_record(folder, _RECORD, asdict(recording))
    os.makedirs(find_runs_folder(folder), mode=0o700, exist_ok=True)


def settle_recording(folder: str, recording: Recording, *, entity: str, project: str) -> Recording:
    """Keeps where wandb itself says that the run is, if that is elsewhere.

    Args:
        entity: Empty if it does not say; so with the project.
    """
    there = replace(
        recording, entity=entity or recording.entity, project=project or recording.project
    )
    if there != recording and recording.is_online:
        there = replace(there, is_moved=True)
        write_recording(folder, there)
        return there
    return recording


def read_recording(folder: str) -> Recording | None:
    """None if nothing was decided yet, or ever."""
    match folders.read_record(folder, _RECORD):
        case {
            "project": str(project),
            "run_id": str(run_id),
            "is_online": bool(is_online),
            "entity": str() | None as entity,
            "reason": str() | None as reason,
            **others,
        }:
            # Older workers kept nothing of the kind.
            is_moved = others.get("is_moved") is True
            return Recording(project, run_id, is_online, entity, reason, is_moved)
    return None


def was_told_to_end(folder: str) -> bool:
    """Tells whether the worker had it stopped, however hard; a time limit is another thing."""
    return any(folders.has(folder, name) for name in (STOPPING, folders.STOP, folders.KILL))
