"""Every route: unknown query parameters are refused, and HEAD is answered as GET is."""

from collections.abc import Iterator

import httpx
import pytest

from tests.api.problems import assert_problem, get_fields
from tests.api.sweep_use import claim, create_sweep

# A login link works once: neither a preview's HEAD nor a mail program's addition may cost it.
LENIENT = "/login/{code}"


@pytest.fixture
async def operations(api: httpx.AsyncClient, study: str) -> list[tuple[str, str]]:
    """Method and path of every operation, with a study and a trial that exist."""
    await api.post(f"{study}/ask")
    await api.post(f"{study}/trials/0/tell", json={"state": "COMPLETE", "values": 1})
    await create_sweep(api, "launched")
    (attempt,) = await claim(api)
    paths = (await api.get("/openapi.json")).json()["paths"]
    return [
        (method.upper(), to_address(path, attempt["id"]))
        for path, methods in paths.items()
        for method in methods
        if path != LENIENT
    ]


def to_address(path: str, attempt_id: str) -> str:
    study = "launched" if path.startswith("/sweeps") else "digits"
    filled = path.replace("{study}", study).replace("{number}", "0")
    return filled.replace("{attempt_id}", attempt_id)


def list_readable(operations: list[tuple[str, str]]) -> Iterator[str]:
    yield from (path for method, path in operations if method == "GET")
    yield from ("/docs", "/docs/problems", "/openapi.json")


async def test_unknown_queries_are_refused_everywhere(
    api: httpx.AsyncClient, operations: list[tuple[str, str]], subtests: pytest.Subtests
) -> None:
    for method, path in operations:
        with subtests.test(method=method, path=path):
            response = await api.request(method, path, params={"colour": "red"}, json={})

            problem = assert_problem(response, 422, "invalid-request")
            assert get_fields(problem) == ["colour"]
    assert (await api.get("/studies/digits")).status_code == 200


async def test_the_nearest_query_is_named(api: httpx.AsyncClient, study: str) -> None:
    for path, query, words in [
        ("/studies", "limt=3", '"limit"'),
        (f"{study}/trials", "sate=FAIL&state=FAIL", '"state"'),
        ("/studies", "colour=red", "known are state, q, limit, cursor"),
        (f"{study}/ask", "count=3", "unknown query parameter"),
    ]:
        method = "POST" if path.endswith("ask") else "GET"
        problem = assert_problem(
            await api.request(method, f"{path}?{query}"), 422, "invalid-request"
        )

        assert get_fields(problem) == [query.partition("=")[0]]
        assert words in problem["errors"][0]["message"]
    assert (await api.get(study)).json()["counts"]["total"] == 0


async def test_head_is_answered_as_get_is(
    api: httpx.AsyncClient, operations: list[tuple[str, str]], subtests: pytest.Subtests
) -> None:
    for path in list_readable(operations):
        with subtests.test(path=path):
            full = await api.get(path, params={})
            head = await api.head(path)

            assert head.status_code == full.status_code
            for name in ("content-type", "etag", "cache-control"):
                assert head.headers.get(name) == full.headers.get(name)
            if path != "/metrics":
                assert head.headers.get("content-length") == full.headers.get("content-length")


async def test_head_of_a_known_etag_is_304(api: httpx.AsyncClient, study: str) -> None:
    etag = (await api.get(study)).headers["etag"]

    assert (await api.head(study, headers={"If-None-Match": etag})).status_code == 304


async def test_head_of_what_is_missing_is_404(api: httpx.AsyncClient) -> None:
    assert (await api.head("/studies/nobody")).status_code == 404


async def test_head_is_refused_where_get_is(api: httpx.AsyncClient, study: str) -> None:
    assert_problem(await api.get(f"{study}/ask"), 405, "method-not-allowed")
    assert (await api.head(f"{study}/ask")).status_code == 405
