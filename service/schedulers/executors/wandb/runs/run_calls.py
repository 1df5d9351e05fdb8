"""One call for all who want the same of different runs at the same time.

A worker may make two calls a second, and stops twenty attempts at once when a sweep is cancelled.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from service.schedulers.executors.connection.connection import take_exception
from service.schedulers.executors.wandb.runs.runs import RunPath

T = TypeVar("T")
AskAll: TypeAlias = Callable[[str, str, Sequence[str], float], Awaitable[Mapping[str, T]]]
"""Entity, project, run ids and seconds to answers by run id."""


@dataclass(slots=True)
class _Round(Generic[T]):
    """Those who share a call that has not been made yet."""

    run_ids: set[str] = field(default_factory=set)
    deadline_seconds: float = 0.0
    task: "asyncio.Task[Mapping[str, T]] | None" = None


class RunCalls(Generic[T]):
    """Asks about runs, one project at a time; who comes while a call is made shares the next one.

    Args:
        ask_all: Makes the call.
    """

    def __init__(self, ask_all: AskAll[T]) -> None:
        self._ask_all = ask_all
        self._turn = asyncio.Lock()
        self._rounds: dict[tuple[str, str], _Round[T]] = {}

    async def ask(self, path: RunPath, *, deadline_seconds: float) -> T | None:
        """Returns the answer about a run; None if there is none. Raises what the call does.

        Args:
            deadline_seconds: Of the call; the longest of those who share it counts.
        """
        place = (path.entity, path.project)
        shared = self._rounds.setdefault(place, _Round())
        shared.run_ids.add(path.run_id)
        shared.deadline_seconds = max(shared.deadline_seconds, deadline_seconds)
        if shared.task is None:
            shared.task = asyncio.create_task(self._make(place))
            shared.task.add_done_callback(take_exception)
        # Who does not want to wait any longer does not end it for the others.
        await asyncio.wait([shared.task])
        return shared.task.result().get(path.run_id)

    async def _make(self, place: tuple[str, str]) -> Mapping[str, T]:
        async with self._turn:
            shared = self._rounds.pop(place)
            run_ids = sorted(shared.run_ids)
            return await self._ask_all(*place, run_ids, shared.deadline_seconds)
