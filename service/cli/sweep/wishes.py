"""What options want otherwise than a sweep file has it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from service.sweep_files import SweepFile


class ExecutorChoice(StrEnum):
    """Ways to launch the program of a sweep file."""

    PROCESS = "process"
    WANDB = "wandb"
    WANDB_LAUNCH = "wandb-launch"


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


def read_wished(text: str, wishes: Wishes, *, name: str | None, directory: str) -> "SweepFile":
    """Reads a sweep file that options say more about.

    Args:
        name: Where neither the file nor an option has one; like the next.

    Raises:
        InvalidSweepFile: The file is wrong, or does not go with the options.
    """
    # Loading what reads sweep files takes a second, which is spent only here.
    from service.sweep_files import Defaults, read_sweep_file

    defaults = Defaults(
        name=wishes.name or name,
        directory=wishes.directory or directory,
        executor=wishes.executor,
        project=wishes.project,
        entity=wishes.entity,
        mode=wishes.mode,
    )
    return read_sweep_file(text, defaults)


def apply_wishes(document: Mapping[str, Any], wishes: Wishes) -> dict[str, Any]:
    """The body of a request for a sweep, with what the options want otherwise."""
    changed = dict(document)
    if wishes.name is not None:
        changed["name"] = wishes.name
    launch = _leave_out_none(
        directory=wishes.directory,
        project=wishes.project,
        entity=wishes.entity,
        mode=wishes.mode,
    )
    if launch:
        changed["launch"] = {**document["launch"], **launch}
    if wishes.trials is not None:
        changed["budget"] = {**(document.get("budget") or {}), "max_trials": wishes.trials}
    if wishes.parallelism is not None:
        changed["parallelism"] = wishes.parallelism
    return changed


def _leave_out_none(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}
