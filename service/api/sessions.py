"""A browser's session: the cookie that carries it, who it says is there, and its end."""

from datetime import datetime

from fastapi import APIRouter, Request, Response
from pydantic import Field
from starlette.requests import cookie_parser

from service.api.answers import Answer, JsonAnswer, to_timestamp
from service.api.openapi import describe_answer
from service.api.principals import current_principal
from service.api.strict import StrictRoute
from service.domain.scopes import Principal, TokenScope
from service.domain.sessions import SESSION_LIFETIME, Session
from service.domain.tokens import Credentials

router = APIRouter(prefix="/session", tags=["login"], route_class=StrictRoute)


class SessionAnswer(Answer):
    """Who sends requests."""

    name: str = Field(description="Of the token; `server` for the server's own")
    scope: TokenScope
    expires_at: datetime | None = Field(description="Of a browser's session; null for a token")
    csrf_token: str | None = Field(
        description="What a browser sends as `X-CSRF-Token` with everything but GET; null for a "
        "token, which needs none"
    )


@router.get("", responses={200: describe_answer(SessionAnswer, "Whoever asks")})
async def show_session() -> Response:
    """Tell whoever asks who it is to this server."""
    principal = current_principal.get()
    return JsonAnswer(_describe(principal), headers={"Cache-Control": "no-store"})


@router.delete("", status_code=204, responses={204: {"description": "The cookie is gone"}})
async def end_session(request: Request) -> Response:
    """Log this browser out. Revoking a token logs out all browsers that it logged in."""
    credentials: Credentials = request.app.state.credentials
    response = Response(status_code=204)
    response.delete_cookie(credentials.sessions.cookie_name, httponly=True, samesite="strict")
    return response


def begin_session(
    request: Request, response: Response, *, token_digest: bytes, now: datetime
) -> None:
    """Lets the browser that gets this response in, as the holder of that token, for 30 days."""
    credentials: Credentials = request.app.state.credentials
    response.set_cookie(
        credentials.sessions.cookie_name,
        credentials.sessions.mint(Session(token_digest, now + SESSION_LIFETIME)),
        max_age=int(SESSION_LIFETIME.total_seconds()),
        secure=is_https(request),
        httponly=True,
        samesite="strict",
    )
    response.headers["Cache-Control"] = "no-store"


def find_cookie(header: bytes, name: str) -> str | None:
    """The cookie of this name in a Cookie header."""
    # The standard library's parser drops all cookies if another program set an odd one.
    return cookie_parser(header.decode("latin-1")).get(name)


def is_https(request: Request) -> bool:
    """Whether the browser uses TLS, if only as far as a proxy in front.

    A forged header makes things only stricter: a cookie that does not travel without TLS.
    """
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))


def _describe(principal: Principal) -> dict[str, str | None]:
    browser, scope = principal.browser, principal.scope
    assert scope is not None, "Attempts are refused at the gate."
    return {
        "name": principal.name,
        "scope": scope.value,
        "expires_at": None if browser is None else to_timestamp(browser.session_ends_at),
        "csrf_token": None if browser is None else browser.csrf_token,
    }
