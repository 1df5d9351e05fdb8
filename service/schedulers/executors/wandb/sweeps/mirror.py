"""W&B sweeps that show ours: their runs are its trials, and their states are the same."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from asktell.workers import WantedMirror

from service.domain.mirrors import MirrorState
from service.schedulers.executors.connection.connection import (
    Connection,
    SystemAway,
    SystemBusy,
    SystemRefused,
)
from service.schedulers.executors.mirrors import (
    Look,
    MadeMirror,
    MirrorAway,
    MirrorBusy,
    MirrorRefused,
)
from service.schedulers.executors.wandb.runs.runs import find_entity, find_project
from service.schedulers.executors.wandb.sweeps.made_sweeps import (
    SweepRef,
    find_made_sweeps,
    goes_on,
)
from service.schedulers.executors.wandb.sweeps.sweep_config import build_sweep_config
from service.schedulers.executors.wandb.sweeps.sweep_states import WORDS, read_state

_DEADLINE_SECONDS = 30.0
_MOST_AT_ONCE = 50


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

        Of several the oldest counts that has not ended, whoever looks; the others are cancelled.
        What is cancelled never counts, for W&B goes on with no such sweep: it was one too many, or
        a person has cancelled it before anybody was told of it.
        """
        entity = find_entity(wanted.arguments, self._environment)
        project = find_project(wanted.arguments, self._environment)
        find = partial(self._find, entity, project, wanted.sweep_id)
        sweeps = await find()
        if not sweeps:
            config = build_sweep_config(wanted)
            place = {"entity": entity, "project": project}
            made = await self._call("create_sweep", {**place, "config": config})
            sweeps = await find() or [made]
        first, *others = sweeps
        for other in filter(goes_on, others):
            await self.set_state(str(SweepRef.from_answer(other)), MirrorState.CANCELLED)
        return MadeMirror(str(SweepRef.from_answer(first)), first["url"])

    async def look(self, external_refs: Collection[str]) -> Mapping[str, Look]:
        """Asks for those of a project at once."""
        by_project: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for ref in map(SweepRef.parse, external_refs):
            by_project[ref.entity, ref.project].append(ref.name)
        looks: dict[str, Look] = {}
        for (entity, project), names in by_project.items():
            for begin in range(0, len(names), _MOST_AT_ONCE):
                looks |= await self._look(entity, project, names[begin : begin + _MOST_AT_ONCE])
        return looks

    async def set_state(self, external_ref: str, state: MirrorState) -> None:
        """Nothing happens to a sweep that is not there any more: a look tells."""
        ref = SweepRef.parse(external_ref)
        place = {"entity": ref.entity, "project": ref.project, "name": ref.name}
        await self._call("set_sweep_state", {**place, "state": WORDS[state]})

    async def _find(self, entity: str | None, project: str, sweep_id: str) -> list[dict[str, Any]]:
        found = await find_made_sweeps(self._call, entity, project, sweep_id)
        return [each for each in found if read_state(each["state"]) is not MirrorState.CANCELLED]

    async def _look(self, entity: str, project: str, names: Sequence[str]) -> dict[str, Look]:
        arguments = {"entity": entity, "project": project, "names": names}
        try:
            words = await self._call("read_sweep_states", arguments)
        except MirrorRefused as error:
            # Of this project; the others may be there.
            return {str(SweepRef(entity, project, name)): error for name in names}
        return {
            str(SweepRef(entity, project, name)): None if word is None else read_state(word)
            for name, word in words.items()
        }

    async def _call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        try:
            return await self._connection.call(
                operation, arguments, deadline_seconds=_DEADLINE_SECONDS
            )
        except SystemBusy as error:
            raise MirrorBusy(str(error)) from error
        except SystemAway as error:
            raise MirrorAway(str(error)) from error
        except SystemRefused as error:
            raise MirrorRefused(str(error)) from error
