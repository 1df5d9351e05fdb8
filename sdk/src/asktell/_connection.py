"""One server over HTTP, for threads: does what exchanges say, and waits for it."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx

from asktell._exchange import FAILURES, Aside, Exchange, Outcome, Pause, Server, Step
from asktell._requests import Answer, Request
from asktell._retries import Clock
from asktell._settings import find_token

_Result = TypeVar("_Result")


class Connection:
    """A pool of connections to one server. Threads may share it; forked children get their own."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_seconds: float,
        deadline_seconds: float,
        max_retries: int | None,
        transport: httpx.BaseTransport | None,
        clock: Clock,
    ) -> None:
        self.server = Server(url, token, timeout_seconds, deadline_seconds, max_retries, clock)
        self.url = url
        self.clock = clock
        self._options = {
            "timeout_seconds": timeout_seconds,
            "deadline_seconds": deadline_seconds,
            "max_retries": max_retries,
        }
        self._transport = transport
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None
        self._abandoned: httpx.Client | None = None
        _connections.add(self)

    def run(self, exchange: Exchange[_Result]) -> _Result:
        """The result of an exchange, which raises what it says."""
        try:
            step = next(exchange)
            while True:
                step = self._advance(exchange, step)
        except StopIteration as end:
            result: _Result = end.value
            return result

    def call(self, request: Request, *, deadline_seconds: float | None = None) -> Any:
        """See `Server.call`."""
        return self.run(self.server.call(request, deadline_seconds=deadline_seconds))

    def send(self, request: Request) -> Answer:
        """See `Server.send`."""
        return self.run(self.server.send(request))

    def call_once(self, request: Request, *, timeout_seconds: float) -> Any:
        """See `Server.call_once`."""
        return self.run(self.server.call_once(request, timeout_seconds=timeout_seconds))

    def list_pages(self, key: str, build: Callable[..., Request]) -> Iterator[Any]:
        """What is listed under `key`, page by page; `build` takes the `cursor` of a page."""
        cursor: str | None = None
        while True:
            page = self.call(build(cursor=cursor))
            yield from page[key]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def close(self) -> None:
        """Closes the sockets; a later call opens new ones."""
        with self._lock:
            http, self._http = self._http, None
        if http is not None:
            http.close()

    def forget_sockets(self) -> None:
        """Starts anew in a forked child: its parent goes on using the sockets."""
        # The lock is replaced as well, because another thread of the parent may have held it. The
        # abandoned pool is kept, or its finalisers would run in the child.
        self._abandoned, self._http = self._http, None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """What another process needs to open its own; the token is not told to whoever reads it.

        Raises:
            TypeError: It has a transport of its own.
        """
        if self._transport is not None:
            raise TypeError("A client with a transport of its own stays in its process.")
        return _open_anew, (self.url, self._options)

    def _advance(self, exchange: Exchange[Any], step: Step) -> Step:
        try:
            outcome = self._perform(step)
        except BaseException as error:
            return exchange.throw(error)
        return exchange.send(outcome)

    def _perform(self, step: Step) -> Outcome | None:
        if isinstance(step, Pause):
            self.clock.sleep(step.seconds)
            return None
        if isinstance(step, Aside):
            return self.run(step.exchange)
        try:
            return self._open_http().request(**self.server.describe_try(step))
        except FAILURES as error:
            return error

    def _open_http(self) -> httpx.Client:
        with self._lock:
            if self._http is None:
                self._http = httpx.Client(transport=self._transport, **self.server.describe_pool())
            return self._http


def _open_anew(url: str, options: dict[str, Any]) -> Connection:
    token = find_token(None, os.environ, url=url)
    return Connection(url, token, transport=None, clock=Clock(), **options)


def _forget_inherited_sockets() -> None:
    for connection in list(_connections):
        connection.forget_sockets()


def _close_all() -> None:
    for connection in list(_connections):
        connection.close()


# Training jobs fork (data loaders, multiprocessing), and two processes on one socket would read
# each other's answers.
_connections: weakref.WeakSet[Connection] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited_sockets)

# A script need not close what lives as long as it does.
atexit.register(_close_all)
