"""The gate: who may talk to the server at all. Everything behind it may trust a request's sender.

Against other users of the machine: a token. Against web pages in a user's browser: the Host
allow-list (DNS rebinding), the Origin check, JSON-only bodies (a form cannot send them) and a
session cookie that only reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Response
from fastapi.responses import HTMLResponse
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.login import SESSION_COOKIE
from service.api.pages import render_login_needed, wants_html
from service.api.problems import RequestRefused, build_problem
from service.domain.tokens import Credentials

_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
_ANY_HOST = "*"
_PROBED_PATHS = frozenset({"/healthz", "/readyz"})
_LOGIN_PREFIX = "/login/"
_READING_METHODS = frozenset({"GET", "HEAD"})
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_BODY_TYPES = frozenset({"application/json"})
_BEARER = b"bearer "


@dataclass(frozen=True, slots=True)
class GateRules:
    """Who and what is let in.

    Attributes:
        allowed_hosts: Host names, in lower case, besides the loopback ones; "*" allows any.
        body_limit_bytes: Largest body.
    """

    credentials: Credentials
    allowed_hosts: frozenset[str]
    body_limit_bytes: int


class Gate:
    """ASGI layer that answers by itself whatever the rules refuse."""

    def __init__(self, app: ASGIApp, rules: GateRules) -> None:
        self._app = app
        self._rules = rules
        self._hosts = _LOOPBACK_HOSTS | rules.allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif (refusal := self._find_refusal(scope)) is not None:
            await refusal(scope, receive, send)
        else:
            await self._app(scope, self._limit_body(receive), send)

    def _find_refusal(self, scope: Scope) -> Response | None:
        if scope["path"] in _PROBED_PATHS:
            # Probes call by address, so their Host cannot be foreseen.
            return None
        headers = _read_headers(scope)
        return (
            self._refuse_host(headers)
            or self._refuse_origin(headers)
            or self._refuse_stranger(scope, headers)
            or self._refuse_body(scope, headers)
        )

    def _refuse_host(self, headers: Mapping[bytes, bytes]) -> Response | None:
        host = _strip_port(headers.get(b"host", b"").decode("latin-1"))
        if host in self._hosts or (host and _ANY_HOST in self._hosts):
            return None
        detail = (
            "This server does not answer under the host name of this request. If the name is its "
            "own, add it to ASKTELL_ALLOWED_HOSTS."
        )
        return build_problem(421, "host-not-allowed", detail)

    def _refuse_origin(self, headers: Mapping[bytes, bytes]) -> Response | None:
        origin = headers.get(b"origin")
        if origin is None:
            return None
        caller = _strip_port(origin.decode("latin-1").partition("://")[2])
        own = _strip_port(headers[b"host"].decode("latin-1"))
        if caller and (caller == own or caller in self._hosts):
            return None
        detail = "Web pages of other hosts may not use this server."
        return build_problem(403, "origin-not-allowed", detail)

    def _refuse_stranger(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Response | None:
        if scope["path"].startswith(_LOGIN_PREFIX) or self._knows(scope["method"], headers):
            return None
        challenge = {"WWW-Authenticate": "Bearer"}
        if wants_html(headers.get(b"accept", b"").decode("latin-1")):
            return HTMLResponse(render_login_needed(), 401, headers=challenge)
        detail = (
            "Send the server's token as `Authorization: Bearer TOKEN`; `asktell serve` tells where "
            "it lies."
        )
        return build_problem(401, "not-authenticated", detail, headers=challenge)

    def _knows(self, method: str, headers: Mapping[bytes, bytes]) -> bool:
        authorization = headers.get(b"authorization")
        if authorization is not None:
            scheme, token = authorization[: len(_BEARER)], authorization[len(_BEARER) :]
            return scheme.lower() == _BEARER and self._rules.credentials.accepts_token(token)
        session = _find_session(headers) if method in _READING_METHODS else None
        return session is not None and self._rules.credentials.accepts_session(session)

    def _refuse_body(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Response | None:
        if scope["method"] not in _BODY_METHODS:
            return None
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._rules.body_limit_bytes:
            return build_problem(413, *self._describe_limit())
        media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        has_body = length != b"0" or b"transfer-encoding" in headers
        if media_type.decode("latin-1") in _BODY_TYPES or (not has_body and not media_type):
            return None
        detail = "Send JSON, with the header `Content-Type: application/json`."
        return build_problem(415, "unsupported-media-type", detail)

    def _limit_body(self, receive: Receive) -> Receive:
        """Count what arrives: a chunked body does not announce its length."""
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._rules.body_limit_bytes:
                raise RequestRefused(413, *self._describe_limit())
            return message

        return receive_limited

    def _describe_limit(self) -> tuple[str, str]:
        limit = self._rules.body_limit_bytes
        return "body-too-large", f"Bodies may have {limit} bytes; send it in several requests."


def _read_headers(scope: Scope) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        # A second Host or Authorization is an attempt at something: neither is believed.
        headers[name] = b"" if name in headers and name != b"cookie" else value
    return headers


def _strip_port(host: str) -> str:
    """`name:port` without the port, in lower case; "" for anything that is no host."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
    return f"[{name}]" if ":" in name else name


def _find_session(headers: Mapping[bytes, bytes]) -> str | None:
    # The standard library's parser drops all cookies if another program set an odd one.
    return cookie_parser(headers.get(b"cookie", b"").decode("latin-1")).get(SESSION_COOKIE)
