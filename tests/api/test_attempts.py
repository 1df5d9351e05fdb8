"""The worker protocol, and what people see of attempts."""

import asyncio
from typing import Any

import httpx
import pytest

from service.storage.attempts import KEPT_LOG_BYTES, MAX_LOG_PART_BYTES
from tests.api.conftest import SettableClock
from tests.api.problems import assert_problem, get_fields
from tests.api.sweep_use import LAUNCH, REPORT, claim, create_sweep, end, observe, send_log

PRUNING = {
    "sampler": {"type": "RandomSampler"},
    "pruner": {"type": "MedianPruner", "args": {"n_startup_trials": 1}},
}


@pytest.fixture
async def attempt(api: httpx.AsyncClient) -> dict[str, Any]:
    """The first attempt of a sweep, in the worker's hands."""
    await create_sweep(api)
    (claimed,) = await claim(api)
    return claimed


async def show(api: httpx.AsyncClient, attempt: dict[str, Any]) -> Any:
    response = await api.get(f"/sweeps/{attempt['study']}/attempts/{attempt['id']}")
    assert response.status_code == 200, response.text
    return response.json()


async def read_log(
    api: httpx.AsyncClient, attempt: dict[str, Any], **query: int
) -> tuple[str, int, int]:
    """Text, start and end."""
    path = f"/sweeps/{attempt['study']}/attempts/{attempt['id']}/log"
    response = await api.get(path, params=query)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    headers = response.headers
    return response.text, int(headers["asktell-log-start"]), int(headers["asktell-log-end"])


async def test_a_claim_says_all_that_a_worker_needs(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    created = await create_sweep(api)

    (claimed,) = await claim(api)

    token = claimed.pop("token")
    params = (await api.get("/studies/digits/trials/0")).json()["params"]
    assert claimed == {
        "id": f"{created['sweep']['id']}-0-1",
        "study": "digits",
        "trial": 0,
        "attempt": 1,
        "claim": 1,
        "state": "launching",
        "external_ref": None,
        "params": params,
        "metrics": ["accuracy"],
        "directions": ["maximize"],
        "run_id": f"{created['sweep']['id']}-0-1",
        "mirror_ref": None,
        "launch": created["sweep"]["launch"],
        "lease_expires_at": "2026-01-01T00:02:00Z",
    }
    headers = {"Authorization": f"Bearer {token}"}
    own = await stranger.post("/studies/digits/trials/0/heartbeat", headers=headers)
    assert own.status_code == 200, own.text
    assert (await stranger.post("/studies/digits/ask", headers=headers)).status_code == 403


async def test_only_sweeps_of_the_queue_are_served(api: httpx.AsyncClient) -> None:
    await create_sweep(api, "a", launch=LAUNCH | {"queue": "gpu"})

    assert await claim(api) == []
    assert await claim(api, queue="gpu", executors=["wandb"]) == []
    assert await claim(api, 0, queue="gpu") == []
    assert len(await claim(api, 2, queue="gpu", executors=["wandb", "process"])) == 2


async def test_a_draining_worker_gets_nothing_more(api: httpx.AsyncClient) -> None:
    waiting = asyncio.create_task(claim(api, wait_seconds=60))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), timeout=0.5)

    await api.put("/workers/w1", json=REPORT | {"state": "draining"})

    assert await asyncio.wait_for(waiting, timeout=30) == []
    await create_sweep(api)
    assert len(await claim(api, worker_id="w2")) == 1


async def test_an_empty_claim_waits_for_a_sweep(api: httpx.AsyncClient) -> None:
    waiting = asyncio.create_task(claim(api, wait_seconds=60))
    await create_sweep(api, "a", launch=LAUNCH | {"queue": "gpu"})
    assert not waiting.done()

    await create_sweep(api, "b")

    (claimed,) = await asyncio.wait_for(waiting, timeout=30)
    assert claimed["study"] == "b"


