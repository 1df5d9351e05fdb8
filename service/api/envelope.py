"""What every answer carries, whoever gives it: version and request id; access log and latencies."""

import re
import secrets
import time
from functools import partial

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import __version__
from service.api.log_fields import find_log_fields
from service.api.problems import build_internal_problem
from service.metrics import observe_request
from service.observability import current_request_id, describe_current_request, logs_requests

_SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_VERSION_HEADER = (b"asktell-version", __version__.encode())

# Routes that the router does not name in the scope: those of pages, and what nobody serves.
_PAGES = "pages"
_UNMATCHED = "unmatched"

_log = structlog.get_logger(__name__)


class Envelope:
    """Outermost ASGI layer; answers 500 for anything that nobody below has handled."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _find_request_id(scope) or secrets.token_hex(8).encode()
        answer = _Answer(send, request_id)
        reset_id = current_request_id.set(request_id.decode())
        reset_description = describe_current_request.set(partial(find_log_fields, scope))
        started = time.perf_counter()
        try:
            await self._app(scope, receive, answer.send)
        except ClientDisconnect:
            # A job that was killed; there is nobody to answer.
            _log.debug("request.abandoned", method=scope["method"], path=_loggable_path(scope))
        except Exception:
            _log.exception("request.failed", method=scope["method"], path=_loggable_path(scope))
            if answer.status is None:
                await build_internal_problem()(scope, receive, answer.send)
        finally:
            _record_request(scope, answer.status, time.perf_counter() - started)
            describe_current_request.reset(reset_description)
            current_request_id.reset(reset_id)


class _Answer:
    """Passes an answer on, with our headers, and remembers its status."""

    __slots__ = ("_headers", "_send", "status")

    def __init__(self, send: Send, request_id: bytes) -> None:
        self._send = send
        self._headers = (_VERSION_HEADER, (b"x-request-id", request_id))
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._headers]
        await self._send(message)


def _find_request_id(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_REQUEST_ID.fullmatch(value):
            return bytes(value)
    return None


def _record_request(scope: Scope, status: int | None, seconds: float) -> None:
    observe_request(_find_route(scope), scope["method"], status=status, seconds=seconds)
    if logs_requests():
        _log_request(scope, status, seconds)


def _find_route(scope: Scope) -> str:
    """The template of the path: what a client puts into a path must not become a label."""
    route = scope.get("route")
    if route is not None:
        return str(route.path)
    return _PAGES if "endpoint" in scope else _UNMATCHED


def _log_request(scope: Scope, status: int | None, seconds: float) -> None:
    _log.debug(
        "request.answered",
        method=scope["method"],
        path=_loggable_path(scope),
        status=status,
        milliseconds=round(seconds * 1000, 2),
    )


def _loggable_path(scope: Scope) -> str:
    # A login code is a secret until it is used.
    return "/login/…" if scope["path"].startswith("/login/") else str(scope["path"])
