"""One server over HTTP, for asyncio: does what exchanges say, and awaits it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, TypeVar

import httpx

from asktell._errors import AsktellError
from asktell._exchange import FAILURES, Exchange, Outcome, Pause, Server, Try
from asktell._requests import Answer, Request

# Longer than the server holds back the answer to an ask of this client.
SALVAGE_SECONDS = 10.0

_Result = TypeVar("_Result")

# Makes good what a request has done whose caller was cancelled, given its answer.
Salvage = Callable[[Any], Exchange[None]]

_logger = logging.getLogger("asktell")


class AsyncConnection:
    """A pool of connections to one server, for the tasks of one event loop."""

    def __init__(self, server: Server, *, transport: httpx.AsyncBaseTransport | None) -> None:
        self.server = server
        self._transport = transport
        self._http: httpx.AsyncClient | None = None
        self._salvages: set[asyncio.Task[None]] = set()

    async def run(self, exchange: Exchange[_Result], *, salvage: Salvage | None = None) -> _Result:
        """The result of an exchange, which raises what it says.

        Args:
            exchange: What to do.
            salvage: If this is cancelled while a request is under way, the request is let go on,
                and this done about its answer.
        """
        try:
            step = next(exchange)
            while True:
                # A coroutine must not raise StopIteration, so this one hands back what may.
                advance = await self._take(step, exchange, salvage)
                step = advance()
        except StopIteration as end:
            result: _Result = end.value
            return result

    async def call(self, request: Request) -> Any:
        """See `Server.call`."""
        return await self.run(self.server.call(request))

    async def send(self, request: Request) -> Answer:
        """See `Server.send`."""
        return await self.run(self.server.send(request))

    async def list_pages(self, key: str, build: Callable[..., Request]) -> AsyncIterator[Any]:
        """What is listed under `key`, page by page; `build` takes the `cursor` of a page."""
        cursor: str | None = None
        while True:
            page = await self.call(build(cursor=cursor))
            for item in page[key]:
                yield item
            cursor = page["next_cursor"]
            if cursor is None:
                return

    async def close(self) -> None:
        """Closes the sockets, after a while for what was cancelled; a later call opens new ones."""
        try:
            if self._salvages:
                await asyncio.wait(self._salvages, timeout=SALVAGE_SECONDS)
        finally:
            late = list(self._salvages)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            http, self._http = self._http, None
            if http is not None:
                await http.aclose()

    async def _take(
        self, step: Try | Pause, exchange: Exchange[Any], salvage: Salvage | None
    ) -> Callable[[], Try | Pause]:
        try:
            outcome = await self._perform(step, salvage)
        except BaseException as error:
            return partial(exchange.throw, error)
        return partial(exchange.send, outcome)

    async def _perform(self, step: Try | Pause, salvage: Salvage | None) -> Outcome | None:
        if isinstance(step, Pause):
            await self.server.clock.async_sleep(step.seconds)
            return None
        try:
            if salvage is None:
                return await self._request(step)
            return await self._request_salvageably(step, salvage)
        except FAILURES as error:
            return error

    async def _request_salvageably(self, step: Try, salvage: Salvage) -> httpx.Response:
        request = asyncio.ensure_future(self._request(step))
        try:
            return await asyncio.shield(request)
        except asyncio.CancelledError:
            task = asyncio.ensure_future(self._salvage(request, salvage))
            self._salvages.add(task)
            task.add_done_callback(self._salvages.discard)
            raise

    async def _salvage(self, request: asyncio.Future[httpx.Response], salvage: Salvage) -> None:
        try:
            answer = Answer(await request, is_after_doubt=False).document
        except (httpx.HTTPError, AsktellError) as error:
            _logger.debug("A cancelled request has done nothing: %s", error)
        else:
            await self.run(salvage(answer))

    async def _request(self, step: Try) -> httpx.Response:
        return await self._open_http().request(**self.server.describe_try(step))

    def _open_http(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(transport=self._transport, **self.server.describe_pool())
        return self._http