async def test_what_a_worker_does_not_hold_comes_again(
    api: httpx.AsyncClient, attempt: dict[str, Any]
) -> None:
    await observe(api, attempt, external_ref="pid 7")

    assert await claim(api, 0, held=[attempt["id"]]) == []
    assert await claim(api, 0, worker_id="w2") == []
    (again,) = await claim(api, 0)

    assert again["claim"] == 2
    assert (again["id"], again["params"]) == (attempt["id"], attempt["params"])
    assert (again["state"], again["external_ref"]) == ("running", "pid 7")
    assert_problem(await observe(api, attempt), 409, "claim-lost")
    assert_problem(await send_log(api, attempt, "old"), 409, "claim-lost")
    assert (await show(api, again))["log_bytes"] == 0
    assert (await observe(api, again)).status_code == 200


async def test_observing_renews_the_lease(
    api: httpx.AsyncClient, attempt: dict[str, Any], clock: SettableClock
) -> None:
    clock.advance(seconds=100)

    seen = (await observe(api, attempt)).json()

    expected = {"stop": None, "is_over": False, "lease_expires_at": "2026-01-01T00:03:40Z"}
    assert seen == expected
    shown = await show(api, attempt)
    assert (shown["state"], shown["started_at"]) == ("running", "2026-01-01T00:01:40Z")


async def test_points_are_reports_and_the_last_value_counts(
    api: httpx.AsyncClient, attempt: dict[str, Any]
) -> None:
    points = [{"step": 0, "value": 0.5}, {"step": 1, "value": "NaN"}]
    for _ in range(2):
        await observe(api, attempt, points=points)

    seen = await end(api, attempt)
    again = await end(api, attempt)

    assert seen == again == {"stop": "over", "is_over": True, "lease_expires_at": None}
    trial = (await api.get("/studies/digits/trials/0")).json()
    assert (trial["state"], trial["values"]) == ("COMPLETE", [0.9])
    assert trial["intermediate_values"] == points
    shown = await show(api, attempt)
    assert (shown["state"], shown["exit_code"]) == ("succeeded", 0)
    assert shown["ended_at"] == "2026-01-01T00:00:00Z"


async def test_a_failure_says_why(api: httpx.AsyncClient, attempt: dict[str, Any]) -> None:
    await end(api, attempt, exit_code=None, signal=9, message="Its last words.", values=None)

    shown = await show(api, attempt)

    assert (shown["state"], shown["signal"], shown["exit_code"]) == ("failed", 9, None)
    assert "SIGKILL" in shown["reason"]
    assert "Its last words." in shown["reason"]
    trial = (await api.get("/studies/digits/trials/0")).json()
    assert (trial["state"], trial["reason"]) == ("FAIL", shown["reason"])


async def test_a_pruned_attempt_is_stopped(api: httpx.AsyncClient) -> None:
    await create_sweep(api, **PRUNING)
    good, bad = await claim(api, 2)
    await observe(api, good, points=[{"step": 0, "value": 0.9}])
    await end(api, good)

    seen = (await observe(api, bad, points=[{"step": 0, "value": 0.1}])).json()
    await observe(api, bad, state="stopping")
    await end(api, bad, exit_code=0)

    assert (seen["stop"], seen["is_over"]) == ("pruned", False)
    shown = await show(api, bad)
    assert (shown["state"], shown["exit_code"]) == ("pruned", 0)
    assert (await api.get("/studies/digits/trials/1")).json()["state"] == "PRUNED"


async def test_the_exit_of_what_has_told_by_itself_is_kept(
    api: httpx.AsyncClient, attempt: dict[str, Any]
) -> None:
    await observe(api, attempt)
    told = await api.post(
        "/studies/digits/trials/0/tell", json={"state": "COMPLETE", "values": 0.5, "attempt": 1}
    )
    assert told.status_code == 200

    seen = (await observe(api, attempt)).json()
    await end(api, attempt, exit_code=3)
    await end(api, attempt, exit_code=4)

    assert (seen["stop"], seen["is_over"]) == ("over", True)
    shown = await show(api, attempt)
    assert (shown["state"], shown["exit_code"], shown["reason"]) == ("succeeded", 3, None)
    assert (await api.get("/studies/digits/best")).json()["values"] == [0.5]


