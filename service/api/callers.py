"""Who sent a request: the holder of the server's token, of another one, an attempt, a browser."""

from collections.abc import Callable, Mapping
from datetime import datetime

from service.api.sessions import find_cookie
from service.api.token_cache import TokenCache
from service.domain.scopes import Browser, Principal, TokenScope
from service.domain.sessions import Session
from service.domain.tokens import Credentials, digest_token

_BEARER = b"bearer "


class Callers:
    """Recognises callers by the headers of their requests.

    A browser's session counts only where no token is sent.
    """

    def __init__(
        self, credentials: Credentials, tokens: TokenCache, *, clock: Callable[[], datetime]
    ) -> None:
        self._credentials = credentials
        self._tokens = tokens
        self._clock = clock

    def recognise(self, headers: Mapping[bytes, bytes]) -> Principal | None:
        """The caller, as far as that can be told without the database."""
        if b"authorization" in headers:
            return self._recognise_token(_find_token(headers))
        session, browser = self._find_session(headers)
        is_own = session is not None and session.token_digest == self._credentials.token_digest
        return self._describe_server(browser) if is_own else None

    async def look_up(self, headers: Mapping[bytes, bytes]) -> Principal | None:
        """The caller, if it has a token that an administrator made, or a session of one.

        Raises:
            DatabaseUnavailable: That cannot be told just now.
        """
        if b"authorization" in headers:
            return await self._look_up_token(_find_token(headers))
        session, browser = self._find_session(headers)
        return None if session is None else await self._look_up_session(session, browser)

    async def find_holder(self, token: str) -> Principal | None:
        """Whoever holds this token and may log in with it, which attempts may not.

        Raises:
            DatabaseUnavailable: That cannot be told just now.
        """
        text = token.encode()
        if self._credentials.accepts_token(text):
            return self._describe_server(None)
        return await self._look_up_token(text)

    def _recognise_token(self, token: bytes) -> Principal | None:
        if self._credentials.accepts_token(token):
            return self._describe_server(None)
        claims = self._credentials.read_attempt_token(token)
        return None if claims is None else Principal("attempt", None, attempt=claims)

    def _describe_server(self, browser: Browser | None) -> Principal:
        digest = self._credentials.token_digest
        return Principal("server", TokenScope.ADMIN, token_digest=digest, browser=browser)

    async def _look_up_token(self, token: bytes) -> Principal | None:
        found = await self._tokens.find(token)
        if found is None:
            return None
        return Principal(found.name, found.scope, token_digest=digest_token(token))

    async def _look_up_session(self, session: Session, browser: Browser | None) -> Principal | None:
        found = await self._tokens.find_digest(session.token_digest)
        if found is None:
            return None
        return Principal(
            found.name, found.scope, token_digest=session.token_digest, browser=browser
        )

    def _find_session(
        self, headers: Mapping[bytes, bytes]
    ) -> tuple[Session, Browser] | tuple[None, None]:
        sessions = self._credentials.sessions
        cookie = find_cookie(headers.get(b"cookie", b""), sessions.cookie_name)
        session = None if cookie is None else sessions.read(cookie, self._clock())
        if cookie is None or session is None:
            return None, None
        return session, Browser(sessions.mint_csrf_token(cookie), session.ends_at)


def _find_token(headers: Mapping[bytes, bytes]) -> bytes:
    authorization = headers.get(b"authorization", b"")
    scheme, token = authorization[: len(_BEARER)], authorization[len(_BEARER) :]
    return token if scheme.lower() == _BEARER else b""
