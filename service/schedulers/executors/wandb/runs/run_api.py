"""What the worker asks and tells W&B of runs and of itself."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.schedulers.executors.base import ErrorKind, StillRunning
from service.schedulers.executors.connection.connection import (
    Connection,
    SystemAway,
    SystemBusy,
    SystemRefused,
    take_exception,
)
from service.schedulers.executors.wandb.runs.run_calls import RunCalls
from service.schedulers.executors.wandb.runs.runs import RunPath

_SECONDS = 30.0
_REACH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Account:
    """Whose the worker's API key is.

    Attributes:
        entity: Where runs go that name no other.
    """

    entity: str


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as W&B has it.

    Attributes:
        state: pending, running, preempting, preempted, finished, failed, crashed or killed.
        summary: As it was recorded; nested.
        last_step: -1 if nothing was logged.
        is_stopped: Somebody wants it to end, or wanted it.
        heartbeat_at: When W&B heard of it last, as it writes that.
    """

    state: str
    summary: Mapping[str, Any]
    last_step: int
    is_stopped: bool
    heartbeat_at: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryPiece:
    """A part of a run's history.

    Attributes:
        rows: By `_step`. A row holds its `_step` and those of the keys that it has; NaN and
            infinities are floats.
        read_to: The last step that was read, whether it has a row or not.
        is_all: Whether nothing of what was asked for is left to read.
    """

    rows: Sequence[Mapping[str, Any]]
    read_to: int
    is_all: bool


