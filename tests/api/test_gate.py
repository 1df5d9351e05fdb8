"""The gate, in front of an application that says yes to everything."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from service.api.callers import Callers
from service.api.envelope import Envelope
from service.api.gate import Gate, GateRules
from service.api.token_cache import TokenCache
from service.domain.sessions import Session
from service.domain.tokens import Credentials
from service.engine.engine import read_clock
from service.storage.tokens import TokenTable
from tests.api.conftest import BASE_URL, TOKEN
from tests.api.problems import assert_problem

BEARER = {"Authorization": f"Bearer {TOKEN}"}
JSON = {"Content-Type": "application/json"}
COOKIE = Credentials.from_token(TOKEN).sessions.cookie_name


async def answer_length(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await JSONResponse(len(body))(scope, receive, send)


def build_gate(rules: GateRules) -> Gate:
    # Nothing that these tests send is worth asking the database for.
    nowhere: AsyncConnectionPool[Any] = AsyncConnectionPool(open=False)
    tokens = TokenCache(TokenTable(nowhere), clock=read_clock)
    return Gate(answer_length, rules, Callers(rules.credentials, tokens, clock=read_clock))


def open_client(rules: GateRules) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Envelope(build_gate(rules)))
    return httpx.AsyncClient(transport=transport, base_url=BASE_URL)


@pytest.fixture
async def client(rules: GateRules) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(rules) as client:
        yield client


@pytest.fixture
def session(rules: GateRules) -> dict[str, str]:
    return {"Cookie": f'odd={{"a": [1, "b"]}}; {COOKIE}={mint_session(rules.credentials)}'}


def mint_session(credentials: Credentials, ends_at: datetime | None = None) -> str:
    ends_at = ends_at or datetime.now(UTC) + timedelta(days=1)
    return credentials.sessions.mint(Session(credentials.token_digest, ends_at))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8700", "localhost:1", "LOCALHOST", "[::1]:80", "asktell.example:443"],
)
async def test_lets_own_hosts_in(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/", headers={**BEARER, "Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "", "[::1", "a@localhost.evil", "192.168.0.1"],
)
async def test_refuses_other_hosts(client: httpx.AsyncClient, host: str) -> None:
    response = await client.get("/", headers={**BEARER, "Host": host})

    assert "ASKTELL_ALLOWED_HOSTS" in assert_problem(response, 421, "host-not-allowed")["detail"]


async def test_refuses_two_hosts(client: httpx.AsyncClient) -> None:
    headers = [("Host", "localhost"), ("Host", "localhost"), *BEARER.items()]

    assert_problem(await client.get("/", headers=headers), 421, "host-not-allowed")


async def test_any_host_can_be_allowed() -> None:
    rules = GateRules(Credentials.from_token(TOKEN), frozenset({"*"}), 1000)
    async with open_client(rules) as client:
        here = {**BEARER, "Host": "anything.example"}
        assert (await client.get("/", headers=here)).status_code == 200
        own = {**here, "Origin": "https://anything.example"}
        assert (await client.get("/", headers=own)).status_code == 200
        foreign = {**here, "Origin": "https://evil.example"}
        assert_problem(await client.get("/", headers=foreign), 403, "origin-not-allowed")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_lets_probes_in(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path, headers={"Host": "10.0.0.7"})).status_code == 200


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8700", "https://asktell.example"])
async def test_lets_own_pages_in(client: httpx.AsyncClient, origin: str) -> None:
    assert (await client.get("/", headers={**BEARER, "Origin": origin})).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "", "127.0.0.1", "http://127.0.0.1:9999"]
)
async def test_refuses_foreign_pages(client: httpx.AsyncClient, origin: str) -> None:
    response = await client.get("/", headers={**BEARER, "Origin": origin})

    assert_problem(response, 403, "origin-not-allowed")


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN]
)
async def test_refuses_strangers(client: httpx.AsyncClient, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}

    response = await client.get("/", headers=headers)

    assert_problem(response, 401, "not-authenticated")
    assert response.headers["www-authenticate"] == "Bearer"


async def test_refuses_a_wrong_token_in_spite_of_a_session(
    client: httpx.AsyncClient, session: dict[str, str]
) -> None:
    response = await client.get("/", headers={**session, "Authorization": "Bearer wrong"})

    assert_problem(response, 401, "not-authenticated")


async def test_tells_a_browser_how_to_log_in(client: httpx.AsyncClient) -> None:
    response = await client.get("/", headers={"Accept": "text/html,*/*;q=0.8"})

    assert response.status_code == 401
    assert response.headers["content-type"].startswith("text/html")
    assert "asktell login-link" in response.text
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]


async def test_a_link_from_another_site_gets_a_second_chance(client: httpx.AsyncClient) -> None:
    headers = {"Accept": "text/html", "Sec-Fetch-Site": "cross-site"}

    response = await client.get('/ui/study?name=a"b', headers=headers)

    assert response.status_code == 401
    assert 'content="0; url=/ui/study?name=a%22b"' in response.text


async def test_the_login_page_leads_to_where_a_browser_wanted_to_go(
    client: httpx.AsyncClient,
) -> None:
    response = await client.get('/ui/study?name=a"<b>&x=ä', headers={"Accept": "text/html"})

    assert 'value="/ui/study?name=a%22%3Cb%3E&amp;x=%C3%A4"' in response.text


async def test_a_session_reads(client: httpx.AsyncClient, session: dict[str, str]) -> None:
    for method in ("GET", "HEAD"):
        assert (await client.request(method, "/", headers=session)).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_a_session_writes_with_its_own_csrf_token_alone(
    client: httpx.AsyncClient, rules: GateRules, method: str
) -> None:
    cookie = mint_session(rules.credentials)
    headers = {"Cookie": f"{COOKIE}={cookie}", **JSON}
    token = rules.credentials.sessions.mint_csrf_token(cookie)
    of_another = rules.credentials.sessions.mint_csrf_token(cookie[:-1])

    for wrong in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": of_another}):
        refused = await client.request(method, "/", headers={**headers, **wrong})
        assert_problem(refused, 403, "csrf-token-wrong")
    twice = [*headers.items(), ("X-CSRF-Token", token), ("X-CSRF-Token", token)]
    assert (await client.request(method, "/", headers=twice)).status_code == 403
    allowed = await client.request(method, "/", headers={**headers, "X-CSRF-Token": token})
    assert allowed.status_code == 200


async def test_worthless_sessions_let_nobody_in(
    client: httpx.AsyncClient, rules: GateRules
) -> None:
    own = mint_session(rules.credentials)
    payload, _, signature = own.partition(".")
    over = mint_session(rules.credentials, datetime.now(UTC) - timedelta(seconds=1))
    other = mint_session(Credentials.from_token("another-token"))

    for cookie in (over, other, payload, f"{payload}.", f".{signature}", f"x{own}", "", "\xe9"):
        headers = {"Cookie": f"{COOKIE}={cookie}".encode("latin-1")}
        assert_problem(await client.get("/", headers=headers), 401, "not-authenticated")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_refuses_what_a_form_can_send(
    client: httpx.AsyncClient, method: str, media_type: str
) -> None:
    headers = {**BEARER, **({"Content-Type": media_type} if media_type else {})}

    response = await client.request(method, "/", content=b"{}", headers=headers)

    assert_problem(response, 415, "unsupported-media-type")


async def test_takes_json_and_nothing(client: httpx.AsyncClient) -> None:
    with_charset = {**BEARER, "Content-Type": "Application/JSON; charset=utf-8"}

    assert (await client.post("/", content=b"{}", headers=with_charset)).json() == 2
    assert (await client.post("/", headers=BEARER)).json() == 0


@pytest.mark.parametrize(
    "media_type", ["application/yaml", "text/yaml; charset=utf-8", "Application/X-YAML"]
)
async def test_takes_yaml_for_sweeps_alone(client: httpx.AsyncClient, media_type: str) -> None:
    headers = {**BEARER, "Content-Type": media_type}

    assert (await client.post("/sweeps", content=b"a: 1", headers=headers)).json() == 4
    for method, path in (("POST", "/sweeps/"), ("POST", "/studies"), ("PUT", "/sweeps")):
        response = await client.request(method, path, content=b"a: 1", headers=headers)
        assert_problem(response, 415, "unsupported-media-type")


async def test_limits_bodies(client: httpx.AsyncClient, rules: GateRules) -> None:
    limit = rules.body_limit_bytes

    fits = await client.post("/", content=b"x" * limit, headers={**BEARER, **JSON})
    too_large = await client.post("/", content=b"x" * (limit + 1), headers={**BEARER, **JSON})

    assert fits.json() == limit
    assert str(limit) in assert_problem(too_large, 413, "body-too-large")["detail"]


async def test_closes_websockets(rules: GateRules) -> None:
    sent = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message["type"])

    await build_gate(rules)({"type": "websocket", "path": "/"}, receive, send)

    assert sent == ["websocket.close"]