async def test_a_lost_attempt_is_followed_by_another(
    api: httpx.AsyncClient, attempt: dict[str, Any], clock: SettableClock
) -> None:
    clock.advance(seconds=121)

    (second,) = await claim(api, worker_id="w2", worker_name="gpu-2")

    assert (second["trial"], second["attempt"], second["claim"]) == (0, 2, 1)
    assert_problem(await observe(api, attempt), 409, "attempt-superseded")
    listed = (await api.get("/sweeps/digits/attempts")).json()["attempts"]
    assert [(each["attempt"], each["state"], each["worker"]) for each in listed] == [
        (2, "launching", "gpu-2"),
        (1, "lost", "gpu-1"),
    ]


async def test_attempts_are_listed_newest_first(api: httpx.AsyncClient) -> None:
    await create_sweep(api)
    claimed = await claim(api, 3)
    await end(api, claimed[1], exit_code=1)
    await observe(api, claimed[2])

    async def list_numbers(query: str = "") -> list[int]:
        response = await api.get(f"/sweeps/digits/attempts{query}")
        assert response.status_code == 200, response.text
        return [attempt["trial"] for attempt in response.json()["attempts"]]

    assert await list_numbers() == [2, 1, 0]
    assert await list_numbers("?state=failed") == [1]
    assert await list_numbers("?state=launching&state=running") == [2, 0]
    assert await list_numbers("?trial=1") == [1]
    assert await list_numbers("?trial=9") == []
    page = (await api.get("/sweeps/digits/attempts?limit=2")).json()
    assert [attempt["trial"] for attempt in page["attempts"]] == [2, 1]
    assert await list_numbers(f"?limit=2&cursor={page['next_cursor']}") == [0]
    studies = (await api.get("/studies/digits/trials?limit=1")).json()["next_cursor"]
    foreign = await api.get(f"/sweeps/digits/attempts?cursor={studies}")
    assert get_fields(assert_problem(foreign, 422, "invalid-request")) == ["cursor"]


async def test_an_attempt_is_looked_for_in_its_own_sweep(
    api: httpx.AsyncClient, attempt: dict[str, Any]
) -> None:
    await create_sweep(api, "other", launch=LAUNCH | {"queue": "gpu"})
    assert len(await claim(api, worker_id="w2", queue="gpu")) == 1
    sweep_id = attempt["id"].partition("-")[0]
    for path in (
        f"other/attempts/{attempt['id']}",
        f"digits/attempts/{sweep_id}-0-2",
        f"digits/attempts/{sweep_id}-1-1",
        f"digits/attempts/{sweep_id}-9999999999-1",
        "digits/attempts/nothing",
    ):
        assert_problem(await api.get(f"/sweeps/{path}"), 404, "attempt-not-found")
        assert_problem(await api.get(f"/sweeps/{path}/log"), 404, "attempt-not-found")


async def test_what_was_deleted_is_told_to_the_worker(
    api: httpx.AsyncClient, attempt: dict[str, Any]
) -> None:
    await api.delete("/studies/digits")

    for response in (await observe(api, attempt), await send_log(api, attempt, "late")):
        assert response.status_code == 404, response.text
    await create_sweep(api)
    assert_problem(await observe(api, attempt), 404, "sweep-not-found")
    assert_problem(await send_log(api, attempt, "late"), 404, "attempt-not-found")


async def test_a_log_is_followed_by_its_offsets(
    api: httpx.AsyncClient, attempt: dict[str, Any]
) -> None:
    assert await read_log(api, attempt) == ("", 0, 0)
    for offset, text in ((0, "first ✓\n"), (10, "second\n")):
        assert (await send_log(api, attempt, text, offset=offset)).status_code == 204

    assert await read_log(api, attempt) == ("first ✓\nsecond\n", 0, 17)
    assert await read_log(api, attempt, offset=10) == ("second\n", 10, 17)
    assert await read_log(api, attempt, offset=12, limit_bytes=3) == ("con", 12, 15)
    assert await read_log(api, attempt, offset=17) == ("", 17, 17)
    assert await read_log(api, attempt, offset=50) == ("", 50, 50)
    assert (await show(api, attempt))["log_bytes"] == 17


