"""Pausing, stopping and resuming a study, and what asks are told meanwhile."""

import asyncio

import httpx
import pytest

from tests.api.problems import assert_problem


async def post(api: httpx.AsyncClient, path: str) -> tuple[str, str | None]:
    response = await api.post(path)
    assert response.status_code == 200, response.text
    study = response.json()
    assert (await api.get(f"/studies/{study['name']}")).json() == study
    return study["state"], study["stop_reason"]


async def test_a_paused_study_hands_out_nothing(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/ask")

    assert await post(api, f"{study}/pause") == ("paused", None)

    refused = assert_problem(await api.post(f"{study}/ask"), 409, "study-paused")
    assert "resume" in refused["detail"]
    told = await api.post(f"{study}/trials/0/tell", json={"state": "COMPLETE", "values": 1})
    assert told.status_code == 200
    assert await post(api, f"{study}/resume") == ("active", None)
    assert (await api.post(f"{study}/ask")).status_code == 200


async def test_a_stopped_study_lets_trials_finish(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/ask")

    assert await post(api, f"{study}/stop") == ("stopping", "stopped")

    assert_problem(await api.post(f"{study}/ask"), 409, "study-finished")
    await api.post(f"{study}/trials/0/tell", json={"state": "COMPLETE", "values": 1})
    shown = (await api.get(study)).json()
    assert (shown["state"], shown["stop_reason"]) == ("finished", "stopped")
    assert await post(api, f"{study}/resume") == ("active", None)


@pytest.mark.parametrize("verb", ["pause", "resume", "stop"])
async def test_repeating_changes_nothing(api: httpx.AsyncClient, study: str, verb: str) -> None:
    assert await post(api, f"{study}/{verb}") == await post(api, f"{study}/{verb}")


async def test_a_spent_budget_is_not_resumed(api: httpx.AsyncClient, study: str) -> None:
    await api.patch(study, json={"budget": {"max_trials": 1}})
    await api.post(f"{study}/ask")

    refused = assert_problem(await api.post(f"{study}/resume"), 409, "study-finished")

    assert "PATCH" in refused["detail"]


async def test_lists_studies_by_state(api: httpx.AsyncClient) -> None:
    for name in ("active", "paused", "stopping", "finished"):
        await api.post("/studies", json={"name": name, "direction": "minimize"})
    await api.post("/studies/paused/pause")
    await api.post("/studies/stopping/ask")
    await api.post("/studies/stopping/stop")
    await api.post("/studies/finished/stop")

    for state in ("active", "paused", "stopping", "finished"):
        page = (await api.get("/studies", params={"state": state})).json()
        assert [(each["name"], each["state"]) for each in page["studies"]] == [(state, state)]


@pytest.mark.parametrize("verb", ["pause", "resume", "stop"])
async def test_knows_no_such_study(api: httpx.AsyncClient, verb: str) -> None:
    for name in ("nobody", "%00"):
        assert_problem(await api.post(f"/studies/{name}/{verb}"), 404, "study-not-found")


async def test_refuses_more_than_may_be_live(api: httpx.AsyncClient, study: str) -> None:
    await api.patch(study, json={"parallelism": 2})
    first = await api.post(f"{study}/ask", json={"count": 3})
    assert len(first.json()["trials"]) == 2

    refused = await api.post(f"{study}/ask")

    assert_problem(refused, 429, "parallelism-reached")
    assert int(refused.headers["retry-after"]) >= 1
    await api.post(f"{study}/trials/0/tell", json={"state": "FAIL"})
    assert (await api.post(f"{study}/ask")).status_code == 200


async def test_waits_for_a_trial(api: httpx.AsyncClient, study: str) -> None:
    await api.patch(study, json={"parallelism": 1})
    await api.post(f"{study}/ask")

    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(api.post(f"{study}/ask", json={"wait_seconds": 60}))
        told = tasks.create_task(api.post(f"{study}/trials/0/tell", json={"state": "FAIL"}))

    assert told.result().status_code == 200
    assert [trial["number"] for trial in waiting.result().json()["trials"]] == [1]


async def test_waits_for_a_paused_study(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/pause")

    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(api.post(f"{study}/ask", json={"wait_seconds": 60}))
        tasks.create_task(api.post(f"{study}/resume"))

    assert waiting.result().status_code == 200


async def test_waits_no_longer_than_asked(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/pause")

    refused = await api.post(f"{study}/ask", json={"wait_seconds": 0.05})

    assert_problem(refused, 409, "study-paused")
