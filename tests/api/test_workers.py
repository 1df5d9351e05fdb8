"""Workers say that they are there, and leave."""

from typing import Any

import httpx

from tests.api.conftest import SettableClock
from tests.api.problems import assert_problem, get_fields
from tests.api.sweep_use import REPORT


async def put(api: httpx.AsyncClient, worker_id: str = "w1", **changes: Any) -> httpx.Response:
    return await api.put(f"/workers/{worker_id}", json=REPORT | changes)


async def list_workers(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    response = await api.get("/workers")
    assert response.status_code == 200, response.text
    workers: list[dict[str, Any]] = response.json()["workers"]
    return workers


async def test_a_worker_is_shown_as_it_last_reported(
    api: httpx.AsyncClient, clock: SettableClock
) -> None:
    assert await list_workers(api) == []
    assert (await put(api)).status_code == 204
    clock.advance(seconds=10)

    assert (await put(api, busy=3, state="draining")).status_code == 204

    assert await list_workers(api) == [
        REPORT
        | {
            "id": "w1",
            "busy": 3,
            "state": "draining",
            "started_at": "2026-01-01T00:00:00Z",
            "last_seen_at": "2026-01-01T00:00:10Z",
            "is_away": False,
        }
    ]


async def test_a_worker_that_misses_its_reports_is_away(
    api: httpx.AsyncClient, clock: SettableClock
) -> None:
    await put(api, "w1", name="a")
    clock.advance(seconds=30)
    await put(api, "w2", name="b")
    assert [worker["is_away"] for worker in await list_workers(api)] == [False, False]

    clock.advance(seconds=1)

    assert [worker["is_away"] for worker in await list_workers(api)] == [True, False]


async def test_a_worker_that_leaves_is_forgotten(api: httpx.AsyncClient) -> None:
    await put(api)

    for _ in range(2):
        assert (await api.delete("/workers/w1")).status_code == 204

    assert await list_workers(api) == []


async def test_a_worker_that_never_comes_back_is_forgotten(
    api: httpx.AsyncClient, clock: SettableClock
) -> None:
    await put(api, "gone")
    clock.advance(hours=25)

    await put(api, "here")

    assert [worker["id"] for worker in await list_workers(api)] == ["here"]


async def test_reports_are_checked(api: httpx.AsyncClient) -> None:
    for change, field in (
        ({"slots": -1}, "slots"),
        ({"slots": 1001}, "slots"),
        ({"busy": "1"}, "busy"),
        ({"name": ""}, "name"),
        ({"host": "a\0b"}, "host"),
        ({"executors": []}, "executors"),
        ({"state": "asleep"}, "state"),
        ({"colour": "red"}, "colour"),
    ):
        problem = assert_problem(await put(api, **change), 422, "invalid-request")
        assert get_fields(problem) == [field]
    for worker_id in ("a%00b", "w" * 256):
        for response in (await put(api, worker_id), await api.delete(f"/workers/{worker_id}")):
            problem = assert_problem(response, 422, "invalid-request")
            assert get_fields(problem) == ["worker_id"]
    assert await list_workers(api) == []
