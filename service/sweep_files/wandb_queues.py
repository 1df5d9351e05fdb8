"""How W&B Launch launches the runs of a sweep: a job or an image, from one of its queues."""

import re
from collections.abc import Mapping
from typing import Any

from service.domain.commands import VARIABLE_MACRO
from service.domain.errors import InvalidSweepFile
from service.sweep_files.documents import Path
from service.sweep_files.draft import Draft
from service.sweep_files.launches import refuse_both_resources
from service.sweep_files.wandb_parameters import convert_parameter
from service.sweep_files.wandb_schedulers import Scheduler

KEYS_OF_QUEUES = ("job", "image_uri", "launch")

_LAUNCH: Path = ("launch",)
_OVERRIDES: Path = ("launch", "overrides")
_NAMES = {"job": "job", "image_uri": "image"}
_NAMES_IN_LAUNCH = {
    "queue": "launch_queue",
    "resource": "resource",
    "resource_args": "resource_args",
    "template_variables": "template_variables",
    "priority": "priority",
}
_KEYS_IN_LAUNCH = (*_NAMES_IN_LAUNCH, "registry", "overrides")
_KEYS_IN_OVERRIDES = ("run_config", "args", "entry_point")
# Its scheduler knows numbers only, `wandb launch` these words.
_PRIORITIES = {"critical": 0, "high": 1, "medium": 2, "low": 3}
_PROGRAM = "${program}"
_MACRO = re.compile(r"\$\{[^{}]*\}")


def read_queue(draft: Draft, sweep: Mapping[str, Any], scheduler: Scheduler) -> None:
    """Says which job or image is launched by which queue, and with what."""
    if ("job" in sweep) == ("image_uri" in sweep):
        draft.refuse(("job",), "Give `job` or `image_uri`, one of them.")
    for key, name in _NAMES.items():
        if key in sweep:
            draft.take_over(("launch", name), (key,))
    launch = sweep.get("launch", {})
    if not isinstance(launch, dict):
        draft.refuse(_LAUNCH, "What there is to say of the queue is written {queue: gpu}.")
        return
    draft.refuse_unknown(_LAUNCH, launch, _KEYS_IN_LAUNCH)
    if "queue" not in launch:
        draft.refuse((*_LAUNCH, "queue"), "Name the queue of W&B Launch: `launch: {queue: gpu}`.")
    _read_resources(draft, launch)
    _read_command(draft, sweep)
    _read_overrides(draft, sweep, launch.get("overrides", {}), scheduler)


def _read_resources(draft: Draft, launch: Mapping[str, Any]) -> None:
    for key, name in _NAMES_IN_LAUNCH.items():
        if key in launch:
            draft.take_over(("launch", name), (*_LAUNCH, key))
    priority = launch.get("priority")
    if isinstance(priority, str) and priority.lower() in _PRIORITIES:
        path = (*_LAUNCH, "priority")
        draft.put(("launch", "priority"), _PRIORITIES[priority.lower()], path)
    refuse_both_resources(draft, launch)
    if "registry" in launch:
        draft.note(
            (*_LAUNCH, "registry"),
            "The agent of the queue has a registry of its own, so this has no effect.",
        )


def _read_command(draft: Draft, sweep: Mapping[str, Any]) -> None:
    """A command is what the job or the image begins with, as W&B Launch has it."""
    if "command" not in sweep:
        if "program" in sweep:
            draft.note(
                ("program",),
                "A job or an image has its own program, so this has no effect without `command`.",
            )
        return
    command, program = sweep["command"], sweep.get("program")
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        draft.refuse(("command",), "A command is a list of its words, such as [python, train.py].")
        return
    words = [program if word == _PROGRAM and isinstance(program, str) else word for word in command]
    for index, word in enumerate(words):
        if problem := _find_word_problem(word):
            draft.refuse(("command", index), problem)
    draft.put(("launch", "entry_point"), words, ("command",))
    for index in range(len(words)):
        draft.link(("launch", "entry_point", index), ("command", index))


def _find_word_problem(word: str) -> str | None:
    if word == _PROGRAM:
        return "There is no `program` in this file."
    if word.startswith("${args"):
        return (
            "A run of W&B Launch gets its parameters in its configuration, `wandb.config`, and no "
            "arguments; leave this out."
        )
    if VARIABLE_MACRO.search(word):
        return "The variables of the machine that runs the job are not known here."
    if _MACRO.fullmatch(word):
        return f"W&B Launch does not replace {word}; write the word itself."
    return None


def _read_overrides(
    draft: Draft, sweep: Mapping[str, Any], overrides: Any, scheduler: Scheduler
) -> None:
    if not isinstance(overrides, dict):
        draft.refuse(_OVERRIDES, "Overrides are written {run_config: {epochs: 20}}.")
        return
    draft.refuse_unknown(_OVERRIDES, overrides, _KEYS_IN_OVERRIDES)
    if "args" in overrides:
        draft.refuse(
            (*_OVERRIDES, "args"),
            "A run gets no arguments here but its configuration; write constants under "
            "`run_config`.",
        )
    if "entry_point" in overrides:
        path = (*_OVERRIDES, "entry_point")
        if "command" in sweep:
            draft.refuse(path, "`command` says the same; leave one out.")
        draft.take_over(("launch", "entry_point"), path)
    if "run_config" in overrides:
        _read_constants(draft, sweep, overrides["run_config"], scheduler)


def _read_constants(
    draft: Draft, sweep: Mapping[str, Any], config: Any, scheduler: Scheduler
) -> None:
    """What is the same in the configuration of every run; parameters win over it."""
    path = (*_OVERRIDES, "run_config")
    if not isinstance(config, dict):
        draft.refuse(path, "The configuration of runs is written {epochs: 20}.")
        return
    if config and scheduler.declares_space:
        draft.refuse(
            path, "Python declares all parameters of this sweep; write these constants there."
        )
        return
    parameters = sweep.get("parameters")
    varied = parameters if isinstance(parameters, dict) else {}
    for name, value in config.items():
        if name in varied:
            draft.note((*path, name), "As in W&B, the parameter of this name wins.")
            continue
        try:
            draft.put(("space", name), convert_parameter({"value": value}), (*path, name))
        except InvalidSweepFile as error:
            draft.refuse((*path, name), error.errors[0].message.partition(": ")[2])
