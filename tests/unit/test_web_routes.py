"""Our own pages: how browsers must treat them, and what changes without the dashboard."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from urllib.parse import quote, urljoin

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse

from service.domain.studies import Direction, Objective, StudyState, StudySummary, TrialCounts
from service.web.routes import build_web_routes

NAME = "a/b ..%20&c"
PAGES = (
    "/",
    "/ui/study?name=digits",
    "/ui/tokens",
    "/ui/sweeps/digits/attempts/k3v9x2ab-12-1",
)


@dataclass(frozen=True)
class OneStudy:
    """Knows the study NAME, whose id is 7; like Postgres it takes no NUL."""

    summary: StudySummary

    async def find_study(self, name: str) -> "OneStudy | None":
        if "\0" in name:
            raise ValueError(name)
        return self if name == self.summary.name else None


def build_client(*, dashboard: PlainTextResponse | None) -> httpx.AsyncClient:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    summary = StudySummary(
        study_id=7,
        name=NAME,
        state=StudyState.ACTIVE,
        stop_reason=None,
        started=0,
        max_trials=None,
        objectives=(Objective("value", Direction.MINIMIZE),),
        counts=TrialCounts(),
        best=None,
        revision=0,
        created_at=now,
        last_activity_at=now,
    )
    app = Starlette(routes=build_web_routes(OneStudy(summary), dashboard))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://asktell")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with build_client(dashboard=PlainTextResponse("dashboard")) as client:
        yield client


@pytest.mark.parametrize("path", PAGES)
async def test_pages_need_no_inline_script_style_or_foreign_host(
    client: httpx.AsyncClient, path: str
):
    page = await client.get(path)

    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert re.findall(r"<style|\son\w+=|style=|<script(?![^>]*src=)", page.text) == []
    assert re.findall(r"https?://", page.text) == []


@pytest.mark.parametrize("path", PAGES)
async def test_every_asset_of_a_page_exists_and_may_be_kept(client: httpx.AsyncClient, path: str):
    page = await client.get(path)

    unread = re.findall(r'(?:href|src)="(/ui/static/[^"]+)"', page.text)
    assert {address.rpartition(".")[2] for address in unread} == {"css", "js", "svg"}
    found = set()
    while unread:
        address = unread.pop()
        asset = await client.get(address)
        assert asset.status_code == 200, address
        assert "immutable" in asset.headers["cache-control"]
        assert asset.headers["x-content-type-options"] == "nosniff"
        found.add(address)
        unread += set(list_imports(address, asset.text)) - found

    assert any(address.endswith("/polling.js") for address in found)
    assert any(address.endswith("/theme.css") for address in found)


def list_imports(address: str, text: str) -> list[str]:
    """What a module or a style sheet takes from its own folder."""
    paths = re.findall(r'(?:from|import) "(\.[^"]+)"', text)
    return [urljoin(address, path) for path in paths]


async def test_page_of_an_attempt_names_it_as_text(client: httpx.AsyncClient):
    name = "<img src=x onerror='hurt()'> & \"quotes\" ?#%41"

    page = await client.get(f"/ui/sweeps/{quote(name, safe='')}/attempts/k3v9x2ab-12-1")

    (study,) = re.findall(r'data-study="([^"]*)"', page.text)
    assert unescape(study) == name
    assert 'data-attempt="k3v9x2ab-12-1"' in page.text
    assert "<img" not in page.text


async def test_files_outside_of_the_assets_stay_hidden(client: httpx.AsyncClient):
    page = await client.get("/")
    (folder,) = set(re.findall(r'"(/ui/static/[^/]+)/', page.text))

    for path in ("/../templates/overview.html", "/%2e%2e/routes.py", "/"):
        assert (await client.get(folder + path)).status_code == 404


async def test_study_links_to_the_dashboards_page_of_its_id(client: httpx.AsyncClient):
    link = await client.get("/ui/dashboard", params={"study": NAME})

    assert (link.status_code, link.headers["location"]) == (303, "/dashboard/studies/7")


@pytest.mark.parametrize("query", ["", "?study=", "?study=gone", "?study=%00"])
async def test_link_to_a_missing_study_says_so(client: httpx.AsyncClient, query: str):
    page = await client.get(f"/ui/dashboard{query}")

    assert page.status_code == 404
    assert "gone" in page.text


async def test_nothing_leads_to_a_dashboard_that_is_switched_off():
    async with build_client(dashboard=None) as client:
        page = await client.get("/")

        assert page.status_code == 200
        assert "/dashboard" not in page.text
        for path in ("/dashboard", "/api/studies", "/ui/dashboard?study=x"):
            assert (await client.get(path)).status_code == 404
