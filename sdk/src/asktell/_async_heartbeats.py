"""The task that renews the leases of an asynchronous client."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from asktell._leases import LONGEST_WAIT_SECONDS, Lease, Watch

if TYPE_CHECKING:
    from asktell._async_connection import AsyncConnection


class AsyncHeartbeats(Watch):
    """The heartbeats of one client's leases, sent by one task that runs while there are any.

    Only for the event loop in which the client is used.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection.server)
        self._connection = connection
        self._task: asyncio.Task[None] | None = None
        self._wakes_at = 0.0
        self._wake = asyncio.Event()

    def watch(self, lease: Lease) -> None:
        """Renews the lease whenever it is due, until it is forgotten or nobody holds it."""
        self._leases.add(lease)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="asktell-heartbeats")
        elif lease.due_at < self._wakes_at:
            self._wake.set()

    async def close(self) -> None:
        """Forgets all leases and ends the task; a later report starts anew."""
        self._leases.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _guard(self) -> AbstractContextManager[Any]:
        return nullcontext()

    async def _run(self) -> None:
        while await self._wait_until_due():
            await self._connection.run(self.beat())

    async def _wait_until_due(self) -> bool:
        while (due_at := self.find_next_due()) is not None:
            pause = due_at - self.clock.monotonic()
            if pause <= 0:
                return True
            self._wakes_at = due_at
            self._wake.clear()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), min(pause, LONGEST_WAIT_SECONDS))
        return False
