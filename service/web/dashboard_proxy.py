"""The way from the API's address to optuna-dashboard's process."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

import httpx
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from service.web.dashboard import DashboardProcess
from service.web.pages import PAGE_HEADERS, render_page

_CONNECT_SECONDS = 2.0
# Importances and plots of a large study are computed within one answer.
_ANSWER_SECONDS = 120.0

_FORWARDED_REQUEST_HEADERS = (
    "accept",
    "accept-language",
    "if-modified-since",
    "if-none-match",
    "range",
)
_FORWARDED_RESPONSE_HEADERS = (
    "accept-ranges",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-length",
    "content-range",
    "content-security-policy",
    "content-type",
    "etag",
    "last-modified",
    "vary",
)
# What its pages may do by a policy of their own, for whatever else it answers as well. Its plots
# compile functions and set styles.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' data: 'unsafe-inline'; "
    "img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_PROTECTION = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)


class DashboardProxy:
    """An ASGI application that answers as optuna-dashboard does, GET and HEAD only.

    The first request starts the process; until it listens the answer is 503, for a page one that
    looks again by itself. Only listed headers pass in either direction, so neither the token nor
    a cookie reaches the dashboard. It trusts its caller to have put `ReadOnly` and
    authentication in front. Use as an async context manager, or call `aclose`.
    """

    def __init__(self, process: DashboardProcess) -> None:
        self._process = process
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(process.socket)),
            base_url="http://dashboard",
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes connections and ends the process; idempotent."""
        await self._client.aclose()
        await self._process.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._process.ensure_running()
        request = Request(scope, receive)
        try:
            upstream = await self._client.send(self._translate(request), stream=True)
        except httpx.TransportError:
            await _answer_starting(request)(scope, receive, send)
            return
        try:
            await _relay(upstream)(scope, receive, send)
        finally:
            await upstream.aclose()

    def _translate(self, request: Request) -> httpx.Request:
        query = request.scope["query_string"]
        target = request.scope["raw_path"] + (b"?" + query if query else b"")
        headers = _pick(request.headers, _FORWARDED_REQUEST_HEADERS)
        # Always named: optuna-dashboard fails on a request without it.
        headers["accept-encoding"] = request.headers.get("accept-encoding", "identity")
        url = self._client.base_url.copy_with(raw_path=target)
        return self._client.build_request(request.method, url, headers=headers)


def _relay(upstream: httpx.Response) -> Response:
    headers = _pick(upstream.headers, _FORWARDED_RESPONSE_HEADERS)
    response = StreamingResponse(upstream.aiter_raw(), upstream.status_code, headers)
    for name, value in _PROTECTION:
        response.headers.append(name, value)
    return response


def _answer_starting(request: Request) -> Response:
    headers = {**PAGE_HEADERS, "Retry-After": "1"}
    if request.url.path.startswith("/dashboard"):
        return HTMLResponse(render_page("dashboard_starting.html"), 503, headers)
    reason = "The dashboard is starting: try again in a second."
    return JSONResponse({"reason": reason}, 503, headers)


def _pick(headers: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}
