"""The sweep that an outside system has for the runs of one of ours, and who follows whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, assert_never

from service.domain.studies import Objective
from service.domain.sweeps import LaunchSpec, SweepState

MIRROR_LEASE_SECONDS = 60.0
"""How long a worker keeps a mirror without a word."""


class MirrorState(StrEnum):
    """What a sweep outside can be."""

    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class Wish(StrEnum):
    """What a person did to the sweep outside, in our words."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class WantedMirror:
    """A sweep whose mirror a worker is to keep.

    Attributes:
        description: What people say of it.
        external_ref: The sweep outside; None: it has to be made.
        space: The declared search space, as the client gave it.
    """

    study: str
    sweep_id: str
    launch: LaunchSpec
    objectives: tuple[Objective, ...]
    space: Mapping[str, Any] | None
    description: str | None
    external_ref: str | None


@dataclass(frozen=True, slots=True)
class MirrorReport:
    """What a worker says of a mirror.

    Attributes:
        seen: The state outside; None: not known.
        is_deleted: A person has deleted it.
        problem: Why there is none, for people.
    """

    worker_id: str
    external_ref: str | None = None
    url: str | None = None
    seen: MirrorState | None = None
    is_deleted: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Mirror:
    """The mirror of a sweep as it is known here.

    Attributes:
        agreed: The state in which both were last.
        problem: Why there is none yet, for people; attempts do not wait for it then.
    """

    external_ref: str | None
    url: str | None
    agreed: MirrorState | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What makes both the same again.

    Attributes:
        agreed: To be remembered.
        wish: To be done here.
        set_state: To be set outside.
    """

    agreed: MirrorState | None
    wish: Wish | None = None
    set_state: MirrorState | None = None


def describe_problem(mirror: Mirror, ours: SweepState) -> str | None:
    """Why there is no sweep outside, or it cannot be kept, for people; of an ended one, why never.

    The last word of a worker may be about what it was going to try next.
    """
    if mirror.external_ref is not None or not ours.is_over:
        return mirror.problem
    return f"{_NONE_MADE} Last word: {mirror.problem}" if mirror.problem else _NONE_MADE


def get_mirror_state(state: SweepState) -> MirrorState:
    """Returns what a sweep of ours is outside: running as long as its last runs are."""
    match state:
        case SweepState.ACTIVE | SweepState.STOPPING:
            return MirrorState.RUNNING
        case SweepState.PAUSED:
            return MirrorState.PAUSED
        case SweepState.CANCELLED:
            return MirrorState.CANCELLED
        case SweepState.FINISHED | SweepState.FAILED:
            return MirrorState.FINISHED
        case _:
            assert_never(state)


def settle(ours: SweepState, *, agreed: MirrorState | None, seen: MirrorState | None) -> Settlement:
    """Decides who follows whom: whoever has changed since both agreed is followed.

    If both have, an end outside is followed as long as ours is not over; else ours holds.
    """
    wanted = get_mirror_state(ours)
    if seen is None or seen is wanted or _may_stay(ours, seen):
        return Settlement(seen or agreed)
    theirs_changed = agreed is not None and seen is not agreed
    ours_changed = agreed is not wanted
    if theirs_changed and (not ours_changed or (_ENDS_SWEEP[seen] and not ours.is_over)):
        return Settlement(seen, wish=_WISHES[seen])
    return Settlement(agreed, set_state=wanted)


def _may_stay(ours: SweepState, seen: MirrorState) -> bool:
    """Whether an end outside is right though it is not the one that we would set."""
    if ours is SweepState.STOPPING:
        # A person stopped it there, or here: the last runs go on in both.
        return seen is MirrorState.FINISHED
    return ours.is_over and _ENDS_SWEEP[seen]


_NONE_MADE = "There was no sweep in the outside system when this one ended."
_ENDS_SWEEP = {
    MirrorState.RUNNING: False,
    MirrorState.PAUSED: False,
    MirrorState.FINISHED: True,
    MirrorState.CANCELLED: True,
}
_WISHES = {
    MirrorState.RUNNING: Wish.RESUME,
    MirrorState.PAUSED: Wish.PAUSE,
    MirrorState.FINISHED: Wish.STOP,
    MirrorState.CANCELLED: Wish.CANCEL,
}
