"""W&B sweeps that show ours: their runs are its trials, and their states are the same."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from asktell.workers import WantedMirror

from service.domain.mirrors import MirrorState
from service.schedulers.executors.connection.connection import (
    Connection,
    SystemAway,
    SystemRefused,
)
from service.schedulers.executors.mirrors import Look, MadeMirror, MirrorAway, MirrorRefused
from service.schedulers.executors.wandb.runs.runs import find_entity, find_project
from service.schedulers.executors.wandb.sweeps.sweep_config import build_marker, build_sweep_config

_DEADLINE_SECONDS = 30.0
_MOST_AT_ONCE = 50

_WORDS: Final = {
    MirrorState.RUNNING: "RUNNING",
    MirrorState.PAUSED: "PAUSED",
    MirrorState.FINISHED: "FINISHED",
    MirrorState.CANCELLED: "CANCELED",
}
# What else W&B has, or had, for the same. Any other word is none of a person's doings.
_STATES: Final = {
    **{word: state for state, word in _WORDS.items()},
    "CANCELLED": MirrorState.CANCELLED,
    "STOPPED": MirrorState.FINISHED,
    "FAILED": MirrorState.FINISHED,
    "CRASHED": MirrorState.FINISHED,
}


class WandbMirror:
    """Sweeps of W&B, through the worker's connection; see `SweepMirror`.

    Args:
        environment: The worker's, for its WANDB_PROJECT and WANDB_ENTITY.
    """

    def __init__(self, connection: Connection, environment: Mapping[str, str]) -> None:
        self._connection = connection
        self._environment = environment

    async def create(self, wanted: WantedMirror) -> MadeMirror:
        """Looks for the sweep before it makes one, and again after: answers may get lost.

        Of several the oldest counts, whoever looks; the others are cancelled.
        """
        place = {
            "entity": find_entity(wanted.arguments, self._environment),
            "project": find_project(wanted.arguments, self._environment),
        }
        marker = build_marker(wanted.sweep_id)
        sweeps = await self._find(place, marker)
        if not sweeps:
            config = build_sweep_config(wanted)
            made = await self._call("create_sweep", {**place, "config": config})
            sweeps = await self._find(place, marker) or [made]
        first, *others = sorted(sweeps, key=itemgetter("created_at", "name"))
        for other in others:
            await self.set_state(_build_ref(other), MirrorState.CANCELLED)
        return MadeMirror(_build_ref(first), first["url"])

    async def look(self, external_refs: Collection[str]) -> Mapping[str, Look]:
        """Asks for those of a project at once."""
        by_project: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for ref in map(_SweepRef.parse, external_refs):
            by_project[ref.entity, ref.project].append(ref.name)
        looks: dict[str, Look] = {}
        for (entity, project), names in by_project.items():
            for begin in range(0, len(names), _MOST_AT_ONCE):
                looks |= await self._look(entity, project, names[begin : begin + _MOST_AT_ONCE])
        return looks

    async def set_state(self, external_ref: str, state: MirrorState) -> None:
        """Nothing happens to a sweep that is not there any more: a look tells."""
        ref = _SweepRef.parse(external_ref)
        place = {"entity": ref.entity, "project": ref.project, "name": ref.name}
        await self._call("set_sweep_state", {**place, "state": _WORDS[state]})

    async def _find(self, place: Mapping[str, Any], marker: str) -> list[dict[str, Any]]:
        sweeps: list[dict[str, Any]] = []
        cursor = None
        while True:
            # A call for each page, so that others get their turn in between.
            found = await self._call("find_sweeps", {**place, "marker": marker, "cursor": cursor})
            sweeps += found["sweeps"]
            cursor = found["cursor"]
            if cursor is None:
                return sweeps

    async def _look(self, entity: str, project: str, names: Sequence[str]) -> dict[str, Look]:
        arguments = {"entity": entity, "project": project, "names": names}
        try:
            words = await self._call("read_sweep_states", arguments)
        except MirrorRefused as error:
            # Of this project; the others may be there.
            return {str(_SweepRef(entity, project, name)): error for name in names}
        return {
            str(_SweepRef(entity, project, name)): None if word is None else read_state(word)
            for name, word in words.items()
        }

    async def _call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        try:
            return await self._connection.call(
                operation, arguments, deadline_seconds=_DEADLINE_SECONDS
            )
        except SystemAway as error:
            raise MirrorAway(str(error)) from error
        except SystemRefused as error:
            raise MirrorRefused(str(error)) from error


@dataclass(frozen=True, slots=True)
class _SweepRef:
    """A sweep's name, as it stands in an `external_ref`."""

    entity: str
    project: str
    name: str

    def __str__(self) -> str:
        return f"{self.entity}/{self.project}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> "_SweepRef":
        return cls(*text.split("/"))


def _build_ref(sweep: Mapping[str, Any]) -> str:
    return str(_SweepRef(sweep["entity"], sweep["project"], sweep["name"]))


def read_state(word: str) -> MirrorState:
    """Returns what W&B's word for the state of a sweep means."""
    return _STATES.get(word.upper(), MirrorState.RUNNING)
