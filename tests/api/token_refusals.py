"""Refusals of what is about tokens, and of tokens that are not for what is asked."""

from collections.abc import Iterator

import httpx

from service.domain.scopes import AttemptClaims
from service.domain.tokens import MAX_TOKEN_NAME_LENGTH, Credentials
from tests.api.conftest import TOKEN
from tests.api.refusals import NUL, Refusal, refuse

# Studies are numbered as they are made: see `arrange`.
_OPEN_STUDY = 2
_LATER_STUDY = 99


def bear(claims: AttemptClaims) -> dict[str, str]:
    """The header of a program that was launched for that attempt."""
    return {
        "Authorization": f"Bearer {Credentials.from_token(TOKEN).mint_attempt_token(claims)}",
    }


ELSEWHERE = bear(AttemptClaims("elsewhere", study_id=_LATER_STUDY, trial=0, attempt=1))
"""May do nothing about any study that there is."""


async def arrange_tokens(api: httpx.AsyncClient) -> None:
    """Makes the tokens that the refusals below are about."""
    response = await api.post("/tokens", json={"name": "ada", "scope": "user"})
    assert response.status_code == 201, response.text


def list_token_refusals() -> Iterator[Refusal]:
    """Of making and revoking them, and of attempts that speak for others or too late."""
    yield from _list_creations()
    yield Refusal("DELETE /tokens/nobody", None, 404, "token-not-found", hint="nobody")
    yield Refusal("DELETE /tokens/a%00b", None, 404, "token-not-found")
    yield from _list_attempts()


def _list_creations() -> Iterator[Refusal]:
    call, base = "POST /tokens", {"name": "new", "scope": "user"}
    for change, hint in (
        ({"name": ""}, "name"),
        ({"name": "n" * (MAX_TOKEN_NAME_LENGTH + 1)}, str(MAX_TOKEN_NAME_LENGTH)),
        ({"name": "a/b"}, "slash"),
        ({"name": ".."}, "name"),
        ({"name": " a"}, "spaces"),
        ({"name": "a\nb"}, "printable"),
        ({"name": NUL}, "printable"),
        ({"name": 7}, "name"),
        ({"scope": "attempt"}, "scope"),
        ({"scope": None}, "scope"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "future"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_in": "30d"}, '"expires_at"'),
    ):
        yield refuse(call, base | change, hint)
    yield Refusal(call, base | {"name": "ada"}, 409, "token-exists", hint="Revoke")


def _list_attempts() -> Iterator[Refusal]:
    own = bear(AttemptClaims("open", study_id=_OPEN_STUDY, trial=1, attempt=1))
    later = bear(AttemptClaims("open", study_id=_LATER_STUDY, trial=1, attempt=1))
    for route, body in (
        ("report", {"step": 1, "value": 0.5}),
        ("prune", {}),
        ("heartbeat", {}),
        ("tell", {"state": "FAIL"}),
    ):
        call, other = f"POST /studies/open/trials/1/{route}", body | {"attempt": 2}
        yield Refusal(call, other, 403, "not-own-attempt", own, hint="attempt 1")
        yield Refusal(call, body, 403, "attempt-token-over", later, hint="another")
    for call in ("POST /studies/open/trials/0/heartbeat", "POST /studies/open/ask"):
        yield Refusal(call, {}, 403, "scope-missing", own, hint="its own trial")
