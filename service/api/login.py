"""How a person's browser gets in: by a one-time link, or by a token on the login page."""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from service.api.answers import JsonAnswer, LoginLinkAnswer, to_timestamp
from service.api.login_pages import LOGIN_HEADERS, render_link_refused, render_login
from service.api.openapi import describe_answer, describe_problems
from service.api.pages import wants_html
from service.api.principals import current_principal
from service.api.problems import build_problem
from service.api.sessions import begin_session, is_https
from service.api.strict import StrictRoute
from service.domain.tokens import mint_login_code

LINK_LIFETIME = timedelta(minutes=10)

_MAX_OPEN_LINKS = 1000
_MAX_FORM_BYTES = 8192
_LINK_REFUSED = "This login link was used before or is too old; make one by `asktell login-link`."

router = APIRouter(tags=["login"], route_class=StrictRoute)
# Plain routes: the HEAD with which chat programs look at a link must not use it up.
page_router = APIRouter(tags=["login"])


class LoginLinks:
    """The links that were handed out and not yet used; held in memory, so a restart drops them."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._open: dict[bytes, tuple[datetime, bytes]] = {}

    def open_link(self, token_digest: bytes) -> tuple[str, datetime]:
        """A new code, and when it stops to work.

        Args:
            token_digest: Of the token whose holder the link lets in.
        """
        self._forget_expired()
        code, expires_at = mint_login_code(), self._clock() + LINK_LIFETIME
        self._open[_digest(code)] = expires_at, token_digest
        return code, expires_at

    def use(self, code: str) -> bytes | None:
        """The digest of the token that it stands for; once at most."""
        expires_at, token_digest = self._open.pop(_digest(code), (None, b""))
        return token_digest if expires_at is not None and self._clock() < expires_at else None

    def _forget_expired(self) -> None:
        now = self._clock()
        live = [(code, opened) for code, opened in self._open.items() if opened[0] > now]
        self._open = dict(live[-_MAX_OPEN_LINKS + 1 :])


@router.post("/login-links", responses={200: describe_answer(LoginLinkAnswer, "A fresh link")})
async def open_login_link(request: Request) -> Response:
    """Make a link that logs one browser in as whoever asks, once, within ten minutes."""
    links: LoginLinks = request.app.state.login_links
    token_digest = current_principal.get().token_digest
    assert token_digest is not None, "Attempts are refused at the gate."
    code, expires_at = links.open_link(token_digest)
    scheme = "https" if is_https(request) else "http"
    url = str(request.url.replace(scheme=scheme, path=f"/login/{code}", query=""))
    return JsonAnswer(
        {"url": url, "expires_at": to_timestamp(expires_at)}, headers={"Cache-Control": "no-store"}
    )


@page_router.get(
    "/login/{code}",
    status_code=303,
    responses={
        303: {"description": "Logged in; on to the start page"},
        **describe_problems(404),
    },
    openapi_extra={"security": []},
)
async def follow_link(request: Request, code: Annotated[str, Path(max_length=128)]) -> Response:
    """Use a login link: sets the session cookie."""
    links: LoginLinks = request.app.state.login_links
    token_digest = links.use(code)
    if token_digest is None:
        return _refuse_link(request)
    return _let_in(request, "/", token_digest)


@page_router.api_route("/login", methods=["GET", "HEAD"], include_in_schema=False)
async def show_login(request: Request) -> Response:
    """The login page; `?next=PATH` is where it leads."""
    page = render_login(next_path=_read_next(request.query_params.get("next", "")))
    return HTMLResponse(page, headers=LOGIN_HEADERS)


@page_router.post("/login", include_in_schema=False)
async def log_in(request: Request) -> Response:
    """What the login page sends: a form with `token` and `next`."""
    form = _read_form(await request.body())
    next_path = _read_next(form.get("next", ""))
    holder = await request.app.state.callers.find_holder(form.get("token", "").strip())
    if holder is None or holder.token_digest is None:
        page = render_login(next_path=next_path, was_refused=True)
        return HTMLResponse(page, 401, headers=LOGIN_HEADERS)
    return _let_in(request, next_path, holder.token_digest)


def _read_form(body: bytes) -> dict[str, str]:
    """The fields; none of a body that the page cannot have sent."""
    if len(body) > _MAX_FORM_BYTES:
        return {}
    return dict(parse_qsl(body.decode("utf-8", "replace")))


def _let_in(request: Request, path: str, token_digest: bytes) -> Response:
    response = RedirectResponse(path, 303)
    now = request.app.state.clock()
    begin_session(request, response, token_digest=token_digest, now=now)
    return response


def _read_next(path: str) -> str:
    """A path of this server: browsers take `//host` and backslashes for another one's."""
    is_own = path.startswith("/") and path.isprintable() and path[1:2] not in ("/", "\\")
    return path if is_own else "/"


def _refuse_link(request: Request) -> Response:
    if wants_html(request.headers.get("accept", "")):
        return HTMLResponse(render_link_refused(), 404, headers=LOGIN_HEADERS)
    return build_problem(404, "login-link-refused", _LINK_REFUSED)


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
