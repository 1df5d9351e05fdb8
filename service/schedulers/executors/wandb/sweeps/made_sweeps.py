"""Sweeps of W&B that were made for ours: their names, and how they are found again."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from service.domain.mirrors import MirrorState
from service.schedulers.executors.wandb.sweeps.sweep_config import build_marker
from service.schedulers.executors.wandb.sweeps.sweep_states import read_state

_ENDS = (MirrorState.FINISHED, MirrorState.CANCELLED)


@dataclass(frozen=True, slots=True)
class SweepRef:
    """A sweep's name, as it stands in an `external_ref`; its runs are in the same project."""

    entity: str
    project: str
    name: str

    def __str__(self) -> str:
        return f"{self.entity}/{self.project}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(*text.split("/"))

    @classmethod
    def from_answer(cls, sweep: Mapping[str, Any]) -> Self:
        """Returns that of a sweep as operations describe it."""
        return cls(sweep["entity"], sweep["project"], sweep["name"])


async def find_made_sweeps(
    call: Callable[[str, Mapping[str, Any]], Awaitable[Any]],
    entity: str | None,
    project: str,
    sweep_id: str,
) -> list[dict[str, Any]]:
    """Returns the sweeps of a project that were made for one of ours; the first is what counts.

    What has ended comes last.

    Args:
        call: Has an operation done by its name.
    """
    place = {"entity": entity, "project": project, "marker": build_marker(sweep_id)}
    sweeps: list[dict[str, Any]] = []
    cursor = None
    while True:
        # A call for each page, so that others get their turn in between.
        found = await call("find_sweeps", {**place, "cursor": cursor})
        sweeps += found["sweeps"]
        cursor = found["cursor"]
        if cursor is None:
            return sorted(sweeps, key=_rank)


def goes_on(sweep: Mapping[str, Any]) -> bool:
    """Tells whether a sweep has not ended, by what operations say of it."""
    return read_state(sweep["state"]) not in _ENDS


def _rank(sweep: Mapping[str, Any]) -> tuple[bool, str, str]:
    return (not goes_on(sweep), sweep["created_at"], sweep["name"])
