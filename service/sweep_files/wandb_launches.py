"""How a sweep of W&B's is launched: its program, and what of ours says more about that."""

from collections.abc import Mapping
from typing import Any

from service.sweep_files.draft import Draft
from service.sweep_files.launches import (
    FLYTE,
    PROCESS,
    WANDB,
    WANDB_QUEUE,
    check_program,
    find_executor,
    refuse_executor,
)
from service.sweep_files.sweep_file import Defaults

_PLACES = ("project", "entity")
# Ours, which W&B does not know.
_OF_LAUNCH = ("queue", "directory", "timeout_seconds", "stop_seconds", "step_metric")
_UNSUPPORTED = ("scheduler", "launch", "job", "image_uri")
_KEYS_OF_WANDB = ("mode", "value", "group", "job_type", "tags", "sweep")
KEYS_OF_LAUNCH = (
    "program",
    "command",
    *_PLACES,
    *_UNSUPPORTED,
    *_OF_LAUNCH,
    "executor",
    WANDB,
)
"""Keys of the file that are about it."""

_FLYTE_FORM = "for Flyte there is `launch: {executor: flyte, task: …}` in our own form"
_QUEUE_FORM = (
    "for queues of W&B Launch there is `launch: {executor: wandb-launch, job: …, launch_queue: …}` "
    "in our own form"
)


def read_launch(draft: Draft, sweep: Mapping[str, Any], defaults: Defaults) -> None:
    """Says how trials are launched: as processes, or as processes that are runs of W&B."""
    for key in _UNSUPPORTED:
        if key in sweep:
            draft.refuse(
                (key,),
                f"Not supported yet: here sweeps launch `program` or `command`; {_QUEUE_FORM}.",
            )
    executor = draft.executor = _find_executor(draft, sweep, defaults.executor)
    for key in ("program", "command", *_OF_LAUNCH):
        if key in sweep:
            draft.take_over(("launch", key), (key,))
    check_program(draft, sweep, ())
    if executor == WANDB:
        _read_runs(draft, sweep)
    elif executor == PROCESS:
        _leave_out_runs(draft, sweep)


def _find_executor(draft: Draft, sweep: Mapping[str, Any], wanted: str | None) -> str | None:
    executor = find_executor(draft, sweep, (), wanted)
    if executor == WANDB_QUEUE:
        refuse_executor(draft, sweep, (), f"Here sweeps launch programs; {_QUEUE_FORM}.")
        return None
    if executor == FLYTE:
        refuse_executor(draft, sweep, (), f"Here sweeps launch programs; {_FLYTE_FORM}.")
        return None
    if executor is not None:
        draft.put(("launch", "executor"), executor, ("executor",) if "executor" in sweep else ())
    return executor


def _read_runs(draft: Draft, sweep: Mapping[str, Any]) -> None:
    for key in _PLACES:
        if key in sweep:
            draft.take_over(("launch", key), (key,))
    if WANDB not in sweep:
        return
    runs = sweep[WANDB]
    if not isinstance(runs, dict):
        draft.refuse((WANDB,), "What there is to say of runs is written {mode: offline}.")
        return
    draft.refuse_unknown((WANDB,), runs, _KEYS_OF_WANDB)
    for key in _KEYS_OF_WANDB:
        if key in runs:
            draft.take_over(("launch", key), (WANDB, key))


def _leave_out_runs(draft: Draft, sweep: Mapping[str, Any]) -> None:
    for key in _PLACES:
        if key in sweep:
            draft.note(
                (key,),
                "Trials are no runs of W&B, so this has no effect; `executor: wandb` "
                "makes them some.",
            )
    if WANDB in sweep:
        draft.refuse((WANDB,), "This needs `executor: wandb`.")
