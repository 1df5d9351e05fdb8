"""The way in for asynchronous programs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Mapping
from enum import Enum
from functools import partial
from types import TracebackType
from typing import Any

import httpx

from asktell import _protocol
from asktell._async_connection import AsyncConnection
from asktell._async_heartbeats import AsyncHeartbeats
from asktell._async_study import AsyncStudy
from asktell._async_sweep import AsyncSweep
from asktell._exchange import Server, delete_study
from asktell._protocol import LEFT_OUT, LeftOut
from asktell._records import StudySummary, read_summary
from asktell._retries import Clock
from asktell._settings import find_token, find_url
from asktell._sweep_records import SweepSummary, Worker, read_sweep_summary, read_worker


class AsyncClient:
    """A client of one Asktell server for asynchronous programs; `Client` with `await`.

    It takes the same arguments, has the same methods and raises the same errors. What its studies,
    trials and sweeps lack is in the table of names in the README. Everything in it
    is for the event loop in which it is first used; tasks may share it. Leave it as an asynchronous
    context manager, or `close` it: while trials of it run, a task renews their leases.

    There is no `optimize`: a loop with `async with await study.ask() as trial` does it.

    Args:
        url: See `Client`, as for everything else.
        token: Likewise.
        timeout: Seconds that one try may take.
        deadline: Seconds after which a call is not tried again.
        max_retries: Tries of a call after its first; None for as many as the deadline allows.
        transport: Something else than httpx's own network transport.
        clock: Source of time and jitter, for tests.

    Raises:
        ConfigurationError: There is no token, or the URL cannot be used.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 60.0,
        deadline: float = 120.0,
        max_retries: int | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.url = find_url(url, os.environ)
        server = Server(
            self.url,
            find_token(token, os.environ, url=self.url),
            timeout_seconds=timeout,
            deadline_seconds=deadline,
            max_retries=max_retries,
            clock=clock or Clock(),
        )
        self._connection = AsyncConnection(server, transport=transport)
        self._heartbeats = AsyncHeartbeats(self._connection)

    async def create_study(
        self,
        name: str,
        *,
        direction: str | Enum | None = None,
        directions: Iterable[str | Enum] | None = None,
        objectives: Mapping[str, str | Enum] | None = None,
        space: Mapping[str, Any] | None = None,
        python: str | Mapping[str, str] | None = None,
        sampler: str | Mapping[str, Any] | None = None,
        pruner: str | Mapping[str, Any] | None = None,
        seed: int | None = None,
        budget: Mapping[str, Any] | None = None,
        parallelism: int | None = None,
        lease_seconds: float | LeftOut | None = LEFT_OUT,
        retry: Mapping[str, Any] | None = None,
        user_attrs: Mapping[str, Any] | None = None,
        if_exists: str = "fail",
        load_if_exists: bool = False,
    ) -> AsyncStudy:
        """Creates a study; see `Client.create_study`."""
        document = _protocol.describe_study(
            name,
            direction=direction,
            directions=directions,
            objectives=objectives,
            space=space,
            python=python,
            sampler=sampler,
            pruner=pruner,
            seed=seed,
            budget=budget,
            parallelism=parallelism,
            lease_seconds=lease_seconds,
            retry=retry,
            user_attrs=user_attrs,
        )
        request = _protocol.create_study(
            document, if_exists=if_exists, load_if_exists=load_if_exists
        )
        return self._open_study(await self._connection.call(request))

    async def get_study(self, name: str) -> AsyncStudy:
        """The study of that name.

        Raises:
            NotFoundError: `study-not-found`.
        """
        return self._open_study(await self._connection.call(_protocol.get_study(name)))

    async def delete_study(self, name: str) -> None:
        """Deletes the study and all its trials, for good.

        Raises:
            NotFoundError: `study-not-found`.
        """
        await self._connection.run(delete_study(self._connection.server, name))

    async def list_studies(
        self, *, state: str | None = None, name_contains: str | None = None, page_size: int = 100
    ) -> AsyncIterator[StudySummary]:
        """All studies by name, page by page while iterating; see `Client.list_studies`."""
        build = partial(
            _protocol.list_studies, state=state, name_contains=name_contains, page_size=page_size
        )
        async for document in self._connection.list_pages("studies", build):
            yield read_summary(document)

    async def create_sweep(self, document: Mapping[str, Any]) -> AsyncSweep:
        """Creates a sweep: a study whose trials workers launch; see `Client.create_sweep`."""
        return self._open_sweep(await self._connection.call(_protocol.create_sweep(document)))

    async def create_sweep_file(
        self,
        text: str,
        directory: str | None = None,
        name: str | None = None,
        *,
        executor: str | None = None,
        project: str | None = None,
        entity: str | None = None,
        mode: str | None = None,
    ) -> AsyncSweep:
        """Creates a sweep from the text of a sweep file; see `Client.create_sweep_file`."""
        request = _protocol.create_sweep_file(
            text,
            directory=directory,
            name=name,
            executor=executor,
            project=project,
            entity=entity,
            mode=mode,
        )
        return self._open_sweep(await self._connection.call(request))

    async def get_sweep(self, name: str) -> AsyncSweep:
        """The sweep of that name.

        Raises:
            NotFoundError: `sweep-not-found`.
        """
        return self._open_sweep(await self._connection.call(_protocol.get_sweep(name)))

    async def list_sweeps(
        self, *, state: str | None = None, name_contains: str | None = None, page_size: int = 100
    ) -> AsyncIterator[SweepSummary]:
        """All sweeps by name, page by page while iterating; see `Client.list_sweeps`."""
        build = partial(
            _protocol.list_sweeps, state=state, name_contains=name_contains, page_size=page_size
        )
        async for document in self._connection.list_pages("sweeps", build):
            yield read_sweep_summary(document)

    async def list_workers(self) -> list[Worker]:
        """The workers that the server knows, those that are away included."""
        answer = await self._connection.call(_protocol.list_workers())
        return list(map(read_worker, answer["workers"]))

    async def close(self) -> None:
        """Ends the heartbeats and closes the connections; a later call starts anew."""
        await self._heartbeats.close()
        await self._connection.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self.url!r})"

    def _open_study(self, document: Mapping[str, Any]) -> AsyncStudy:
        return AsyncStudy(self._connection, self._heartbeats, document)

    def _open_sweep(self, document: Mapping[str, Any]) -> AsyncSweep:
        return AsyncSweep(self._connection, self._open_study(document), document)
