"""Who sent a request: the holder of the server's token, of another one, an attempt, a browser."""

from collections.abc import Mapping

from starlette.requests import cookie_parser

from service.api.login import SESSION_COOKIE
from service.api.token_cache import TokenCache
from service.domain.scopes import Principal, TokenScope
from service.domain.tokens import Credentials

_BEARER = b"bearer "
_READING_METHODS = frozenset({"GET", "HEAD"})

_SERVER = Principal("server", TokenScope.ADMIN)
_BROWSER = Principal("browser", TokenScope.USER)


class Callers:
    """Recognises callers by the headers of their requests."""

    def __init__(self, credentials: Credentials, tokens: TokenCache) -> None:
        self._credentials = credentials
        self._tokens = tokens

    def recognise(self, method: str, headers: Mapping[bytes, bytes]) -> Principal | None:
        """The caller, as far as that can be told without the database.

        A session counts only for reading, and only where no token is sent.
        """
        if b"authorization" not in headers:
            return _BROWSER if method in _READING_METHODS and self._has_session(headers) else None
        token = _find_token(headers)
        if self._credentials.accepts_token(token):
            return _SERVER
        claims = self._credentials.read_attempt_token(token)
        return None if claims is None else Principal("attempt", None, claims)

    async def look_up(self, headers: Mapping[bytes, bytes]) -> Principal | None:
        """The caller, if it has a token that an administrator made.

        Raises:
            DatabaseUnavailable: That cannot be told just now.
        """
        token = await self._tokens.find(_find_token(headers))
        return None if token is None else Principal(token.name, token.scope)

    def _has_session(self, headers: Mapping[bytes, bytes]) -> bool:
        # The standard library's parser drops all cookies if another program set an odd one.
        cookies = cookie_parser(headers.get(b"cookie", b"").decode("latin-1"))
        session = cookies.get(SESSION_COOKIE)
        return session is not None and self._credentials.accepts_session(session)


def _find_token(headers: Mapping[bytes, bytes]) -> bytes:
    authorization = headers.get(b"authorization", b"")
    scheme, token = authorization[: len(_BEARER)], authorization[len(_BEARER) :]
    return token if scheme.lower() == _BEARER else b""