class WandbApi:
    """Asks and tells W&B through the worker's connection.

    Everything raises SystemAway if W&B does not answer in time, and SystemRefused if it does not
    want to.

    Attributes:
        account: Whose the key is, as W&B said last; None before it was asked.
    """

    def __init__(self, connection: Connection) -> None:
        self.account: Account | None = None
        self._connection = connection
        self._asking: asyncio.Task[Account] | None = None
        self._stops = RunCalls[str | None](self._flag_stops)
        self._questions = RunCalls[RunView](self._find_runs)
        self._sweeps = RunCalls[str | None](self._read_sweeps)

    async def find_account(self, *, deadline_seconds: float = _SECONDS) -> Account:
        """Asks W&B whose the key is.

        All who want to know at the same time share one question, and its deadline: a burst of
        launches must not use up what this worker may ask.
        """
        asking = self._asking
        if asking is None:
            asking = self._asking = asyncio.create_task(self._ask_account(deadline_seconds))
            asking.add_done_callback(take_exception)
        # Who does not want to wait any longer does not end it for the others.
        await asyncio.wait([asking])
        return asking.result()

    async def is_reachable(self, *, deadline_seconds: float = _REACH_SECONDS) -> bool:
        """Asks W&B whether it answers; whoever asks meanwhile gets the same answer.

        It does if it is only this worker that has no call left to ask it.

        Raises:
            SystemRefused: It answers, and does not accept the key.
        """
        try:
            await self.find_account(deadline_seconds=deadline_seconds)
        except SystemBusy:
            return True
        except SystemAway:
            return False
        return True

    async def flag_stop(self, path: RunPath, *, deadline_seconds: float = _SECONDS) -> None:
        """Has W&B tell a run to end, and show it as killed then. Idempotent.

        All who want that at the same time share a call. Nothing happens to a run that has ended;
        one that W&B does not have is refused.
        """
        refusal = await self._stops.ask(path, deadline_seconds=deadline_seconds)
        if refusal is not None:
            raise SystemRefused(refusal)

    async def find_run(
        self, path: RunPath, *, deadline_seconds: float = _SECONDS
    ) -> RunView | None:
        """Returns a run; None if W&B does not have it.

        All who want to know one at the same time share a call.
        """
        return await self._questions.ask(path, deadline_seconds=deadline_seconds)

    async def find_runs(
        self,
        entity: str,
        project: str,
        run_ids: Sequence[str],
        *,
        deadline_seconds: float = _SECONDS,
    ) -> dict[str, RunView] | None:
        """Returns those that there are, by id. One request for a hundred.

        None if W&B shows no such project: there is none yet, or this key may not see it.
        """
        arguments = {"entity": entity, "project": project, "run_ids": list(run_ids)}
        found = await self._call("find_runs", arguments, deadline_seconds)
        if found is None:
            return None
        return {run_id: RunView(**view) for run_id, view in found.items()}

    async def is_sweep_deleted(
        self, entity: str, project: str, name: str, *, deadline_seconds: float = _SECONDS
    ) -> bool:
        """Tells whether W&B has no such sweep any more.

        All who want to know that at the same time share a call.
        """
        path = RunPath(entity, project, name)
        return await self._sweeps.ask(path, deadline_seconds=deadline_seconds) is None

    async def read_history(
        self,
        path: RunPath,
        keys: Sequence[str],
        min_step: int,
        max_step: int | None = None,
        *,
        deadline_seconds: float = _SECONDS,
    ) -> HistoryPiece:
        """Reads the rows from a step on that have any of the keys, up to some thousand steps.

        Args:
            max_step: The last one to read; None for the run's.
        """
        steps = {"min_step": min_step, "max_step": max_step}
        arguments = {**_name(path), "keys": list(keys), **steps}
        return HistoryPiece(**await self._call("read_history", arguments, deadline_seconds))

    async def end_run(
        self, path: RunPath, exit_code: int, *, deadline_seconds: float = _SECONDS
    ) -> bool:
        """Ends a run whose process could not say it; False if it has ended already. Idempotent.

        One that W&B calls crashed has not. It becomes killed if it was flagged, preempted if it
        said so; else the exit code tells. A run that W&B does not have is refused.
        """
        arguments = {**_name(path), "exit_code": exit_code}
        is_ended_now: bool = await self._call("end_run", arguments, deadline_seconds)
        return is_ended_now

    async def _find_runs(
        self, entity: str, project: str, run_ids: Sequence[str], deadline_seconds: float
    ) -> dict[str, RunView]:
        found = await self.find_runs(entity, project, run_ids, deadline_seconds=deadline_seconds)
        return found or {}

    async def _flag_stops(
        self, entity: str, project: str, run_ids: Sequence[str], deadline_seconds: float
    ) -> Mapping[str, str | None]:
        """Returns why each was refused, or None."""
        arguments = {"entity": entity, "project": project, "run_ids": list(run_ids)}
        refusals: Mapping[str, str | None]
        refusals = await self._call("flag_stops", arguments, deadline_seconds)
        return refusals

    async def _read_sweeps(
        self, entity: str, project: str, names: Sequence[str], deadline_seconds: float
    ) -> Mapping[str, str | None]:
        arguments = {"entity": entity, "project": project, "names": list(names)}
        words: Mapping[str, str | None]
        words = await self._call("read_sweep_states", arguments, deadline_seconds)
        return words

    async def _ask_account(self, deadline_seconds: float) -> Account:
        try:
            self.account = Account(**await self._call("find_account", {}, deadline_seconds))
            return self.account
        finally:
            self._asking = None

    async def _call(
        self, operation: str, arguments: Mapping[str, Any], deadline_seconds: float
    ) -> Any:
        return await self._connection.call(operation, arguments, deadline_seconds=deadline_seconds)


def classify_error(error: Exception) -> ErrorKind:
    """Tells whether an operation of an executor that asks W&B may be tried again."""
    # A refusal ends when a person changes something; it says nothing about the attempt.
    is_transient = isinstance(error, SystemAway | SystemRefused | OSError | StillRunning)
    return ErrorKind.TRANSIENT if is_transient else ErrorKind.PERMANENT


def _name(path: RunPath) -> dict[str, str]:
    return {"entity": path.entity, "project": path.project, "run_id": path.run_id}
