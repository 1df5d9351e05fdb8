"""One server over HTTP, for asyncio: does what exchanges say, and awaits it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, TypeVar

import httpx

from asktell._exchange import FAILURES, Aside, Exchange, Outcome, Pause, Server, Step, Try
from asktell._requests import Answer, Request

# Longer than the server holds back the answer to an ask of this client, with last words before and
# after that.
ASIDE_SECONDS = 15.0

_Result = TypeVar("_Result")


class AsyncConnection:
    """A pool of connections to one server, for the tasks of one event loop."""

    def __init__(self, server: Server, *, transport: httpx.AsyncBaseTransport | None) -> None:
        self.server = server
        self._transport = transport
        self._http: httpx.AsyncClient | None = None
        self._asides: set[asyncio.Task[None]] = set()

    async def run(self, exchange: Exchange[_Result]) -> _Result:
        """The result of an exchange, which raises what it says."""
        try:
            step = next(exchange)
            while True:
                # A coroutine must not raise StopIteration, so this one hands back what may.
                advance = await self._take(step, exchange)
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
        """Closes the sockets, after a while for what goes on; a later call opens new ones."""
        try:
            if self._asides:
                await asyncio.wait(self._asides, timeout=ASIDE_SECONDS)
        finally:
            late = list(self._asides)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            http, self._http = self._http, None
            if http is not None:
                await http.aclose()

    async def _take(self, step: Step, exchange: Exchange[Any]) -> Callable[[], Step]:
        try:
            outcome = await self._perform(step)
        except BaseException as error:
            return partial(exchange.throw, error)
        return partial(exchange.send, outcome)

    async def _perform(self, step: Step) -> Outcome | None:
        if isinstance(step, Pause):
            await self.server.clock.async_sleep(step.seconds)
            return None
        if isinstance(step, Aside):
            self._start_aside(step)
            return None
        try:
            return await self._request(step)
        except FAILURES as error:
            return error

    def _start_aside(self, step: Aside) -> None:
        task = asyncio.create_task(self.run(step.exchange), name="asktell-aside")
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)

    async def _request(self, step: Try) -> httpx.Response:
        return await self._open_http().request(**self.server.describe_try(step))

    def _open_http(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(transport=self._transport, **self.server.describe_pool())
        return self._http
