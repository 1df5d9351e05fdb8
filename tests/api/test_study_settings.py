"""Budget, parallelism, leases and retries of a study: given, shown, changed."""

from typing import Any

import httpx
import pytest

from tests.api.problems import assert_problem, get_fields

SETTINGS: dict[str, Any] = {
    "budget": {
        "max_trials": 50,
        "max_seconds": 3600.5,
        "max_failures": 5,
        "target": 0.99,
        "patience": 20,
    },
    "parallelism": 8,
    "lease_seconds": 120.0,
    "retry": {"max_attempts": 2, "on": ["failed", "lost"], "mode": "resume"},
}
DEFAULTS: dict[str, Any] = {
    "budget": dict.fromkeys(SETTINGS["budget"]),
    "parallelism": None,
    "lease_seconds": 3600,
    "retry": {"max_attempts": 3, "on": ["lost", "preempted"], "mode": "restart"},
}
UNLIMITED: dict[str, Any] = {
    "budget": dict.fromkeys(SETTINGS["budget"]),
    "parallelism": None,
    "lease_seconds": None,
    "retry": {"max_attempts": 1, "on": [], "mode": "restart"},
}
STUDY = {"name": "digits", "direction": "maximize", "sampler": {"type": "RandomSampler"}}


async def create(api: httpx.AsyncClient, **settings: Any) -> httpx.Response:
    return await api.post("/studies", json={**STUDY, **settings})


