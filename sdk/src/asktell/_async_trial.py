"""A trial for asynchronous programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from asktell._asked import UNTOLD_REASON, AskedTrial

if TYPE_CHECKING:
    from asktell._async_connection import AsyncConnection
    from asktell._async_study import AsyncStudy
    from asktell._leases import Lease
    from asktell._records import FrozenTrial

_Choice = TypeVar("_Choice")


class AsyncTrial(AskedTrial):
    """One set of parameters to try; `Trial` for asynchronous programs.

    A trial belongs to one task. As an asynchronous context manager it never stays running: an
    exception tells FAIL and goes on, TrialPruned tells PRUNED and ends there, leaving without a
    tell is a FAIL too. So is a cancellation, which is held up by five seconds at most for the tell,
    and for each request that delivers kept reports before it.

    Its lease is renewed in the background until it is told, its block is left, its client is
    closed, or nobody holds this object any more.

    Attributes:
        study: Its study.
        number: Its number within the study.
        attempt: Which execution of the trial this is, from 1.
    """

    def __init__(
        self, study: AsyncStudy, connection: AsyncConnection, asked: Mapping[str, Any], lease: Lease
    ) -> None:
        super().__init__(connection.server, study.name, asked, lease)
        self.study = study
        self._connection = connection

    async def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """See `Trial.suggest_float`."""
        document = {"type": "float", "low": low, "high": high, "step": step, "log": log}
        return float(await self._connection.run(self._suggesting(name, document)))

    async def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """See `Trial.suggest_int`."""
        document = {"type": "int", "low": low, "high": high, "step": step, "log": log}
        return int(await self._connection.run(self._suggesting(name, document)))

    async def suggest_categorical(self, name: str, choices: Sequence[_Choice]) -> _Choice:
        """See `Trial.suggest_categorical`."""
        return await self._connection.run(self._choosing(name, choices))

    async def report(self, value: float, step: int) -> None:
        """Reports the value at a step, or keeps it while the server is away; see `Trial.report`."""
        await self._connection.run(self._reporting(value, step))

    async def should_prune(self) -> bool:
        """Whether the pruner gave this trial up after its last report; see `Trial`."""
        return await self._connection.run(self._deciding())

    async def tell(
        self,
        values: float | Sequence[float] | None = None,
        state: str | Enum | None = None,
        *,
        reason: str | None = None,
        cause: str | None = None,
        constraints: Mapping[str, float] | Sequence[float] | None = None,
    ) -> FrozenTrial:
        """Ends the trial; see `Study.tell`."""
        return await self.study.tell(
            self, values, state, reason=reason, cause=cause, constraints=constraints
        )

    async def __aenter__(self) -> AsyncTrial:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        try:
            if exc is not None:
                return await self._connection.run(self._ending_by(exc))
            if self._told is None:
                await self._connection.run(self._ending("FAIL", reason=UNTOLD_REASON))
            return False
        finally:
            self._lease.close()
