"""What surrounds every answer: problems, headers, logs."""

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service import __version__
from service.api.app import build_app
from service.api.gate import GateRules
from service.engine.engine import Engine
from service.observability import configure_logging
from tests.api.conftest import BASE_URL, TOKEN
from tests.api.problems import assert_problem


async def fail(_request: Request) -> Response:
    raise RuntimeError("secret-in-a-message")


async def test_every_answer_names_version_and_request(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    for response in (
        await api.get("/studies"),
        await api.get("/nowhere"),
        await stranger.get("/studies"),
        await stranger.get("/healthz"),
    ):
        assert response.headers["asktell-version"] == __version__
        assert response.headers["x-request-id"]


async def test_takes_over_a_sane_request_id(api: httpx.AsyncClient) -> None:
    kept = await api.get("/studies", headers={"X-Request-Id": "trace-1.2:3"})
    replaced = await api.get("/studies", headers={"X-Request-Id": "a b\t<script>"})

    assert kept.headers["x-request-id"] == "trace-1.2:3"
    assert "script" not in replaced.headers["x-request-id"]


async def test_the_router_answers_with_problems(api: httpx.AsyncClient) -> None:
    assert_problem(await api.get("/nowhere"), 404, "not-found")
    response = await api.patch("/studies", json={})
    assert_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"]


async def test_a_chunked_body_is_limited(api: httpx.AsyncClient, rules: GateRules) -> None:
    async def send_chunks():
        yield b'{"name": "'
        for _ in range(rules.body_limit_bytes // 1000 + 1):
            yield b"x" * 1000

    response = await api.post(
        "/studies", content=send_chunks(), headers={"Content-Type": "application/json"}
    )

    assert_problem(response, 413, "body-too-large")


async def test_a_defect_is_logged_and_not_told(
    engine: Engine, rules: GateRules, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(level="info", style="json")
    app = build_app(engine=engine, rules=rules, extra_routes=[Route("/fail", fail)])
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url=BASE_URL,
        headers={"Authorization": f"Bearer {TOKEN}", "X-Request-Id": "the-failing-one"},
    ) as client:
        response = await client.get("/fail")

    assert_problem(response, 500, "internal-error")
    assert "secret-in-a-message" not in response.text
    logged = capsys.readouterr().err
    assert logged.count("RuntimeError: secret-in-a-message") == 1
    assert "the-failing-one" in logged


async def test_no_secret_is_logged(
    api: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(level="debug", style="console")
    url = (await api.post("/login-links")).json()["url"]
    await stranger.get(url)
    (cookie,) = stranger.cookies.values()
    csrf_token = (await stranger.get("/session")).json()["csrf_token"]
    await stranger.post("/login", data={"token": "ask_of-somebody"})
    await stranger.get("/studies", headers={"Authorization": "Bearer wrong-token"})

    logged = capsys.readouterr().err
    assert "request.answered" in logged
    for secret in (TOKEN, cookie, csrf_token, "ask_of-", url.rpartition("/")[2], "wrong-token"):
        assert secret not in logged


async def test_is_alive_and_ready(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get("/healthz")).json() == {"status": "ok"}
    assert (await stranger.get("/readyz")).json() == {"status": "ok"}


async def test_every_problem_is_explained(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    refusals = [
        await api.get("/studies/nobody"),
        await api.get("/nowhere"),
        await api.patch("/studies", json={}),
        await api.post("/studies", content=b"{", headers={"Content-Type": "application/json"}),
        await api.post("/studies", content=b"{", headers={"Content-Type": "text/plain"}),
        await api.post("/studies", json={}),
        await api.get("/studies", headers={"Host": "elsewhere.example"}),
        await api.get("/studies", headers={"Origin": "http://elsewhere.example"}),
        await stranger.get("/studies"),
        await stranger.get("/login/guessed"),
    ]
    assert {r.status_code for r in refusals} == {400, 401, 403, 404, 405, 415, 421, 422}
    for refusal in refusals:
        page, _, code = refusal.json()["type"].partition("#")
        assert f'id="{code}"' in (await api.get(page)).text


async def test_every_code_has_a_status_and_a_meaning(api: httpx.AsyncClient) -> None:
    page = (await api.get("/docs/problems")).text

    for code, status in [
        ("study-paused", 409),
        ("study-in-use", 409),
        ("lease-lost", 409),
        ("invalid-settings", 422),
        ("parallelism-reached", 429),
    ]:
        assert f'<dt id="{code}"><code>{code}</code> · {status}</dt><dd>' in page
    assert "<dd></dd>" not in page
