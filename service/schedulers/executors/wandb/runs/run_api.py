"""What the worker asks and tells W&B of runs and of itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.schedulers.executors.wandb.connection.connection import WandbAway, WandbConnection
from service.schedulers.executors.wandb.runs.runs import RunPath

_SECONDS = 30.0
_REACH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Account:
    """Whose the worker's API key is.

    Attributes:
        entity: Where runs go that name no other.
        app_url: Where W&B's pages are.
    """

    entity: str
    app_url: str


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as W&B has it.

    Attributes:
        state: pending, running, preempting, preempted, finished, failed, crashed or killed.
        summary: As it was recorded; nested.
        last_step: -1 if nothing was logged.
        is_stopped: Somebody wants it to end, or wanted it.
    """

    state: str
    summary: Mapping[str, Any]
    last_step: int
    is_stopped: bool

    @property
    def has_ended(self) -> bool:
        """Whether its process has said its last word, or W&B waits for none any more."""
        return self.state not in ("pending", "running", "preempting")


class WandbApi:
    """Asks and tells W&B through the worker's connection.

    Everything raises WandbAway if W&B does not answer in time, and WandbRefused if it does not
    want to.
    """

    def __init__(self, connection: WandbConnection) -> None:
        self._connection = connection

    async def find_account(self, *, deadline_seconds: float = _SECONDS) -> Account:
        """Asks W&B whose the key is."""
        return Account(**await self._call("find_account", {}, deadline_seconds))

    async def is_reachable(self, *, deadline_seconds: float = _REACH_SECONDS) -> bool:
        """Tells whether W&B answers; not asked again within seconds of an answer.

        Raises:
            WandbRefused: It answers, and does not accept the key.
        """
        if self._connection.has_just_answered:
            return True
        try:
            await self.find_account(deadline_seconds=deadline_seconds)
        except WandbAway:
            return False
        return True

    async def flag_stop(self, path: RunPath, *, deadline_seconds: float = _SECONDS) -> None:
        """Has W&B tell a run to end, and show it as killed then. Idempotent.

        Nothing happens to a run that has ended; one that W&B does not have is refused.
        """
        await self._call("flag_stop", _name(path), deadline_seconds)

    async def find_runs(
        self,
        entity: str,
        project: str,
        run_ids: Sequence[str],
        *,
        deadline_seconds: float = _SECONDS,
    ) -> dict[str, RunView]:
        """Returns those that there are, by id. One request for a hundred."""
        arguments = {"entity": entity, "project": project, "run_ids": list(run_ids)}
        found = await self._call("find_runs", arguments, deadline_seconds)
        return {run_id: RunView(**view) for run_id, view in found.items()}

    async def read_history(
        self,
        path: RunPath,
        keys: Sequence[str],
        min_step: int,
        *,
        deadline_seconds: float = _SECONDS,
    ) -> list[dict[str, Any]]:
        """Returns the rows from a step on that have any of the keys, by `_step`.

        A row holds its `_step` and those of the keys that it has; NaN and infinities are floats.
        """
        arguments = {**_name(path), "keys": list(keys), "min_step": min_step}
        rows: list[dict[str, Any]] = await self._call("read_history", arguments, deadline_seconds)
        return rows

    async def end_run(
        self, path: RunPath, exit_code: int, *, deadline_seconds: float = _SECONDS
    ) -> bool:
        """Ends a run whose process could not say it; False if it has ended already. Idempotent.

        It becomes killed if it was flagged, preempted if it said so; else the exit code tells. A
        run that W&B does not have is refused.
        """
        arguments = {**_name(path), "exit_code": exit_code}
        is_ended_now: bool = await self._call("end_run", arguments, deadline_seconds)
        return is_ended_now

    async def _call(
        self, operation: str, arguments: Mapping[str, Any], deadline_seconds: float
    ) -> Any:
        return await self._connection.call(operation, arguments, deadline_seconds=deadline_seconds)


def _name(path: RunPath) -> dict[str, str]:
    return {"entity": path.entity, "project": path.project, "run_id": path.run_id}
