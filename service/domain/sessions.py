"""A browser's session: a signed note of the token that it was opened with, in a cookie."""

import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from service.domain.signing import decode, encode, sign

SESSION_LIFETIME = timedelta(days=30)

_SESSION_PURPOSE = b"asktell browser session"
_COOKIE_PURPOSE = b"asktell session cookie"
_CSRF_PURPOSE = b"asktell csrf token"


@dataclass(frozen=True, slots=True)
class Session:
    """Whose a browser is, and until when.

    It may do what its token may do, and ends with it.

    Attributes:
        token_digest: Of the token that logged the browser in.
        ends_at: Whole seconds.
    """

    token_digest: bytes
    ends_at: datetime


class SessionKey:
    """Signs sessions. Nothing is kept of them; a server with another token knows none of these.

    Attributes:
        cookie_name: Of the cookie that carries them; other servers of the host have others.
    """

    def __init__(self, secret: bytes) -> None:
        # Browsers send a host's cookies to all its ports, where other servers may be.
        self.cookie_name = f"asktell_session_{sign(secret, _COOKIE_PURPOSE)[:4].hex()}"
        self._sessions = sign(secret, _SESSION_PURPOSE)
        self._csrf = sign(secret, _CSRF_PURPOSE)

    def mint(self, session: Session) -> str:
        """The cookie's value."""
        ends_at = int(session.ends_at.timestamp())
        payload = encode(json.dumps([encode(session.token_digest).decode(), ends_at]).encode())
        return (payload + b"." + self._sign(payload)).decode()

    def read(self, cookie: str, now: datetime) -> Session | None:
        """The session of a cookie's value; None for one that is over or was not minted here.

        Signatures are compared in constant time, and nothing is read that is not signed.
        """
        payload, _, signature = cookie.encode().partition(b".")
        if not hmac.compare_digest(signature, self._sign(payload)):
            return None
        digest, ends_at = json.loads(decode(payload))
        session = Session(decode(digest.encode()), datetime.fromtimestamp(ends_at, UTC))
        return session if now < session.ends_at else None

    def mint_csrf_token(self, cookie: str) -> str:
        """What a page of ours sends along with a write, and a page of somebody else cannot know."""
        return encode(sign(self._csrf, cookie.encode())).decode()

    def _sign(self, payload: bytes) -> bytes:
        return encode(sign(self._sessions, payload))
