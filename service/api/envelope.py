"""What every answer carries, whoever gives it: version and request id; and the access log."""

import re
import secrets
import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import __version__
from service.api.problems import build_internal_problem
from service.observability import current_request_id, logs_requests

_SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_VERSION_HEADER = (b"asktell-version", __version__.encode())

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
        reset = current_request_id.set(request_id.decode())
        started = time.perf_counter()
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            _log.exception("request.failed", method=scope["method"], path=_loggable_path(scope))
            if answer.status is None:
                await build_internal_problem()(scope, receive, answer.send)
        finally:
            if logs_requests():
                _log_request(scope, answer.status, time.perf_counter() - started)
            current_request_id.reset(reset)


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
