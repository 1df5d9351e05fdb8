"""What a file says about how trials are launched."""

from collections.abc import Mapping
from typing import Any

from service.domain.commands import find_macro_problem, find_program_problem
from service.domain.flyte import EntityKind
from service.search_space import describe
from service.sweep_files.documents import Path
from service.sweep_files.draft import Draft, suggest

PROCESS = "process"
WANDB = "wandb"
WANDB_QUEUE = "wandb-launch"
WANDB_AGENT = "wandb-agent"
FLYTE = "flyte"
_OF_ALL = ("executor", "queue")
_OF_PROGRAMS = ("program", "command", "directory", "timeout_seconds", "stop_seconds")
KEYS_OF_EXECUTORS: Mapping[str, tuple[str, ...]] = {
    PROCESS: (*_OF_ALL, *_OF_PROGRAMS, "step_metric"),
    WANDB: (
        *_OF_ALL,
        *_OF_PROGRAMS,
        "step_metric",
        "value",
        "project",
        "entity",
        "mode",
        "group",
        "job_type",
        "tags",
        "sweep",
    ),
    WANDB_QUEUE: (
        *_OF_ALL,
        "job",
        "image",
        "launch_queue",
        "launch_queue_project",
        "resource",
        "resource_args",
        "template_variables",
        "priority",
        "entry_point",
        "project",
        "entity",
        "step_metric",
        "value",
        "sweep",
        "timeout_seconds",
        "start_timeout_seconds",
    ),
    WANDB_AGENT: (
        *_OF_ALL,
        "program",
        "command",
        "project",
        "entity",
        "step_metric",
        "value",
        "timeout_seconds",
        "start_timeout_seconds",
    ),
    FLYTE: (
        *_OF_ALL,
        *EntityKind,
        "inputs",
        "input_names",
        "outputs",
        "timeout_seconds",
        "interruptible",
        "cluster_pool",
        "service_account",
        "iam_role",
        "overwrite_cache",
        "raw_output_prefix",
        "max_parallelism",
        "labels",
        "annotations",
        "environment",
    ),
}
"""What `launch` may say, for each way to launch a trial."""


def list_owners(key: str) -> list[str]:
    """Returns the executors that have a use for a key."""
    return [executor for executor, keys in KEYS_OF_EXECUTORS.items() if key in keys]


def find_executor(
    draft: Draft,
    launch: Mapping[str, Any],
    path: Path,
    wanted: str | None,
    usual: str = PROCESS,
) -> str | None:
    """Returns the executor that a part of the file names, or None if there is a problem with it.

    Args:
        wanted: What somebody asked for; the file may leave it open, and must not say otherwise.
        usual: Where nobody says anything.
    """
    named = launch.get("executor", wanted or usual)
    if not isinstance(named, str) or named not in KEYS_OF_EXECUTORS:
        hint = suggest(str(named), tuple(KEYS_OF_EXECUTORS))
        refuse_executor(draft, launch, path, f"There is no executor {describe(named)}.{hint}")
        return None
    if wanted is not None and named != wanted:
        draft.refuse(
            (*path, "executor"),
            f"The file says {named}, and {wanted} was asked for; leave one of them out.",
        )
        return None
    return named


def refuse_executor(draft: Draft, launch: Mapping[str, Any], path: Path, message: str) -> None:
    """Adds a problem with the executor that a part of the file names, or that was asked for."""
    if "executor" in launch:
        draft.refuse((*path, "executor"), message)
    else:
        draft.problems.refuse_asked("executor", message)


def refuse_foreign_keys(draft: Draft, launch: Mapping[str, Any], path: Path, executor: str) -> None:
    """Adds a problem for every key that the executor has no use for."""
    known = KEYS_OF_EXECUTORS[executor]
    unknown = {}
    for key, value in launch.items():
        owners = list_owners(key)
        if not owners:
            unknown[key] = value
        elif executor not in owners:
            draft.refuse((*path, key), f"This needs `executor: {' or '.join(owners)}`.")
    draft.refuse_unknown(path, unknown, known)


def refuse_both_resources(draft: Draft, launch: Mapping[str, Any]) -> None:
    """Adds a problem if `launch` says twice what agents of W&B Launch are to use."""
    if launch.get("resource_args") and launch.get("template_variables"):
        draft.refuse(
            ("launch", "template_variables"),
            "Give `resource_args` or `template_variables`; W&B takes one.",
        )


def check_program(draft: Draft, launch: Mapping[str, Any], path: Path) -> None:
    """Checks `program` and `command` in a part of the file: one of them says what to launch."""
    command = launch.get("command")
    if command is not None and not _is_list_of_texts(command):
        draft.refuse(
            (*path, "command"),
            "A command is a list of its words, such as "
            "[python, train.py, --fast]; for a line of shell write [sh, -c, …].",
        )
        return
    for index, item in enumerate(command or ()):
        if problem := find_macro_problem(item):
            draft.refuse((*path, "command", index), problem)
    if problem := find_program_problem(command, launch.get("program")):
        draft.refuse((*path, "program" if command is None else "command"), problem)


def _is_list_of_texts(command: Any) -> bool:
    return isinstance(command, list) and bool(command) and all(isinstance(i, str) for i in command)
