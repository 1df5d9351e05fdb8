"""Sweeps of W&B whose runs agents take, and what is asked of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from service.domain.mirrors import MirrorState
from service.schedulers.executors.connection.connection import Connection
from service.schedulers.executors.wandb.runs.runs import RunPath
from service.schedulers.executors.wandb.sweeps.made_sweeps import SweepRef, find_made_sweeps
from service.schedulers.executors.wandb.sweeps.sweep_states import read_state

_DEADLINE_SECONDS = 30.0
_ENDS = (MirrorState.FINISHED, MirrorState.CANCELLED)


@dataclass(frozen=True, slots=True)
class EnqueuedRun:
    """A run that was enqueued for the agents of a sweep.

    Attributes:
        name: Its id, which W&B chose.
        label: What people see as its name; a program may change it once it runs.
        state: pending until a program has begun it.
    """

    name: str
    label: str
    state: str
    created_at: str


class AgentApi:
    """Asks and tells W&B through the worker's connection.

    Everything raises SystemAway if W&B does not answer, and SystemRefused if it does not want to.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def find_sweep(self, entity: str | None, project: str, sweep_id: str) -> SweepRef | None:
        """Returns the sweep that was made for one of ours; of several the one that counts."""
        found = await find_made_sweeps(self._call, entity, project, sweep_id)
        return SweepRef.from_answer(found[0]) if found else None

    async def is_over(self, sweep: SweepRef) -> bool:
        """Tells whether agents take nothing of it any more: it has ended, or was deleted."""
        place = {"entity": sweep.entity, "project": sweep.project}
        states = await self._call("read_sweep_states", {**place, "names": [sweep.name]})
        word = states[sweep.name]
        return word is None or read_state(word) in _ENDS

    async def enqueue(self, sweep: SweepRef, params: Mapping[str, Any], label: str) -> str | None:
        """Returns the name of the new run; None if this W&B cannot enqueue any.

        What failed may have been done all the same.
        """
        arguments = {**_name(sweep), "params": dict(params), "label": label}
        name: str | None = await self._call("enqueue_run", arguments)
        return name

    async def list_enqueued(self, sweep: SweepRef, labels: Collection[str]) -> list[EnqueuedRun]:
        """Returns the sweep's runs of these labels, in any state."""
        found = await self._call("list_enqueued_runs", {**_name(sweep), "labels": sorted(labels)})
        return [EnqueuedRun(**run) for run in found]

    async def list_taken(self, sweep: SweepRef) -> frozenset[str]:
        """Returns the names of runs that W&B has given to agents, of each agent its newest ones.

        A program may not have begun them.
        """
        return frozenset(await self._call("list_taken_runs", _name(sweep)))

    async def read_heartbeat(self, path: RunPath) -> str | None:
        """Returns when W&B heard of a run last, by W&B's clock."""
        arguments = {"entity": path.entity, "project": path.project, "run_id": path.run_id}
        heartbeat: str | None = await self._call("read_heartbeat", arguments)
        return heartbeat

    async def _call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        return await self._connection.call(operation, arguments, deadline_seconds=_DEADLINE_SECONDS)


def _name(sweep: SweepRef) -> dict[str, str]:
    return {"entity": sweep.entity, "project": sweep.project, "sweep": sweep.name}
