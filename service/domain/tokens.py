"""Tokens: how they are made and recognised, and what is derived from the server's own."""

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from service.domain.scopes import AttemptClaims, TokenScope
from service.domain.sessions import SessionKey
from service.domain.signing import decode, encode, sign

MAX_TOKEN_NAME_LENGTH = 64

_ATTEMPT_PURPOSE = b"asktell attempt tokens"

# Both are there for programs that look for secrets in places where none belong.
_ACCESS_PREFIX = "ask_"
_ATTEMPT_PREFIX = b"asktell-attempt."

_RANDOM_BYTES = 32
_ACCESS_LENGTH = len(_ACCESS_PREFIX) + len(secrets.token_urlsafe(_RANDOM_BYTES))


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What is known of a token that an administrator made, without the token.

    Attributes:
        name: Says whose it is, or where it lies.
        expires_at: None: never.
        last_used_at: To the minute.
    """

    name: str
    scope: TokenScope
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def mint_token() -> str:
    """A new token of a server: 256 random bits, safe in a header and in a file."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def mint_access_token() -> str:
    """A new token of an administrator's making: likewise, and known by its beginning."""
    return _ACCESS_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def mint_login_code() -> str:
    """A new code for a one-time login link."""
    return secrets.token_urlsafe(24)


def looks_like_access_token(presented: bytes) -> bool:
    """Whether it is worth looking for among those that were made."""
    return len(presented) == _ACCESS_LENGTH and presented.startswith(_ACCESS_PREFIX.encode())


def digest_token(token: bytes) -> bytes:
    """What is kept of a token. With 256 random bits in it, one round of SHA-256 hides it."""
    return hashlib.sha256(token).digest()


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What a server keeps of its token: enough to recognise it, not enough to use it.

    Attributes:
        token_digest: SHA-256 of the token.
        sessions: Signs browsers' sessions. Derived from the token, so sessions survive a restart
            and die with it.
        attempt_key: Signs the tokens of attempts; derived as well.
    """

    token_digest: bytes
    sessions: SessionKey
    attempt_key: bytes

    @classmethod
    def from_token(cls, token: str) -> Self:
        secret = token.encode()
        return cls(
            token_digest=digest_token(secret),
            sessions=SessionKey(secret),
            attempt_key=sign(secret, _ATTEMPT_PURPOSE),
        )

    def accepts_token(self, presented: bytes) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(digest_token(presented), self.token_digest)

    def mint_attempt_token(self, claims: AttemptClaims) -> str:
        """The token of an attempt; nothing is kept of it, the same claims give the same one."""
        payload = encode(_dump_claims(claims))
        return (_ATTEMPT_PREFIX + payload + b"." + self._sign_claims(payload)).decode()

    def read_attempt_token(self, presented: bytes) -> AttemptClaims | None:
        """What a token of an attempt claims; None for anything that was not minted here.

        Signatures are compared in constant time, and nothing is read that is not signed.
        """
        if not presented.startswith(_ATTEMPT_PREFIX):
            return None
        payload, _, signature = presented.removeprefix(_ATTEMPT_PREFIX).partition(b".")
        if not hmac.compare_digest(signature, self._sign_claims(payload)):
            return None
        return _load_claims(decode(payload))

    def _sign_claims(self, payload: bytes) -> bytes:
        return encode(sign(self.attempt_key, payload))


def _dump_claims(claims: AttemptClaims) -> bytes:
    document = {
        "study": claims.study,
        "study_id": claims.study_id,
        "trial": claims.trial,
        "attempt": claims.attempt,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _load_claims(text: bytes) -> AttemptClaims:
    return AttemptClaims(**json.loads(text))
