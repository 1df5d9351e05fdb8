"""Sweeps that an outside system has for the runs of ours: who keeps them, and who follows whom."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.api.conftest import SPACE, SettableClock
from tests.api.problems import assert_problem
from tests.api.sweep_use import (
    WANDB_LAUNCH,
    WANDB_QUEUE_LAUNCH,
    claim,
    claim_mirrors,
    create_sweep,
    end,
    tell_mirror,
)

MADE = {"external_ref": "ada/numbers/k1", "url": "https://wandb.example/ada/numbers/sweeps/k1"}


@pytest.fixture
async def sweep(api: httpx.AsyncClient) -> dict[str, Any]:
    """One that wants a mirror, which the worker w1 keeps."""
    created: dict[str, Any] = await create_sweep(api, launch=WANDB_LAUNCH)
    assert len(await claim_mirrors(api)) == 1
    return created


@pytest.fixture
async def mirrored(api: httpx.AsyncClient, sweep: dict[str, Any]) -> dict[str, Any]:
    """One whose mirror is there, and runs as it does."""
    assert await set_state(api, seen="running", **MADE) is None
    return sweep


async def set_state(api: httpx.AsyncClient, **told: Any) -> str | None:
    """What the sweep outside is to be set to, after what its keeper says."""
    response = await tell_mirror(api, **told)
    assert response.status_code == 200, response.text
    answer: str | None = response.json()["set"]
    return answer


async def show(api: httpx.AsyncClient) -> Any:
    response = await api.get("/sweeps/digits")
    assert response.status_code == 200, response.text
    return response.json()["sweep"]


async def test_a_sweep_is_offered_with_all_that_a_mirror_needs(api: httpx.AsyncClient) -> None:
    created = await create_sweep(
        api,
        launch=WANDB_LAUNCH,
        user_attrs={"description": "Which digit?"},
    )

    (wanted,) = await claim_mirrors(api)

    launch = created["sweep"]["launch"]
    assert wanted == {
        "study": "digits",
        "sweep_id": created["sweep"]["id"],
        "executor": "wandb",
        "launch": {name: launch[name] for name in launch.keys() - {"executor", "queue"}},
        "description": "Which digit?",
        "objectives": [{"name": "accuracy", "direction": "maximize"}],
        "space": SPACE,
        "external_ref": None,
    }


async def test_only_what_wants_a_mirror_and_can_have_it_is_offered(api: httpx.AsyncClient) -> None:
    await create_sweep(api, "process")
    await create_sweep(api, "none", launch=WANDB_LAUNCH | {"sweep": False})
    await create_sweep(api, "remote", launch=WANDB_QUEUE_LAUNCH)
    await create_sweep(api, "elsewhere", launch=WANDB_LAUNCH | {"queue": "gpu"})
    await create_sweep(api, "local", launch=WANDB_LAUNCH)

    (local,) = await claim_mirrors(api, executors=["wandb", "process"])
    (elsewhere,) = await claim_mirrors(api, queue="gpu")
    (remote,) = await claim_mirrors(api, executors=["wandb-launch"])

    found = [each["study"] for each in (local, elsewhere, remote)]
    assert found == ["local", "elsewhere", "remote"]
    assert local["description"] is None


async def test_one_worker_keeps_a_mirror(
    api: httpx.AsyncClient, mirrored: dict[str, Any], clock: SettableClock
) -> None:
    clock.advance(seconds=50)
    assert await claim_mirrors(api, "w2") == []
    assert_problem(await tell_mirror(api, worker_id="w2"), 409, "claim-lost")
    await set_state(api, seen="running")
    clock.advance(seconds=50)
    assert await claim_mirrors(api, "w2") == []
    assert len(await claim_mirrors(api)) == 1

    clock.advance(seconds=61)
    (passed_on,) = await claim_mirrors(api, "w2")

    assert passed_on["external_ref"] == MADE["external_ref"]
    assert_problem(await tell_mirror(api, seen="paused"), 409, "claim-lost")
    assert (await show(api))["state"] == "active"


async def test_attempts_wait_for_the_mirror(api: httpx.AsyncClient, sweep: dict[str, Any]) -> None:
    waiting = asyncio.create_task(claim(api, executors=["wandb"], wait_seconds=60))
    await set_state(api, seen=None)
    assert await claim(api, worker_id="w2", executors=["wandb"]) == []

    await set_state(api, seen="running", **MADE)

    (attempt,) = await asyncio.wait_for(waiting, timeout=30)
    assert attempt["mirror_ref"] == MADE["external_ref"]


async def test_what_cannot_be_made_is_not_waited_for(
    api: httpx.AsyncClient, sweep: dict[str, Any]
) -> None:
    await set_state(api, problem="W&B does not answer.")

    (early,) = await claim(api, executors=["wandb"])
    assert early["mirror_ref"] is None
    assert (await show(api))["mirror"]["problem"] == "W&B does not answer."

    await set_state(api, seen="running", **MADE)
    (late,) = await claim(api, executors=["wandb"], held=[early["id"]])
    assert late["mirror_ref"] == MADE["external_ref"]
    assert (await show(api))["mirror"] == MADE | {"state": "running", "problem": None}


async def test_a_sweep_that_ends_without_a_mirror_says_so(
    api: httpx.AsyncClient, sweep: dict[str, Any]
) -> None:
    await api.post("/sweeps/digits/cancel")

    (listed,) = (await api.get("/sweeps")).json()["sweeps"]
    for shown in (await show(api), listed["sweep"]):
        assert shown["state"] == "cancelled"
        assert shown["mirror"]["external_ref"] is None
        assert shown["mirror"]["problem"] == (
            "There was no sweep in the outside system when this one ended."
        )


async def test_a_mirror_is_shown_as_soon_as_it_changes(
    api: httpx.AsyncClient, sweep: dict[str, Any]
) -> None:
    for told, name, value in (
        ({"problem": "W&B does not answer."}, "problem", "W&B does not answer."),
        (MADE, "url", MADE["url"]),
        ({"seen": "running"}, "state", "running"),
    ):
        for path in ("/sweeps", "/sweeps/digits"):
            known = {"If-None-Match": (await api.get(path)).headers["etag"]}
            assert (await api.get(path, headers=known)).status_code == 304
        one = {"If-None-Match": (await api.get("/sweeps/digits")).headers["etag"]}
        all_of_them = {"If-None-Match": (await api.get("/sweeps")).headers["etag"]}

        await set_state(api, **told)

        shown = await api.get("/sweeps/digits", headers=one)
        listed = await api.get("/sweeps", headers=all_of_them)
        assert shown.json()["sweep"]["mirror"][name] == value
        assert listed.json()["sweeps"][0]["sweep"]["mirror"][name] == value


@pytest.mark.parametrize(
    ("command", "wanted"),
    [("pause", "paused"), ("stop", "finished"), ("cancel", "cancelled")],
)
async def test_what_people_do_here_is_set_outside(
    api: httpx.AsyncClient, mirrored: dict[str, Any], command: str, wanted: str
) -> None:
    await api.post(f"/sweeps/digits/{command}")

    assert await set_state(api, seen="running") == wanted
    assert await set_state(api, seen="running") == wanted
    assert await set_state(api, seen=wanted) is None
    assert (await show(api))["mirror"]["state"] == wanted

    await api.post("/sweeps/digits/resume")
    assert await set_state(api, seen=wanted) == "running"
    assert (await show(api))["state"] == "active"


@pytest.mark.parametrize(
    ("seen", "state"),
    [("paused", "paused"), ("finished", "finished"), ("cancelled", "cancelled")],
)
async def test_what_people_do_outside_is_done_here(
    api: httpx.AsyncClient, mirrored: dict[str, Any], seen: str, state: str
) -> None:
    assert await set_state(api, seen=seen) is None
    assert await set_state(api, seen=seen) is None

    assert (await show(api))["state"] == state
    assert await claim(api, executors=["wandb"]) == []

    assert await set_state(api, seen="running") is None
    assert (await show(api))["state"] == "active"


async def test_what_is_cancelled_outside_is_ended(
    api: httpx.AsyncClient, mirrored: dict[str, Any]
) -> None:
    (attempt,) = await claim(api, executors=["wandb"])

    await set_state(api, seen="cancelled")

    body = {"claim": attempt["claim"], "state": "running"}
    seen = await api.post(f"/attempts/{attempt['id']}/observe", json=body)
    assert seen.json()["stop"] == "cancelled"


async def test_ours_holds_unless_the_other_is_over(
    api: httpx.AsyncClient, mirrored: dict[str, Any]
) -> None:
    await api.post("/sweeps/digits/pause")
    await set_state(api, seen="paused")
    await api.post("/sweeps/digits/resume")
    await set_state(api, seen="running")

    await api.post("/sweeps/digits/stop")
    assert await set_state(api, seen="paused") == "finished"
    await api.post("/sweeps/digits/resume")
    await set_state(api, seen="running")
    await api.post("/sweeps/digits/pause")
    assert await set_state(api, seen="cancelled") is None

    assert (await show(api))["state"] == "cancelled"


async def test_a_spent_sweep_is_not_resumed_from_outside(api: httpx.AsyncClient) -> None:
    await create_sweep(api, launch=WANDB_LAUNCH, budget={"max_trials": 1})
    await claim_mirrors(api)
    await set_state(api, seen="running", **MADE)
    (attempt,) = await claim(api, executors=["wandb"])
    await end(api, attempt)
    assert await set_state(api, seen="running") == "finished"
    assert await set_state(api, seen="finished") is None

    assert await set_state(api, seen="running") == "finished"
    assert (await show(api))["state"] == "finished"


async def test_both_over_nobody_keeps_them_until_resumed(
    api: httpx.AsyncClient, mirrored: dict[str, Any]
) -> None:
    await api.post("/sweeps/digits/cancel")
    assert len(await claim_mirrors(api)) == 1
    await set_state(api, seen="cancelled")
    assert await claim_mirrors(api) == []

    await api.post("/sweeps/digits/resume")

    assert len(await claim_mirrors(api)) == 1


async def test_what_ended_without_a_mirror_gets_none(
    api: httpx.AsyncClient, sweep: dict[str, Any]
) -> None:
    await set_state(api, problem="W&B does not answer.")
    await api.post("/sweeps/digits/stop")

    assert await claim_mirrors(api) == []
