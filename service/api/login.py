"""One-time login links: how a person's browser gets in without ever seeing the token."""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from service.api.answers import JsonAnswer, LoginLinkAnswer, to_timestamp
from service.api.openapi import describe_answer, describe_problems
from service.api.pages import render_link_refused, wants_html
from service.api.problems import build_problem
from service.api.strict import StrictRoute
from service.domain.tokens import Credentials, mint_login_code

SESSION_COOKIE = "asktell_session"
LINK_LIFETIME = timedelta(minutes=10)

_MAX_OPEN_LINKS = 1000
_SESSION_SECONDS = 30 * 24 * 3600
_LINK_REFUSED = "This login link was used before or is too old; make one by `asktell login-link`."

router = APIRouter(tags=["login"], route_class=StrictRoute)
# A plain route: the HEAD with which chat programs look at a link must not use it up.
link_router = APIRouter(tags=["login"])


class LoginLinks:
    """The links that were handed out and not yet used; held in memory, so a restart drops them."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._expiries: dict[bytes, datetime] = {}

    def open_link(self) -> tuple[str, datetime]:
        """A new code, and when it stops to work."""
        self._forget_expired()
        code, expires_at = mint_login_code(), self._clock() + LINK_LIFETIME
        self._expiries[_digest(code)] = expires_at
        return code, expires_at

    def use(self, code: str) -> bool:
        """Whether the code lets somebody in; true once at most."""
        expires_at = self._expiries.pop(_digest(code), None)
        return expires_at is not None and self._clock() < expires_at

    def _forget_expired(self) -> None:
        now = self._clock()
        live = [(code, end) for code, end in self._expiries.items() if end > now]
        self._expiries = dict(live[-_MAX_OPEN_LINKS + 1 :])


@router.post("/login-links", responses={200: describe_answer(LoginLinkAnswer, "A fresh link")})
async def open_login_link(request: Request) -> Response:
    """Make a link that logs one browser in, once, within ten minutes."""
    links: LoginLinks = request.app.state.login_links
    code, expires_at = links.open_link()
    url = str(request.url.replace(path=f"/login/{code}", query=""))
    return JsonAnswer(
        {"url": url, "expires_at": to_timestamp(expires_at)}, headers={"Cache-Control": "no-store"}
    )


@link_router.get(
    "/login/{code}",
    status_code=303,
    responses={
        303: {"description": "Logged in; on to the start page"},
        **describe_problems(404),
    },
    openapi_extra={"security": []},
)
async def log_in(request: Request, code: Annotated[str, Path(max_length=128)]) -> Response:
    """Use a login link: sets the session cookie."""
    links: LoginLinks = request.app.state.login_links
    if not links.use(code):
        return _refuse_link(request)
    credentials: Credentials = request.app.state.credentials
    response = RedirectResponse("/", 303, headers={"Cache-Control": "no-store"})
    response.set_cookie(
        SESSION_COOKIE,
        credentials.session,
        max_age=_SESSION_SECONDS,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


def _refuse_link(request: Request) -> Response:
    if wants_html(request.headers.get("accept", "")):
        return HTMLResponse(render_link_refused(), 404)
    return build_problem(404, "login-link-refused", _LINK_REFUSED)


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
