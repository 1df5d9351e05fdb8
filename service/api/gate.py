"""The gate: who may talk to the server, and about what. What is behind it may trust the sender.

Against other users of the machine: a token, and its scope. Against web pages in a user's browser:
the Host allow-list (DNS rebinding), the Origin check, bodies of types that a form cannot send, and
a secret that only our own pages learn, without which a session does not write.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from fastapi import Response
from fastapi.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.access import refuse_access
from service.api.callers import Callers
from service.api.login_pages import LOGIN_HEADERS, render_again, render_login
from service.api.pages import wants_html
from service.api.principals import current_principal
from service.api.problems import RequestRefused, build_problem, describe_error
from service.domain.errors import DatabaseUnavailable
from service.domain.scopes import Browser, Principal, TokenScope
from service.domain.tokens import Credentials

_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
_ANY_HOST = "*"
_PROBED_PATHS = frozenset({"/healthz", "/readyz"})
_LOGIN_PATH = "/login"
_READING_METHODS = frozenset({"GET", "HEAD"})
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_JSON = b"application/json"
# Forms cannot send these either.
_YAML = frozenset({b"application/yaml", b"application/x-yaml", b"text/yaml"})
_FORM = frozenset({b"application/x-www-form-urlencoded"})
_OTHER_BODY_TYPES = {("POST", "/sweeps"): _YAML, ("POST", _LOGIN_PATH): _FORM}


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

    def __init__(self, app: ASGIApp, rules: GateRules, callers: Callers) -> None:
        self._app = app
        self._rules = rules
        self._callers = callers
        self._hosts = _LOOPBACK_HOSTS | rules.allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif (refusal := await self._find_refusal(scope)) is not None:
            await refusal(scope, receive, send)
        else:
            await self._app(scope, self._limit_body(receive), send)

    async def _find_refusal(self, scope: Scope) -> Response | None:
        if scope["path"] in _PROBED_PATHS:
            # Probes call by address, so their Host cannot be foreseen.
            return None
        headers = _read_headers(scope)
        refusal = self._refuse_host(headers) or self._refuse_origin(headers)
        if refusal is None and not _is_login(scope["path"]):
            caller: Principal | Response | None
            caller = self._callers.recognise(headers)
            if caller is None:
                caller = await self._look_up(scope, headers)
            refusal = caller if isinstance(caller, Response) else _admit(caller, scope, headers)
        return refusal or self._refuse_body(scope, headers)

    async def _look_up(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Principal | Response:
        try:
            return await self._callers.look_up(headers) or _refuse_stranger(scope, headers)
        except DatabaseUnavailable as error:
            return describe_error(error)

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
        caller = origin.partition(b"://")[2].lower()
        # Another port of this host may be anybody's; a proxy in front may have dropped the port.
        is_own = caller == headers[b"host"].lower()
        if caller and (
            is_own or _strip_port(caller.decode("latin-1")) in self._rules.allowed_hosts
        ):
            return None
        detail = "Web pages of other hosts may not use this server."
        return build_problem(403, "origin-not-allowed", detail)

    def _refuse_body(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Response | None:
        if scope["method"] not in _BODY_METHODS:
            return None
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._rules.body_limit_bytes:
            return build_problem(413, *self._describe_limit())
        media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        has_body = length != b"0" or b"transfer-encoding" in headers
        if media_type == _JSON or (not has_body and not media_type):
            return None
        if media_type in _OTHER_BODY_TYPES.get((scope["method"], scope["path"]), ()):
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


def _is_login(path: str) -> bool:
    return path == _LOGIN_PATH or path.startswith(f"{_LOGIN_PATH}/")


def _admit(principal: Principal, scope: Scope, headers: Mapping[bytes, bytes]) -> Response | None:
    current_principal.set(principal)
    if principal.browser is not None and (
        refusal := _refuse_forgery(principal.browser, scope, headers)
    ):
        return refusal
    return None if principal.scope is TokenScope.ADMIN else refuse_access(principal, scope)


def _refuse_forgery(
    browser: Browser, scope: Scope, headers: Mapping[bytes, bytes]
) -> Response | None:
    presented = headers.get(b"x-csrf-token", b"")
    if scope["method"] in _READING_METHODS or hmac.compare_digest(
        presented, browser.csrf_token.encode()
    ):
        return None
    detail = (
        "A browser's session writes only with the header X-CSRF-Token that `GET /session` tells; "
        "programs send a token instead."
    )
    return build_problem(403, "csrf-token-wrong", detail)


def _refuse_stranger(scope: Scope, headers: Mapping[bytes, bytes]) -> Response:
    challenge = {"WWW-Authenticate": "Bearer"}
    if wants_html(headers.get(b"accept", b"").decode("latin-1")):
        is_followed = headers.get(b"sec-fetch-site") == b"cross-site"
        target = _find_target(scope)
        page = render_again(target) if is_followed else render_login(next_path=target)
        return HTMLResponse(page, 401, headers={**LOGIN_HEADERS, **challenge})
    detail = (
        "Send a token of this server as `Authorization: Bearer TOKEN`; this request has none, or "
        "one that is wrong, was revoked or has expired. `asktell serve` tells where the server's "
        "own lies, `asktell token create` makes others."
    )
    return build_problem(401, "not-authenticated", detail, headers=challenge)


def _find_target(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    path = quote(scope["path"])
    return f"{path}?{query}" if query else path


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
