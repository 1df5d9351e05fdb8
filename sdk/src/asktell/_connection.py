"""One server over HTTP: requests go out, answers or errors come back, retries happen here.

`call` raises what went wrong → `send` repeats until an answer is final → `_send_once` is httpx.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import httpx

from asktell._errors import ApiConnectionError
from asktell._json import dump
from asktell._problems import read_problem
from asktell._retries import (
    CALLERS_CODE,
    NEVER_SENT,
    RETRIED_STATUSES,
    Clock,
    Patience,
    read_retry_after,
)
from asktell._settings import is_loopback

CONNECT_SECONDS = 5.0
SHORTEST_TRY_SECONDS = 1.0

# Shorter than servers keep idle connections, so that a request rarely meets one being closed.
KEEP_ALIVE_SECONDS = 30.0

# A blip is nobody's business; whoever waits longer wants to know for what.
QUIET_RETRIES = 3

_logger = logging.getLogger("asktell")


@dataclass(frozen=True, slots=True)
class Request:
    """A request that may be repeated without doing twice what it asks for.

    What adds something new (a study, an ask, a queued or imported trial) carries an idempotency
    key, chosen by whoever builds the request and hence before any retry; all others are
    idempotent by content.

    Attributes:
        yaml: A body that is YAML; `body` is the one that becomes JSON.
        wait_seconds: How long the server may hold back its answer, because it was asked to.
    """

    method: str
    path: str
    body: Any = None
    yaml: str | None = None
    query: Mapping[str, str | list[str]] = field(default_factory=dict)
    idempotency_key: str | None = None
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The final answer to a request.

    Attributes:
        is_after_doubt: An earlier try may have taken effect: it was sent, no answer came.
    """

    response: httpx.Response
    is_after_doubt: bool

    @property
    def document(self) -> Any:
        """The decoded body.

        Raises:
            ApiError: The server refused, or what answered is not Asktell.
        """
        self._raise_refusal()
        if self.response.status_code == 204:
            return None
        try:
            return self.response.json()
        except ValueError:
            raise read_problem(self.response) from None

    @property
    def text(self) -> str:
        """The body as it is.

        Raises:
            ApiError: The server refused.
        """
        self._raise_refusal()
        return self.response.text

    def _raise_refusal(self) -> None:
        if not self.response.is_success:
            raise read_problem(self.response)


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
        self.url = url
        self.clock = clock
        self._token = token
        self._timeout_seconds = timeout_seconds
        self._deadline_seconds = deadline_seconds
        self._max_retries = max_retries
        self._transport = transport
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None
        self._abandoned: httpx.Client | None = None
        _connections.add(self)

    def call(self, request: Request, *, deadline_seconds: float | None = None) -> Any:
        """The decoded body of a successful answer.

        Args:
            request: What to ask for.
            deadline_seconds: Less patience than usual, for a caller who is on the way out.

        Raises:
            ApiError: The server refused.
            ApiConnectionError: No answer came.
        """
        return self.send(request, deadline_seconds=deadline_seconds).document

    def send(self, request: Request, *, deadline_seconds: float | None = None) -> Answer:
        """The final answer, be it a refusal; what may pass by itself is tried again.

        Raises:
            ApiConnectionError: No answer came.
        """
        patience = self._start_patience(request, deadline_seconds)
        is_after_doubt = False
        while True:
            outcome = self._try(request, patience.remaining_seconds)
            pause = None
            if _may_pass(outcome):
                pause = patience.next_pause(self._wished_pause(outcome))
            if pause is None:
                return Answer(self._conclude(outcome), is_after_doubt)
            if patience.retries == QUIET_RETRIES:
                self._announce(outcome, patience.remaining_seconds)
            is_after_doubt = is_after_doubt or _is_doubtful(outcome)
            self.clock.sleep(pause)

    def call_once(self, request: Request, *, timeout_seconds: float) -> Any:
        """As `call`, but without patience and without a word, for whoever tries again anyway.

        Raises:
            ApiError: The server refused.
            ApiConnectionError: No answer came.
        """
        outcome = self._try(request, timeout_seconds)
        return Answer(self._conclude(outcome), is_after_doubt=False).document

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

    def _start_patience(self, request: Request, deadline_seconds: float | None) -> Patience:
        deadline = self._deadline_seconds
        if deadline_seconds is not None:
            deadline = min(deadline, deadline_seconds)
        return Patience(
            self.clock,
            max_retries=self._max_retries,
            deadline_seconds=deadline + request.wait_seconds,
        )

    def _try(
        self, request: Request, remaining_seconds: float
    ) -> httpx.Response | httpx.TransportError:
        try:
            return self._send_once(request, max(SHORTEST_TRY_SECONDS, remaining_seconds))
        except httpx.TransportError as error:
            return error

    def _send_once(self, request: Request, at_most_seconds: float) -> httpx.Response:
        seconds = min(self._timeout_seconds + request.wait_seconds, at_most_seconds)
        return self._open_http().request(
            request.method,
            self.url + request.path,
            params=request.query or None,
            content=_encode_body(request),
            headers=_build_headers(request),
            timeout=httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)),
        )

    def _open_http(self) -> httpx.Client:
        with self._lock:
            if self._http is None:
                self._http = httpx.Client(
                    headers={
                        "Authorization": f"Bearer {self._token}",
                        "User-Agent": f"asktell-python/{version('asktell')}",
                    },
                    limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE_SECONDS),
                    transport=self._transport,
                    # A proxy for the internet has nothing to do with this machine.
                    trust_env=not is_loopback(self.url),
                )
            return self._http

    def _wished_pause(self, outcome: httpx.Response | httpx.TransportError) -> float:
        if isinstance(outcome, httpx.Response):
            return read_retry_after(outcome, self.clock.now())
        return 0.0

    def _conclude(self, outcome: httpx.Response | httpx.TransportError) -> httpx.Response:
        if isinstance(outcome, httpx.Response):
            return outcome
        raise ApiConnectionError(
            f"No answer from {self.url} ({_describe(outcome)}). Is the server running, and is "
            "ASKTELL_URL right?"
        ) from outcome

    def _announce(
        self, outcome: httpx.Response | httpx.TransportError, remaining_seconds: float
    ) -> None:
        _logger.warning(
            "%s does not serve requests (%s); trying for up to %.0f s more.",
            self.url,
            _describe(outcome),
            remaining_seconds,
        )


