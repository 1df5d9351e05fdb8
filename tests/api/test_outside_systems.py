"""Attempts in outside systems: their names and pages there, and who goes on with them."""

from typing import Any

import httpx
import pytest

from tests.api.conftest import SettableClock
from tests.api.problems import assert_problem
from tests.api.sweep_use import (
    REPORT,
    WANDB_QUEUE_LAUNCH,
    claim,
    create_sweep,
    end,
    observe,
)

LAUNCH = WANDB_QUEUE_LAUNCH | {"sweep": False}
REMOTE = {"executors": ["wandb-launch"], "adopts": ["wandb-launch"]}
OTHER = {"worker_id": "w2", "worker_name": "gpu-2", **REMOTE}
URL = "https://wandb.example/ada/numbers/runs/k1-0-1"


@pytest.fixture
async def attempt(api: httpx.AsyncClient) -> dict[str, Any]:
    """The first one of a sweep whose runs any worker can follow, with w1."""
    await create_sweep(api, launch=LAUNCH)
    (claimed,) = await claim(api, **REMOTE)
    return claimed


async def show(api: httpx.AsyncClient, attempt: dict[str, Any]) -> Any:
    response = await api.get(f"/sweeps/{attempt['study']}/attempts/{attempt['id']}")
    assert response.status_code == 200, response.text
    return response.json()


async def report_worker(api: httpx.AsyncClient, worker_id: str = "w1") -> None:
    body = REPORT | {"queue": "default", "executors": ["wandb-launch"]}
    assert (await api.put(f"/workers/{worker_id}", json=body)).status_code == 204


async def test_its_page_and_what_there_is_to_know_are_shown(
    api: httpx.AsyncClient, attempt: dict[str, Any]
) -> None:
    shown = await show(api, attempt)
    assert (shown["url"], shown["note"]) == (None, None)

    await observe(api, attempt, url=URL, note="Recorded offline.")
    await observe(api, attempt, note="Uploaded.")
    await observe(api, attempt)

    shown = await show(api, attempt)
    assert (shown["url"], shown["note"]) == (URL, "Uploaded.")
    (listed,) = (await api.get("/sweeps/digits/attempts")).json()["attempts"]
    assert listed == shown
    await end(api, attempt)
    assert (await show(api, attempt))["url"] == URL


async def test_words_that_are_known_are_no_news(
    api: httpx.AsyncClient, attempt: dict[str, Any]
) -> None:
    await observe(api, attempt, url=URL, note="Recorded offline.")
    revision = (await api.get("/studies/digits")).json()["revision"]

    await observe(api, attempt, url=URL, note="Recorded offline.")

    assert (await api.get("/studies/digits")).json()["revision"] == revision


async def test_what_goes_on_after_a_preemption_keeps_its_name(
    api: httpx.AsyncClient, attempt: dict[str, Any]
) -> None:
    await end(api, attempt, kind="preempted", exit_code=None, values=None)
    (second,) = await claim(api, **REMOTE)
    await end(api, second, kind="preempted", exit_code=None, values=None)

    (third,) = await claim(api, **REMOTE)
    (again,) = await claim(api, 0, **REMOTE)

    assert third["id"].endswith("-0-3")
    assert {each["run_id"] for each in (second, third, again)} == {attempt["id"]}


async def test_what_follows_a_loss_begins_anew(
    api: httpx.AsyncClient, attempt: dict[str, Any], clock: SettableClock
) -> None:
    await end(api, attempt, kind="preempted", exit_code=None, values=None)
    (second,) = await claim(api, **REMOTE)
    clock.advance(seconds=121)

    (third,) = await claim(api, **OTHER | {"adopts": []})

    assert (second["run_id"], third["run_id"]) == (attempt["id"], third["id"])


async def test_what_a_person_ended_outside_is_not_tried_again(
    api: httpx.AsyncClient, attempt: dict[str, Any]
) -> None:
    ended = await end(
        api,
        attempt,
        kind="cancelled",
        exit_code=255,
        message="A person stopped the run in W&B.",
        values={"accuracy": 0.9},
    )

    assert ended["is_over"]
    shown = await show(api, attempt)
    assert (shown["state"], shown["exit_code"]) == ("cancelled", 255)
    assert shown["reason"] == "A person stopped the run in W&B."
    trial = (await api.get("/studies/digits/trials/0")).json()
    assert (trial["state"], trial["values"]) == ("FAIL", None)
    (other,) = await claim(api, **REMOTE)
    assert other["trial"] == 1


async def test_the_attempts_of_a_worker_that_is_away_are_passed_on(
    api: httpx.AsyncClient, attempt: dict[str, Any], clock: SettableClock
) -> None:
    await report_worker(api)
    await observe(api, attempt, external_ref="ada/numbers/k1")
    clock.advance(seconds=30)
    assert [each["trial"] for each in await claim(api, **OTHER)] == [1]

    clock.advance(seconds=1)
    await report_worker(api, "w2")
    adopted = await claim(api, 1, held=[f"{attempt['id'][:-3]}1-1"], **OTHER)

    assert [(each["id"], each["claim"]) for each in adopted] == [(attempt["id"], 2)]
    assert (adopted[0]["state"], adopted[0]["external_ref"]) == ("running", "ada/numbers/k1")
    assert_problem(await observe(api, attempt), 409, "claim-lost")
    assert (await show(api, attempt))["worker"] == "gpu-2"
    assert (await observe(api, adopted[0])).status_code == 200


async def test_so_are_those_of_one_that_is_gone(
    api: httpx.AsyncClient, attempt: dict[str, Any], clock: SettableClock
) -> None:
    await report_worker(api)
    await api.delete("/workers/w1")
    clock.advance(seconds=31)

    (adopted,) = await claim(api, **OTHER)

    assert (adopted["id"], adopted["claim"]) == (attempt["id"], 2)


@pytest.mark.parametrize(
    "change",
    [
        {"adopts": []},
        {"adopts": ["wandb"]},
        {"queue": "gpu"},
        {"count": 0},
    ],
)
async def test_only_whoever_can_go_on_with_them_gets_them(
    api: httpx.AsyncClient, attempt: dict[str, Any], clock: SettableClock, change: dict[str, Any]
) -> None:
    await api.patch("/studies/digits", json={"parallelism": 1})
    clock.advance(seconds=31)

    assert await claim(api, **OTHER | change) == []
    assert len(await claim(api, **OTHER)) == 1


async def test_a_worker_that_is_there_is_not_robbed(
    api: httpx.AsyncClient, attempt: dict[str, Any], clock: SettableClock
) -> None:
    await api.patch("/studies/digits", json={"parallelism": 1})
    clock.advance(seconds=60)
    await report_worker(api)

    assert await claim(api, **OTHER) == []
    assert (await observe(api, attempt)).status_code == 200
