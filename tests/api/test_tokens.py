"""`/tokens`: made, listed, used, revoked; and what each scope may do."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest
from starlette.types import ASGIApp

from service.api.app import build_app
from service.api.gate import GateRules
from service.api.token_cache import FRESH_SECONDS
from service.domain.tokens import digest_token, mint_access_token
from service.engine.engine import Engine, open_engine
from service.storage.database import Database
from tests.api.conftest import NOBODY_LISTENS, TOKEN, SettableClock, open_client
from tests.api.problems import assert_problem, get_fields
from tests.log_lines import Log, open_log

STUDY = {"name": "new", "direction": "minimize"}


@pytest.fixture
def log() -> Iterator[Log]:
    with open_log() as log:
        yield log


async def make(api: httpx.AsyncClient, name: str, scope: str, **given: Any) -> str:
    response = await api.post("/tokens", json={"name": name, "scope": scope, **given})
    assert response.status_code == 201, response.text
    token: str = response.json()["token"]
    return token


async def test_a_token_is_shown_once_and_listed_without_its_text(
    api: httpx.AsyncClient, database: Database
) -> None:
    made = await api.post("/tokens", json={"name": "Zoë's laptop", "scope": "user"})

    assert made.headers["cache-control"] == "no-store"
    token = made.json()["token"]
    assert token.startswith("ask_")
    (listed,) = (await api.get("/tokens")).json()["tokens"]
    assert listed == {
        "name": "Zoë's laptop",
        "scope": "user",
        "created_at": made.json()["created_at"],
        "expires_at": None,
        "last_used_at": None,
        "revoked_at": None,
    }
    with psycopg.connect(database.conninfo) as connection:
        (row,) = connection.execute("SELECT digest, t::text FROM asktell.tokens AS t").fetchall()
    assert row[0] == digest_token(token.encode())
    assert token not in row[1]


async def test_a_revoked_token_is_worthless_at_once(api: httpx.AsyncClient, app: ASGIApp) -> None:
    async with open_client(app, await make(api, "ada", "user")) as ada:
        assert (await ada.get("/studies")).status_code == 200

        for _ in range(2):
            assert (await api.delete("/tokens/ada")).status_code == 204

        refused = assert_problem(await ada.get("/studies"), 401, "not-authenticated")
        assert "revoked" in refused["detail"]
    (listed,) = (await api.get("/tokens")).json()["tokens"]
    assert listed["revoked_at"] is not None


async def test_another_server_notices_within_five_seconds(
    api: httpx.AsyncClient, rules: GateRules, database: Database, clock: SettableClock
) -> None:
    token = await make(api, "ada", "user")
    async with open_engine(database, clock=clock, reap_every_seconds=None) as other:
        app = build_app(engine=other, rules=rules, clock=clock)
        async with open_client(app, token) as ada:
            assert (await ada.get("/studies")).status_code == 200
            await api.delete("/tokens/ada")
            clock.advance(seconds=FRESH_SECONDS)
            assert_problem(await ada.get("/studies"), 401, "not-authenticated")


async def test_a_token_expires(api: httpx.AsyncClient, app: ASGIApp, clock: SettableClock) -> None:
    end = clock() + timedelta(minutes=1)
    token = await make(api, "ada", "user", expires_at=end.isoformat())
    async with open_client(app, token) as ada:
        clock.advance(seconds=59)
        assert (await ada.get("/studies")).status_code == 200
        clock.advance(seconds=1)
        refused = assert_problem(await ada.get("/studies"), 401, "not-authenticated")
    assert "expired" in refused["detail"]


async def test_an_end_must_lie_ahead(api: httpx.AsyncClient, clock: SettableClock) -> None:
    body = {"name": "ada", "scope": "user", "expires_at": clock().isoformat()}

    refused = assert_problem(await api.post("/tokens", json=body), 422, "invalid-request")

    assert get_fields(refused) == ["expires_at"]
    assert (await api.get("/tokens")).json() == {"tokens": []}


async def test_a_name_is_free_again_once_its_token_is_of_no_use(
    api: httpx.AsyncClient, app: ASGIApp, clock: SettableClock
) -> None:
    end = clock() + timedelta(minutes=1)
    tokens = [await make(api, "ada", "user", expires_at=end.isoformat())]
    taken = await api.post("/tokens", json={"name": "ada", "scope": "admin"})
    assert_problem(taken, 409, "token-exists")
    clock.advance(minutes=1)
    tokens.append(await make(api, "ada", "worker"))
    await api.delete("/tokens/ada")
    tokens.append(await make(api, "ada", "admin"))

    statuses = []
    for token in tokens:
        async with open_client(app, token) as client:
            statuses.append((await client.get("/tokens")).status_code)

    assert statuses == [401, 401, 200]


async def test_a_user_does_everything_but_administration(
    api: httpx.AsyncClient, app: ASGIApp
) -> None:
    async with open_client(app, await make(api, "ada", "user")) as ada:
        assert (await ada.post("/studies", json=STUDY)).status_code == 201
        assert (await ada.post("/studies/new/ask")).status_code == 200
        assert (await ada.head("/studies/new")).status_code == 200
        for method, path in (
            ("GET", "/tokens"),
            ("POST", "/tokens"),
            ("DELETE", "/tokens/ada"),
            ("POST", "/attempts/claim"),
            ("PUT", "/workers/w"),
        ):
            refused = assert_problem(await ada.request(method, path), 403, "scope-missing")
            needed = "worker" if path.split("/")[1] in ("attempts", "workers") else "admin"
            assert f"`{needed}`" in refused["detail"]
            assert "'ada' has `user`" in refused["detail"]
        assert_problem(await ada.get("/nothing"), 404, "not-found")
        other_method = await ada.put("/studies")
    assert_problem(other_method, 405, "method-not-allowed")
    assert other_method.headers["allow"] == "GET, HEAD, POST"


async def test_a_worker_reads(api: httpx.AsyncClient, app: ASGIApp, study: str) -> None:
    async with open_client(app, await make(api, "gpu", "worker")) as worker:
        for path in (study, "/studies", f"{study}/trials", "/metrics", "/docs"):
            assert (await worker.get(path)).status_code == 200
        for path in (f"{study}/ask", f"{study}/pause", "/studies", "/tokens"):
            assert_problem(await worker.post(path), 403, "scope-missing")


async def test_an_admin_makes_admins(api: httpx.AsyncClient, app: ASGIApp) -> None:
    async with open_client(app, await make(api, "root", "admin")) as root:
        await make(root, "second", "admin")
        assert (await root.post("/login-links")).status_code == 200


async def test_a_browser_sees_tokens_if_its_own_may(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    for name, scope, status in (("root", "admin", 200), ("ada", "user", 403)):
        token = await make(api, name, scope)
        assert (await stranger.post("/login", data={"token": token})).status_code == 303
        assert (await stranger.get("/tokens")).status_code == status


async def test_without_the_database_the_servers_own_token_still_opens(rules: GateRules) -> None:
    async with open_engine(NOBODY_LISTENS) as engine:
        app = build_app(engine=engine, rules=rules)
        async with open_client(app, TOKEN) as own, open_client(app, mint_access_token()) as made:
            assert (await own.get("/metrics")).status_code == 200
            refused = await made.get("/metrics")

    assert_problem(refused, 503, "database-unavailable")
    assert int(refused.headers["retry-after"]) >= 1


async def test_no_log_and_no_refusal_names_a_token(
    api: httpx.AsyncClient, app: ASGIApp, engine: Engine, log: Log
) -> None:
    token = await make(api, "ada", "user")
    texts = []
    async with open_client(app, token) as ada:
        texts.append((await ada.post("/tokens")).text)
        await api.delete("/tokens/ada")
        texts.append((await ada.get("/studies")).text)
    texts.append(log.read_text())

    digest = digest_token(token.encode())
    for text in texts:
        assert token not in text
        assert digest.hex() not in text
        assert str(digest) not in text
    assert "request.answered" in texts[-1]