def _may_pass(outcome: httpx.Response | httpx.TransportError) -> bool:
    if isinstance(outcome, httpx.Response):
        is_retried = outcome.status_code in RETRIED_STATUSES
        return is_retried and read_problem(outcome).code != CALLERS_CODE
    return not isinstance(outcome, (httpx.UnsupportedProtocol, httpx.LocalProtocolError))


def _is_doubtful(outcome: httpx.Response | httpx.TransportError) -> bool:
    if isinstance(outcome, httpx.Response):
        return outcome.status_code != 429
    return not isinstance(outcome, NEVER_SENT)


def _encode_body(request: Request) -> bytes | None:
    if request.yaml is not None:
        return request.yaml.encode()
    return None if request.body is None else dump(request.body)


def _build_headers(request: Request) -> dict[str, str]:
    headers = {"Accept": "application/json"}
    if request.yaml is not None:
        headers["Content-Type"] = "application/yaml"
    elif request.body is not None:
        headers["Content-Type"] = "application/json"
    if request.idempotency_key is not None:
        headers["Idempotency-Key"] = request.idempotency_key
    return headers


def _describe(outcome: httpx.Response | httpx.TransportError) -> str:
    if isinstance(outcome, httpx.Response):
        return str(read_problem(outcome))
    return f"{type(outcome).__name__}: {outcome}"


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