def pick_settings(document: dict[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in SETTINGS}


async def test_stores_settings(api: httpx.AsyncClient) -> None:
    created = await create(api, **SETTINGS)

    assert created.status_code == 201, created.text
    assert pick_settings(created.json()) == SETTINGS
    assert (await api.get("/studies/digits")).json() == created.json()


async def test_has_defaults(api: httpx.AsyncClient) -> None:
    assert pick_settings((await create(api)).json()) == DEFAULTS
    part = await api.post(
        "/studies", json={**STUDY, "name": "part", "retry": {"max_attempts": 1}, "budget": {}}
    )
    retry = {**DEFAULTS["retry"], "max_attempts": 1}
    assert pick_settings(part.json()) == {**DEFAULTS, "retry": retry}


async def test_everything_can_be_without_limits(api: httpx.AsyncClient) -> None:
    created = await create(api, **dict.fromkeys(SETTINGS))

    assert pick_settings(created.json()) == UNLIMITED


async def test_shows_progress(api: httpx.AsyncClient) -> None:
    await create(api, budget={"max_trials": 2})
    assert (await api.get("/studies/digits")).json()["progress"] == {"started": 0, "max_trials": 2}
    await api.post("/studies/digits/ask", json={"count": 2})

    (listed,) = (await api.get("/studies")).json()["studies"]

    assert listed["progress"] == {"started": 2, "max_trials": 2}
    assert (listed["state"], listed["stop_reason"]) == ("stopping", "max_trials")
    for number in range(2):
        await api.post(f"/studies/digits/trials/{number}/tell", json={"state": "FAIL"})
    shown = (await api.get("/studies/digits")).json()
    assert (shown["state"], shown["stop_reason"]) == ("finished", "max_trials")


BAD_SETTINGS = [
    ({"budget": {"max_trials": 0}}, "budget.max_trials", "1"),
    ({"budget": {"max_trials": 2.5}}, "budget.max_trials", "integer"),
    ({"budget": {"max_trial": 5}}, "budget.max_trial", '"max_trials"'),
    ({"budget": {"max_seconds": 0.9}}, "budget.max_seconds", "1"),
    ({"budget": {"max_seconds": 1e300}}, "budget.max_seconds", "less"),
    ({"budget": {"max_failures": True}}, "budget.max_failures", "integer"),
    ({"budget": {"target": "Infinity"}}, "budget.target", "number"),
    ({"budget": {"patience": 2**40}}, "budget.patience", "less"),
    ({"budget": 5}, "budget", "dictionary"),
    ({"parallelism": 0}, "parallelism", "1"),
    ({"lease_seconds": 0.5}, "lease_seconds", "1"),
    ({"lease_seconds": "1h"}, "lease_seconds", "number"),
    ({"retry": {"max_attempts": 0}}, "retry.max_attempts", "1"),
    ({"retry": {"on": ["crashed"]}}, "retry.on.0", "preempted"),
    ({"retry": {"mode": "again"}}, "retry.mode", "resume"),
]


async def test_refuses_bad_settings(api: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for settings, field, words in BAD_SETTINGS:
        with subtests.test(settings=settings):
            problem = assert_problem(await create(api, **settings), 422, "invalid-request")

            assert get_fields(problem) == [field]
            assert words in problem["errors"][0]["message"]
            assert_problem(await api.get("/studies/digits"), 404, "study-not-found")


async def test_refuses_a_target_of_several_objectives(api: httpx.AsyncClient) -> None:
    objectives = [{"name": name, "direction": "minimize"} for name in ("a", "b")]
    body = {"name": "two", "objectives": objectives, "budget": {"target": 0.5}}

    problem = assert_problem(await api.post("/studies", json=body), 422, "invalid-settings")

    assert get_fields(problem) == ["budget.target"]


async def test_creates_once_by_key(api: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "create-1"}
    first = await api.post("/studies", json=STUDY, headers=key)
    again = await api.post("/studies", json=STUDY, headers=key)
    other = await api.post("/studies", json={**STUDY, "seed": 1}, headers=key)
    stranger = await api.post("/studies", json=STUDY, headers={"Idempotency-Key": "create-2"})

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert_problem(other, 422, "idempotency-key-reused")
    assert_problem(stranger, 409, "study-exists")


async def test_changes_settings(api: httpx.AsyncClient) -> None:
    await create(api, **SETTINGS)
    patch = {"budget": {"max_trials": 60, "target": None}, "retry": {"mode": "restart"}}

    changed = await api.patch("/studies/digits", json=patch)

    expected = {
        **SETTINGS,
        "budget": {**SETTINGS["budget"], "max_trials": 60, "target": None},
        "retry": {**SETTINGS["retry"], "mode": "restart"},
    }
    assert changed.status_code == 200, changed.text
    assert pick_settings(changed.json()) == expected
    assert (await api.get("/studies/digits")).json() == changed.json()


async def test_takes_limits_away(api: httpx.AsyncClient) -> None:
    await create(api, **SETTINGS)

    changed = await api.patch("/studies/digits", json=dict.fromkeys(SETTINGS))

    assert pick_settings(changed.json()) == UNLIMITED


async def test_changes_attributes(api: httpx.AsyncClient) -> None:
    await create(api, user_attrs={"owner": "Ada", "rack": 3})
    etag = (await api.get("/studies/digits")).headers["etag"]

    changed = await api.patch("/studies/digits", json={"user_attrs": {"rack": None, "tags": [1]}})

    assert changed.json()["user_attrs"] == {"owner": "Ada", "rack": None, "tags": [1]}
    seen = await api.get("/studies/digits", headers={"If-None-Match": etag})
    assert (seen.status_code, seen.json()) == (200, changed.json())


async def test_an_empty_change_changes_nothing(api: httpx.AsyncClient) -> None:
    created = (await create(api, **SETTINGS)).json()

    assert pick_settings((await api.patch("/studies/digits", json={})).json()) == SETTINGS
    assert created["user_attrs"] == {}


async def test_a_raised_budget_reopens_a_study(api: httpx.AsyncClient) -> None:
    await create(api, budget={"max_trials": 1})
    await api.post("/studies/digits/ask")
    assert_problem(await api.post("/studies/digits/ask"), 409, "study-finished")

    changed = await api.patch("/studies/digits", json={"budget": {"max_trials": 2}})

    assert (changed.json()["state"], changed.json()["stop_reason"]) == ("active", None)
    assert (await api.post("/studies/digits/ask")).status_code == 200


async def test_refuses_bad_changes(api: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    created = (await create(api, **SETTINGS)).json()
    for patch, field, words in [
        *BAD_SETTINGS,
        ({"seed": 3}, "seed", "cannot be changed"),
        ({"name": "other"}, "name", "parallelism"),
        ({"state": "paused"}, "state", "known are"),
        ({"paralelism": 3}, "paralelism", '"parallelism"'),
        ({"user_attrs": {"a": "b\0"}}, "user_attrs", "NUL"),
        ({"user_attrs": None}, "user_attrs", "dictionary"),
    ]:
        with subtests.test(patch=patch):
            response = await api.patch("/studies/digits", json=patch)

            problem = assert_problem(response, 422, "invalid-request")
            assert get_fields(problem) == [field]
            assert words in problem["errors"][0]["message"]
            assert (await api.get("/studies/digits")).json() == created


async def test_changes_no_study_that_is_not_there(api: httpx.AsyncClient) -> None:
    assert_problem(await api.patch("/studies/nobody", json={}), 404, "study-not-found")
