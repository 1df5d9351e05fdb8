"""Who may do what, address by address."""

import pytest

from service.api.scopes import find_address
from service.domain.scopes import Access, AttemptClaims, Principal, TokenScope, list_scopes

ADMIN = Principal("root", TokenScope.ADMIN)
USER = Principal("ada", TokenScope.USER)
WORKER = Principal("gpu", TokenScope.WORKER)
ATTEMPT = Principal("attempt", None, AttemptClaims("digits", study_id=3, trial=12, attempt=1))

CALLS = {
    "POST /studies/digits/ask": {USER},
    "POST /studies/digits/trials/12/report": {USER, ATTEMPT},
    "POST /studies/digits/trials/12/heartbeat": {USER, ATTEMPT},
    "POST /studies/digits/trials/12/tell": {USER, ATTEMPT},
    "POST /studies/digits/trials/12/prune": {USER, ATTEMPT},
    "POST /studies/digits/trials/12/suggest": {USER, ATTEMPT},
    "POST /studies/digits/trials/13/tell": {USER},
    "POST /studies/digits/trials/012/tell": {USER},
    "POST /studies/other/trials/12/tell": {USER},
    "POST /studies/digits/trials": {USER},
    "POST /studies/digits/tell": {USER},
    "POST /studies/digits/enqueue": {USER},
    "GET /studies/digits": {USER, WORKER, ATTEMPT},
    "GET /studies/digits/trials": {USER, WORKER, ATTEMPT},
    "GET /studies/digits/trials/13": {USER, WORKER, ATTEMPT},
    "GET /studies/other": {USER, WORKER},
    "GET /studies/other/trials/12": {USER, WORKER},
    "GET /studies": {USER, WORKER},
    "PATCH /studies/digits": {USER},
    "DELETE /studies/digits": {USER},
    "POST /studies/digits/adopt": {USER},
    "POST /sweeps": {USER},
    "GET /sweeps/digits": {USER, WORKER},
    "POST /sweeps/digits/cancel": {USER},
    "GET /sweeps/digits/attempts/k3v9x2ab-12-1/log": {USER, WORKER},
    "POST /attempts/claim": {WORKER},
    "POST /attempts/k3v9x2ab-12-1/observe": {WORKER},
    "POST /attempts/k3v9x2ab-12-1/log": {WORKER},
    "PUT /workers/w": {WORKER},
    "DELETE /workers/w": {WORKER},
    "GET /workers": {USER, WORKER},
    "GET /metrics": {USER, WORKER},
    "GET /": {USER, WORKER},
    "GET /ui/static/1/look/all.css": {USER, WORKER},
    "GET /tokens": set(),
    "POST /tokens": set(),
    "DELETE /tokens/ada": set(),
    "POST /login-links": {USER, WORKER},
    "GET /session": {USER, WORKER},
    "DELETE /session": {USER, WORKER},
}


@pytest.mark.parametrize("call", CALLS)
def test_every_call_lets_in_whom_it_should(call: str) -> None:
    method, path = call.split(" ")
    address = find_address(path)
    assert address is not None
    study, trial = address.params.get("study"), address.params.get("number")

    allowed = {
        principal
        for principal in (ADMIN, USER, WORKER, ATTEMPT)
        if principal.may(address.access[method], study=study, trial=trial)
    }

    assert allowed == CALLS[call] | {ADMIN}


@pytest.mark.parametrize(
    "path", ["/nothing", "", "//studies", "/studies/", "/studies/a/b", "/STUDIES"]
)
def test_what_is_not_in_the_table_does_not_exist(path: str) -> None:
    assert find_address(path) is None


def test_the_least_scope_comes_first() -> None:
    assert list_scopes(Access.READ)[0] is TokenScope.WORKER
    assert list_scopes(Access.USER) == [TokenScope.USER, TokenScope.ADMIN]
    assert list_scopes(Access.ADMIN) == [TokenScope.ADMIN]
