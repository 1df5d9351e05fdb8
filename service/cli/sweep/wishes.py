"""What options want otherwise than a sweep file has it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from service.sweep_files import SweepFile


class ExecutorChoice(StrEnum):
    """Ways to launch the program of a sweep file."""

    PROCESS = "process"
    WANDB = "wandb"
    WANDB_LAUNCH = "wandb-launch"
    WANDB_AGENT = "wandb-agent"


class ModeChoice(StrEnum):
    """Where runs of W&B are recorded."""

    ONLINE = "online"
    OFFLINE = "offline"


ExecutorOption = Annotated[
    ExecutorChoice | None,
    typer.Option(help="How trials are launched, if the file does not say; wandb: as W&B's runs."),
]
ProjectOption = Annotated[str | None, typer.Option(help="Project of W&B's runs.")]
EntityOption = Annotated[str | None, typer.Option(help="User or team that W&B's runs belong to.")]
ModeOption = Annotated[
    ModeChoice | None, typer.Option(help="Where W&B's runs go: to W&B, or to the worker's disk.")
]


_OPTIONS = {
    "name": "name",
    "parallelism": "parallelism",
    "budget.max_trials": "trials",
    "launch.directory": "directory",
    "launch.project": "project",
    "launch.entity": "entity",
    "launch.mode": "mode",
}
"""By the parts of the body that they stand for."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the options want otherwise than the file has it; None leaves it to the file.

    Attributes:
        executor: Unlike the others it must not contradict the file.
    """

    name: str | None = None
    directory: str | None = None
    trials: int | None = None
    parallelism: int | None = None
    executor: str | None = None
    project: str | None = None
    entity: str | None = None
    mode: str | None = None


def draft_wished(text: str, wishes: Wishes, *, name: str | None, directory: str) -> "SweepFile":
    """Reads a sweep file, with what options want otherwise; its problems say what is wrong.

    Args:
        name: Where neither the file nor an option has one; like the next.
        directory: The folder of the file, which has the Python files that it names, too.

    Raises:
        InvalidSweepFile: The file cannot be read at all.
    """
    # Loading what reads sweep files takes a second, which is spent only here.
    from service.cli.sweep.sources import LocalSources
    from service.sweep_files import Defaults, draft_sweep_file, list_owners

    defaults = Defaults(name=name, directory=directory, executor=wishes.executor)
    sources = LocalSources(Path(directory), entity=wishes.entity, project=wishes.project)
    file = draft_sweep_file(text, defaults, sources)
    document = dict(file.document)
    for path, (option, value) in list_wishes(wishes).items():
        owners = list_owners(path.removeprefix("launch."))
        if not owners or file.executor in owners:
            _put(document, path.split("."), value)
        elif file.executor is not None:
            file.problems.refuse_asked(option, f"This is for --executor {' or '.join(owners)}.")
    return replace(file, document=document)


def list_wishes(wishes: Wishes) -> dict[str, tuple[str, Any]]:
    """Options and their values, by the parts of the body that they stand for."""
    found = ((path, option, getattr(wishes, option)) for path, option in _OPTIONS.items())
    return {path: (option, value) for path, option, value in found if value is not None}


def _put(document: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Sets a part in a copy of what is around it; what should be a mapping and is none stays."""
    key, *inner = path
    if not inner:
        document[key] = value
        return
    group = document.get(key)
    if group is None or isinstance(group, dict):
        document[key] = {**(group or {}), inner[0]: value}
