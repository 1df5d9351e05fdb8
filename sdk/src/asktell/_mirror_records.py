"""What a worker hears of sweeps that an outside system is to show, as immutable values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WantedMirror:
    """A sweep that is to have a sweep outside, which this worker is to keep.

    Attributes:
        study: The sweep's name.
        sweep_id: Unlike that of any other sweep anywhere, also of an earlier one with its name.
        executor: What knows the outside system.
        arguments: What that executor wants to know.
        description: What people say of the sweep.
        objectives: Name and direction ("minimize" or "maximize") of each.
        space: The declared search space, as the client wrote it.
        external_ref: The sweep outside; None: it has to be made.
    """

    study: str
    sweep_id: str
    executor: str
    arguments: Mapping[str, Any]
    description: str | None
    objectives: tuple[tuple[str, str], ...]
    space: Mapping[str, Any] | None
    external_ref: str | None


def read_wanted_mirror(document: Mapping[str, Any]) -> WantedMirror:
    return WantedMirror(
        study=document["study"],
        sweep_id=document["sweep_id"],
        executor=document["executor"],
        arguments=document["launch"],
        description=document["description"],
        objectives=tuple((each["name"], each["direction"]) for each in document["objectives"]),
        space=document["space"],
        external_ref=document["external_ref"],
    )
