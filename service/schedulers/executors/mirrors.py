"""What a worker needs of an outside system that has sweeps of its own."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from asktell.workers import WantedMirror

from service.domain.mirrors import MirrorState


@dataclass(frozen=True, slots=True)
class MadeMirror:
    """A sweep outside: its name there, and where people find it."""

    external_ref: str
    url: str | None


class MirrorAway(Exception):
    """The outside system cannot be asked just now; the message says why, for people."""


class MirrorBusy(MirrorAway):
    """It answers, and takes no more calls just now."""


class MirrorRefused(Exception):
    """It does not do this until a person changes something; the message says what, for people."""


Look: TypeAlias = MirrorState | MirrorRefused | None
"""What a sweep outside is; None: people have deleted it; a refusal: it cannot be seen."""


class SweepMirror(Protocol):
    """One outside system whose sweeps are made like ours, and whose states are.

    It belongs to one event loop; its methods may be called at the same time. Each raises
    `MirrorAway` or `MirrorRefused`.
    """

    async def create(self, wanted: WantedMirror) -> MadeMirror:
        """Makes the sweep outside, or finds the one that was made for the same sweep before.

        Idempotent, also across the death of the worker at any point, as long as one worker at a
        time calls it; two at once may make two.
        """

    async def look(self, external_refs: Collection[str]) -> Mapping[str, Look]:
        """Looks at several sweeps at once; changes nothing.

        What is not in the answer could not be looked at this time.
        """

    async def set_state(self, external_ref: str, state: MirrorState) -> None:
        """Makes the sweep outside be this; it may be so already."""
