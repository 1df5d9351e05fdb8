"""A sweep for asynchronous programs; what each method means is said at `Sweep`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from asktell import _protocol
from asktell._sweep_records import (
    Attempt,
    AttemptLog,
    SweepSummary,
    read_attempt,
    read_log,
    read_sweep_summary,
)

if TYPE_CHECKING:
    from asktell._async_connection import AsyncConnection
    from asktell._async_study import AsyncStudy


class AsyncSweep:
    """A sweep on the server, made by `AsyncClient.create_sweep` and `AsyncClient.get_sweep`.

    `Sweep` for asynchronous programs, with the same attributes. There is no `wait`: look at
    `summary` as often as it matters.
    """

    def __init__(
        self, connection: AsyncConnection, study: AsyncStudy, document: Mapping[str, Any]
    ) -> None:
        self.name: str = document["name"]
        self.id: str = document["sweep"]["id"]
        self.study = study
        self.launch: Mapping[str, Any] = document["sweep"]["launch"]
        self.notes: tuple[str, ...] = tuple(document.get("notes", ()))
        self._connection = connection

    async def summary(self) -> SweepSummary:
        """State, counts and best of this moment."""
        return read_sweep_summary(await self._connection.call(_protocol.get_sweep(self.name)))

    async def pause(self) -> SweepSummary:
        """Lets no trial start until `resume`; those that run go on."""
        return await self._change_state("pause")

    async def resume(self) -> SweepSummary:
        """Lets trials start again after `pause` or `stop`; see `Sweep.resume`."""
        return await self._change_state("resume")

    async def stop(self) -> SweepSummary:
        """Lets no trial start any more; those that run go on and are the last ones."""
        return await self._change_state("stop")

    async def cancel(self) -> SweepSummary:
        """As `stop`, and has those that run ended; they count as failed."""
        return await self._change_state("cancel")

    async def attempts(
        self,
        states: Iterable[str] | None = None,
        *,
        trial: int | None = None,
        page_size: int = 100,
    ) -> AsyncIterator[Attempt]:
        """Attempts, the newest first, fetched page by page while iterating."""
        build = partial(
            _protocol.list_attempts,
            self.name,
            states=list(states or ()),
            trial=trial,
            page_size=page_size,
        )
        async for document in self._connection.list_pages("attempts", build):
            yield read_attempt(document)

    async def get_attempt(self, attempt_id: str) -> Attempt:
        """The attempt of that id.

        Raises:
            NotFoundError: `attempt-not-found`.
        """
        request = _protocol.get_attempt(self.name, attempt_id)
        return read_attempt(await self._connection.call(request))

    async def log(self, attempt_id: str, offset: int = 0) -> AttemptLog:
        """What an attempt has written from `offset` on; see `Sweep.log`."""
        request = _protocol.get_log(self.name, attempt_id, offset=offset)
        answer = await self._connection.send(request)
        return read_log(answer.text, answer.response.headers)

    def __repr__(self) -> str:
        return f"AsyncSweep({self.name!r})"

    async def _change_state(self, action: str) -> SweepSummary:
        request = _protocol.change_sweep_state(self.name, action)
        return read_sweep_summary(await self._connection.call(request))
