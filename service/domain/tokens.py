"""The access token: how it is made, compared, and turned into a browser's session."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Self

_SESSION_PURPOSE = b"asktell browser session"


def mint_token() -> str:
    """A new access token: 256 random bits, safe in a header and in a file."""
    return secrets.token_urlsafe(32)


def mint_login_code() -> str:
    """A new code for a one-time login link."""
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What a server keeps of its token: enough to recognise it, not enough to use it.

    Attributes:
        token_digest: SHA-256 of the token.
        session: Value of the session cookie. It is derived from the token, so it survives a
            restart and dies with the token.
    """

    token_digest: bytes
    session: str

    @classmethod
    def from_token(cls, token: str) -> Self:
        session = hmac.new(token.encode(), _SESSION_PURPOSE, hashlib.sha256).hexdigest()
        return cls(token_digest=_digest(token.encode()), session=session)

    def accepts_token(self, presented: bytes) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(_digest(presented), self.token_digest)

    def accepts_session(self, presented: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(presented.encode(), self.session.encode())


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
