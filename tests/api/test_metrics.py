"""What `/metrics` tells after some calls. Counts belong to the process, so tests compare two."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import psycopg
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.api.app import build_app
from service.api.gate import GateRules
from service.engine.engine import Engine, open_engine
from service.storage.database import Database
from tests.api.conftest import NOBODY_LISTENS, open_client
from tests.api.problems import assert_problem
from tests.api.scrapes import Scrape, scrape

_REQUESTS = "asktell_request_seconds_count"


@pytest.fixture
async def api_without_database(rules: GateRules) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        open_engine(NOBODY_LISTENS) as engine,
        open_client(build_app(engine=engine, rules=rules)) as client,
    ):
        yield client


async def test_requests_count_by_the_template_of_their_route(
    api: httpx.AsyncClient, study: str
) -> None:
    before = await scrape(api)
    for _ in range(3):
        await api.post(f"{study}/ask", json={})
    await api.post(f"{study}/ask", json={"count": "many"})
    await api.post(f"{study}/trials/2/report", json={"step": 0, "value": 1.0})
    await api.get(f"{study}/trials/0")
    await api.get(f"{study}/trials/99")
    after = await scrape(api)

    def rise(route: str, method: str, status: str) -> float:
        return after.rise(before, _REQUESTS, route=route, method=method, status=status)

    assert rise("/studies/{study}/ask", "POST", "2xx") == 3
    assert rise("/studies/{study}/ask", "POST", "4xx") == 1
    assert rise("/studies/{study}/trials/{number}/report", "POST", "2xx") == 1
    assert rise("/studies/{study}/trials/{number}", "GET", "2xx") == 1
    assert rise("/studies/{study}/trials/{number}", "GET", "4xx") == 1


async def test_requests_have_durations(api: httpx.AsyncClient) -> None:
    labels = {"route": "/studies", "method": "GET", "status": "2xx"}
    before = await scrape(api)
    await api.get("/studies")
    after = await scrape(api)

    assert after.rise(before, "asktell_request_seconds_sum", **labels) > 0
    assert after.rise(before, "asktell_request_seconds_bucket", le="+Inf", **labels) == 1


async def test_nothing_that_a_client_sends_makes_a_series(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient, study: str
) -> None:
    async def wander(part: str) -> None:
        await api.get(f"/{part}")
        await api.get(f"/studies/{part}")
        await api.get(f"{study}/{part}")
        await api.request(f"M{part}", "/studies")
        await api.get("/studies", headers={"Host": f"{part}.example"})
        await stranger.get(f"/studies/{part}")

    await wander("first")
    before = await scrape(api)
    for number in range(20):
        await wander(f"part{number}")
    after = await scrape(api)

    assert set(after.values) == set(before.values)
    refused = {"route": "unmatched", "method": "GET", "status": "4xx"}
    assert after.rise(before, _REQUESTS, **refused) == 20 * 4
    assert "digits" not in str(after.values)


async def test_pages_share_a_label(engine: Engine, rules: GateRules) -> None:
    async def show(_request: Request) -> Response:
        return Response("a page")

    app = build_app(
        engine=engine,
        rules=rules,
        extra_routes=[Route(f"/page{n}/{{rest:path}}", show) for n in range(2)],
    )
    labels = {"route": "pages", "method": "GET", "status": "2xx"}
    async with open_client(app) as api:
        before = await scrape(api)
        await api.get("/page0/a")
        await api.get("/page1/b")
        after = await scrape(api)

    assert after.rise(before, _REQUESTS, **labels) == 2


async def test_problems_count_by_code(api: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    before = await scrape(api)
    await api.get("/studies/nobody")
    await api.get("/nowhere")
    await stranger.get("/studies")
    await stranger.get("/studies")
    after = await scrape(api)

    def rise(status: int, code: str) -> float:
        return after.rise(before, "asktell_problems_total", status=str(status), code=code)

    assert rise(404, "study-not-found") == 1
    assert rise(404, "not-found") == 1
    assert rise(401, "not-authenticated") == 2


async def test_an_outage_shows_while_it_lasts(api_without_database: httpx.AsyncClient) -> None:
    api = api_without_database
    before = await scrape(api)
    for _ in range(2):
        assert_problem(await api.post("/studies/digits/ask"), 503, "database-unavailable")
    after = await scrape(api)

    problems = {"status": "503", "code": "database-unavailable"}
    assert after.rise(before, "asktell_problems_total", **problems) == 2
    asks = {"route": "/studies/{study}/ask", "method": "POST", "status": "5xx"}
    assert after.rise(before, _REQUESTS, **asks) == 2


async def test_commits_count_with_their_operations(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/ask", json={"count": 4})
    before = await scrape(api)
    answers = await asyncio.gather(
        *(
            api.post(f"{study}/trials/{number}/report", json={"step": 0, "value": 1.0})
            for number in range(4)
        )
    )
    after = await scrape(api)

    assert [answer.status_code for answer in answers] == [200] * 4
    assert after.rise(before, "asktell_commit_operations_sum") == 4
    # Together or one after another, as the loop had it.
    assert 1 <= after.rise(before, "asktell_commit_operations_count") <= 4
    assert after.rise(before, "asktell_commit_seconds_count") == after.rise(
        before, "asktell_commit_operations_count"
    )
    assert after.rise(before, "asktell_commit_seconds_sum") > 0
    assert after.read("asktell_commit_queue_operations") == 0


async def test_refused_commits_count(
    api: httpx.AsyncClient, study: str, database: Database
) -> None:
    await api.post(f"{study}/ask", json={})
    with psycopg.connect(database.conninfo) as connection:
        connection.execute(
            "ALTER TABLE trial_intermediate_values ADD CHECK (intermediate_value <> 666)"
        )
    before = await scrape(api)
    answer = await api.post(f"{study}/trials/0/report", json={"step": 0, "value": 666.0})
    after = await scrape(api)

    assert answer.status_code == 500
    assert after.rise(before, "asktell_commits_refused_total") == 1


async def test_levels_are_those_of_the_application_asked(
    api: httpx.AsyncClient, study: str, api_without_database: httpx.AsyncClient
) -> None:
    await api.post(f"{study}/ask", json={"count": 3})
    here, there = await scrape(api), await scrape(api_without_database)

    def read_levels(levels: Scrape) -> tuple[float, float]:
        return levels.read("asktell_active_actors"), levels.read("asktell_live_attempts")

    assert read_levels(here) == (1, 3)
    assert read_levels(there) == (0, 0)


async def test_strangers_learn_nothing(stranger: httpx.AsyncClient) -> None:
    assert_problem(await stranger.get("/metrics"), 401, "not-authenticated")
