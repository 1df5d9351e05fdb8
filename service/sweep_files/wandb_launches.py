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
from service.sweep_files.wandb_queues import KEYS_OF_QUEUES, read_queue
from service.sweep_files.wandb_schedulers import Scheduler

_PLACES = ("project", "entity")
_OF_PROGRAMS = ("directory", "stop_seconds")
# Ours, which W&B does not know.
_OF_LAUNCH = ("queue", *_OF_PROGRAMS, "timeout_seconds", "step_metric")
_KEYS_OF_WANDB = ("mode", "value", "group", "job_type", "tags", "sweep")
_KEYS_OF_WANDB_IN_QUEUES = ("value", "sweep", "start_timeout_seconds")
_KEYS_OF_WANDB_FOR_AGENTS = ("value", "start_timeout_seconds")
KEYS_OF_LAUNCH = (
    "program",
    "command",
    *_PLACES,
    *KEYS_OF_QUEUES,
    *_OF_LAUNCH,
    "executor",
    WANDB,
)
"""Keys of the file that are about it."""

_FLYTE_FORM = "for Flyte there is `launch: {executor: flyte, task: …}` in our own form"


def read_launch(
    draft: Draft, sweep: Mapping[str, Any], scheduler: Scheduler, defaults: Defaults
) -> None:
    """Says how trials are launched: as processes, as runs of W&B, by its queues or its agents."""
    has_queue = not sweep.keys().isdisjoint(KEYS_OF_QUEUES)
    executor = draft.executor = _find_executor(draft, sweep, defaults.executor, has_queue=has_queue)
    for key in _OF_LAUNCH:
        if key in sweep:
            draft.take_over(("launch", key), (key,))
    if has_queue:
        _refuse_for_programs(draft, sweep)
        read_queue(draft, sweep, scheduler)
    else:
        _read_program(draft, sweep)
    match executor:
        case "wandb":
            _read_runs(draft, sweep, _KEYS_OF_WANDB)
        case "wandb-launch":
            _read_runs(draft, sweep, _KEYS_OF_WANDB_IN_QUEUES)
        case "wandb-agent":
            _refuse_for_programs(draft, sweep)
            _read_runs(draft, sweep, _KEYS_OF_WANDB_FOR_AGENTS)
        case "process":
            _leave_out_runs(draft, sweep)


def _find_executor(
    draft: Draft, sweep: Mapping[str, Any], wanted: str | None, *, has_queue: bool
) -> str | None:
    usual = WANDB_QUEUE if has_queue else PROCESS
    executor = find_executor(draft, sweep, (), wanted, usual)
    if executor is None:
        return None
    if problem := _find_executor_problem(executor, has_queue=has_queue):
        refuse_executor(draft, sweep, (), problem)
        return None
    draft.put(("launch", "executor"), executor, ("executor",) if "executor" in sweep else ())
    return executor


def _find_executor_problem(executor: str, *, has_queue: bool) -> str | None:
    if executor == FLYTE:
        return f"Here sweeps launch programs; {_FLYTE_FORM}."
    if has_queue and executor != WANDB_QUEUE:
        return (
            "The job or the image of this file is for queues of W&B Launch; to launch `program` "
            "instead, leave `job`, `image_uri` and `launch` out."
        )
    if not has_queue and executor == WANDB_QUEUE:
        return "This needs `job` or `image_uri`, and `launch: {queue: …}`."
    return None


def _read_program(draft: Draft, sweep: Mapping[str, Any]) -> None:
    for key in ("program", "command"):
        if key in sweep:
            draft.take_over(("launch", key), (key,))
    check_program(draft, sweep, ())


def _refuse_for_programs(draft: Draft, sweep: Mapping[str, Any]) -> None:
    for key in _OF_PROGRAMS:
        if key in sweep:
            draft.refuse((key,), "This is for programs that our workers launch themselves.")


def _read_runs(draft: Draft, sweep: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in _PLACES:
        if key in sweep:
            draft.take_over(("launch", key), (key,))
    if WANDB not in sweep:
        return
    runs = sweep[WANDB]
    if not isinstance(runs, dict):
        draft.refuse((WANDB,), "What there is to say of runs is written {mode: offline}.")
        return
    draft.refuse_unknown((WANDB,), runs, known)
    for key in known:
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