async def test_a_character_is_never_cut_in_two(
    api: httpx.AsyncClient, attempt: dict[str, Any]
) -> None:
    await send_log(api, attempt, "ab✓cd")

    assert await read_log(api, attempt, limit_bytes=4) == ("ab", 0, 2)
    assert await read_log(api, attempt, offset=2, limit_bytes=4) == ("✓c", 2, 6)
    assert (await read_log(api, attempt, offset=2, limit_bytes=1))[1:] == (2, 3)
    assert (await read_log(api, attempt, offset=3))[0].endswith("cd")


async def test_parts_may_come_twice_and_overlap(
    api: httpx.AsyncClient, attempt: dict[str, Any]
) -> None:
    text = "one two three four"
    for start, stop in ((0, 7), (0, 7), (0, 4), (4, 13), (0, 18), (2, 9)):
        await send_log(api, attempt, text[start:stop], offset=start)

    assert await read_log(api, attempt) == (text, 0, 18)


async def test_offsets_are_those_of_what_was_printed(
    api: httpx.AsyncClient, attempt: dict[str, Any]
) -> None:
    raw = b"a\xffb\x00\xe2\x9c"
    text = raw.decode(errors="replace")

    sent = await send_log(api, attempt, text, bytes=len(raw))
    after = await send_log(api, attempt, "\N{REPLACEMENT CHARACTER}!", offset=len(raw))

    assert (sent.status_code, after.status_code) == (204, 204), sent.text
    assert await read_log(api, attempt) == ("a?b\0??\N{REPLACEMENT CHARACTER}!", 0, 10)
    for size in (3, 40, -1, MAX_LOG_PART_BYTES + 1):
        refused = await send_log(api, attempt, "four", bytes=size)
        assert_problem(refused, 422, "invalid-request")


async def test_what_is_missing_in_a_log_is_skipped(
    api: httpx.AsyncClient, attempt: dict[str, Any]
) -> None:
    far = 10 * KEPT_LOG_BYTES
    await send_log(api, attempt, "begin\n")
    await send_log(api, attempt, "end\n", offset=100)

    assert await read_log(api, attempt) == ("begin\n", 0, 6)
    assert await read_log(api, attempt, offset=6) == ("end\n", 100, 104)
    await send_log(api, attempt, "far\n", offset=far)
    assert await read_log(api, attempt) == ("far\n", far, far + 4)


async def test_the_end_of_a_long_log_is_kept(
    api: httpx.AsyncClient, attempt: dict[str, Any]
) -> None:
    part = "x" * (MAX_LOG_PART_BYTES - 1) + "\n"
    for index in range(20):
        sent = await send_log(api, attempt, part, offset=index * len(part))
        assert sent.status_code == 204, sent.text

    text, start, stop = await read_log(api, attempt, limit_bytes=KEPT_LOG_BYTES)

    assert start == 4 * len(part)
    assert (await show(api, attempt))["log_bytes"] == 20 * len(part)
    assert stop == 20 * len(part) == start + KEPT_LOG_BYTES
    assert text == part * (len(text) // len(part))


async def test_logs_may_come_after_the_end(api: httpx.AsyncClient, attempt: dict[str, Any]) -> None:
    await end(api, attempt)

    assert (await send_log(api, attempt, "bye\n")).status_code == 204
    assert (await read_log(api, attempt))[0] == "bye\n"


async def test_nothing_is_written_for_an_observation_without_news(
    api: httpx.AsyncClient, attempt: dict[str, Any], clock: SettableClock
) -> None:
    await observe(api, attempt)
    revision = (await api.get("/studies/digits")).json()["revision"]

    clock.advance(seconds=10)
    await observe(api, attempt)

    assert (await api.get("/studies/digits")).json()["revision"] == revision
