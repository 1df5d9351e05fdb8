"""Tokens: how they are made, and what is made of what callers present."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.scopes import AttemptClaims, TokenScope
from service.domain.sessions import Session
from service.domain.tokens import (
    AccessToken,
    Credentials,
    looks_like_access_token,
    mint_access_token,
    mint_token,
)

TOKEN = "a-token-for-tests-0123456789"
CREDENTIALS = Credentials.from_token(TOKEN)
CLAIMS = AttemptClaims(study="digits", study_id=3, trial=12, attempt=2)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)

numbers = st.integers(min_value=0, max_value=2**31 - 1)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
any_claims = st.builds(AttemptClaims, study=names, study_id=numbers, trial=numbers, attempt=numbers)


@given(any_claims)
def test_an_attempts_token_says_what_it_was_minted_with(claims: AttemptClaims) -> None:
    token = CREDENTIALS.mint_attempt_token(claims)

    assert CREDENTIALS.read_attempt_token(token.encode()) == claims
    assert token.isascii()
    assert token.isprintable()
    assert token == CREDENTIALS.mint_attempt_token(claims)


def test_no_byte_of_an_attempts_token_may_change() -> None:
    token = CREDENTIALS.mint_attempt_token(CLAIMS).encode()

    for position in range(len(token)):
        for other in (b"A", b".", b"=", b"\xff", b""):
            changed = token[:position] + other + token[position + 1 :]
            read = CREDENTIALS.read_attempt_token(changed)
            assert changed == token or read is None, changed


@pytest.mark.parametrize(
    "presented", [b"", b"asktell-attempt", b"asktell-attempt.", b"asktell-attempt..", b"a.b.c"]
)
def test_what_is_no_attempts_token_claims_nothing(presented: bytes) -> None:
    assert CREDENTIALS.read_attempt_token(presented) is None


def test_another_servers_attempts_are_strangers() -> None:
    other = Credentials.from_token("another-token-for-tests")

    assert other.read_attempt_token(CREDENTIALS.mint_attempt_token(CLAIMS).encode()) is None


def test_what_a_server_derives_from_its_token_is_told_apart() -> None:
    token = CREDENTIALS.mint_attempt_token(CLAIMS)

    assert not CREDENTIALS.accepts_token(token.encode())
    session = CREDENTIALS.sessions.mint(Session(CREDENTIALS.token_digest, NOW + DAY))
    assert not CREDENTIALS.accepts_token(session.encode())
    assert CREDENTIALS.read_attempt_token(session.encode()) is None
    assert CREDENTIALS.sessions.read(token, NOW) is None
    assert CREDENTIALS.sessions.mint_csrf_token(session) not in session


def test_a_session_is_read_until_it_ends() -> None:
    sessions = CREDENTIALS.sessions
    session = Session(CREDENTIALS.token_digest, NOW + DAY)
    cookie = sessions.mint(session)

    assert sessions.read(cookie, NOW + DAY - timedelta(seconds=1)) == session
    assert sessions.read(cookie, NOW + DAY) is None
    assert Credentials.from_token("another-token").sessions.read(cookie, NOW) is None


def test_no_character_of_a_session_may_change() -> None:
    cookie = CREDENTIALS.sessions.mint(Session(CREDENTIALS.token_digest, NOW + DAY))

    for position in range(len(cookie)):
        for other in ("A", ".", "=", "ÿ", ""):
            changed = cookie[:position] + other + cookie[position + 1 :]
            assert changed == cookie or CREDENTIALS.sessions.read(changed, NOW) is None, changed


def test_credentials_show_nothing() -> None:
    assert TOKEN not in repr(CREDENTIALS)
    assert CREDENTIALS.attempt_key.hex() not in repr(CREDENTIALS)
    assert repr(CREDENTIALS.attempt_key) not in repr(CREDENTIALS)


def test_made_tokens_are_told_from_others() -> None:
    made = mint_access_token()

    assert made.startswith("ask_")
    assert made != mint_access_token()
    assert looks_like_access_token(made.encode())
    for other in (mint_token(), made[:-1], made + "x", made.upper(), "", "ask_"):
        assert not looks_like_access_token(other.encode())


@pytest.mark.parametrize(
    ("expires_in", "revoked", "is_good"),
    [
        (None, False, True),
        (1, False, True),
        (0, False, False),
        (-1, False, False),
        (1, True, False),
    ],
)
def test_a_token_is_good_until_it_expires_or_is_revoked(
    expires_in: int | None, revoked: bool, is_good: bool
) -> None:
    token = AccessToken(
        "ada",
        TokenScope.USER,
        created_at=NOW,
        expires_at=None if expires_in is None else NOW + timedelta(seconds=expires_in),
        revoked_at=NOW if revoked else None,
    )

    assert token.is_good(NOW) is is_good
