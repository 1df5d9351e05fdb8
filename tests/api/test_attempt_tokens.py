"""The token of an attempt speaks for that attempt, and not for long after its end."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from service.domain.scopes import AttemptClaims
from service.domain.tokens import Credentials
from service.engine.engine import Engine
from service.engine.expire import expire
from tests.api.conftest import TOKEN, SettableClock, open_client
from tests.api.problems import assert_problem
from tests.api.sweep_use import claim, create_sweep

TRIAL = "/studies/digits/trials/0"
LEASE_SECONDS = 120
DONE = {"state": "COMPLETE", "values": 0.5}
X = {"type": "float", "low": 0.0, "high": 1.0}


@pytest.fixture
async def attempt(api: httpx.AsyncClient) -> dict[str, Any]:
    """The first attempt of a sweep's first trial."""
    await create_sweep(api)
    (attempt,) = await claim(api)
    return attempt


@pytest.fixture
async def program(app: ASGIApp, attempt: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the attempt's token, as a launched program has it."""
    async with open_client(app, attempt["token"]) as client:
        yield client


async def lose(engine: Engine, clock: SettableClock) -> None:
    """Lets the lease of every attempt run out."""
    clock.advance(seconds=LEASE_SECONDS)
    await expire(await engine.get_actor("digits"))


async def test_it_lives_its_trials_life(program: httpx.AsyncClient) -> None:
    for route, body in (
        ("report", {"step": 0, "value": 0.5}),
        ("report", {"step": 1, "value": 0.5, "attempt": 1}),
        ("prune", {}),
        ("heartbeat", {}),
        ("tell", DONE),
    ):
        response = await program.post(f"{TRIAL}/{route}", json=body)
        assert response.status_code == 200, response.text
    assert response.json()["attempt"] == 1


async def test_it_chooses_parameters(app: ASGIApp, api: httpx.AsyncClient) -> None:
    await create_sweep(api, space=None)
    (attempt,) = await claim(api)

    async with open_client(app, attempt["token"]) as program:
        response = await program.post(f"{TRIAL}/suggest", json={"x": X})

    assert response.status_code == 200, response.text


async def test_it_looks_at_its_study(api: httpx.AsyncClient, program: httpx.AsyncClient) -> None:
    await claim(api, worker_id="w2")
    for path in ("", "/trials", "/trials/0", "/trials/1", "/pareto", "/export"):
        response = await program.get(f"/studies/digits{path}")
        assert response.status_code == 200, response.text


async def test_it_does_nothing_else(
    api: httpx.AsyncClient, attempt: dict[str, Any], program: httpx.AsyncClient
) -> None:
    await create_sweep(api, "other")
    await claim(api, 2)
    for method, path in (
        ("POST", "/studies/digits/trials/1/tell"),
        ("POST", "/studies/digits/trials/00/tell"),
        ("POST", "/studies/other/trials/0/tell"),
        ("POST", "/studies/digits/ask"),
        ("POST", "/studies/digits/tell"),
        ("POST", "/studies/digits/pause"),
        ("DELETE", "/studies/digits"),
        ("GET", "/studies/other"),
        ("GET", "/studies"),
        ("GET", "/sweeps/digits"),
        ("GET", "/tokens"),
        ("GET", "/metrics"),
        ("POST", "/attempts/claim"),
        ("POST", f"/attempts/{attempt['id']}/observe"),
    ):
        response = await program.request(method, path, json=DONE if method == "POST" else None)
        refused = assert_problem(response, 403, "scope-missing")
        assert "its own trial" in refused["detail"]


@pytest.mark.parametrize(
    ("route", "body"),
    [("report", {"step": 0, "value": 1}), ("prune", {}), ("heartbeat", {}), ("tell", DONE)],
)
async def test_it_speaks_for_no_other_attempt(
    program: httpx.AsyncClient, route: str, body: dict[str, Any]
) -> None:
    response = await program.post(f"{TRIAL}/{route}", json=body | {"attempt": 2})

    assert_problem(response, 403, "not-own-attempt")
    assert (await program.get(TRIAL)).json()["state"] == "RUNNING"


async def test_it_does_not_speak_for_its_successor(
    api: httpx.AsyncClient,
    app: ASGIApp,
    engine: Engine,
    clock: SettableClock,
    program: httpx.AsyncClient,
) -> None:
    await lose(engine, clock)
    (successor,) = await claim(api, worker_id="w2")
    assert (successor["trial"], successor["attempt"]) == (0, 2)

    for route, body in (
        ("report", {"step": 0, "value": 1}),
        ("prune", {}),
        ("heartbeat", {}),
        ("tell", DONE),
        ("suggest", {"x": X}),
    ):
        assert_problem(await program.post(f"{TRIAL}/{route}", json=body), 409, "lease-lost")
    assert (await program.get(TRIAL)).json()["attempt"] == 2
    async with open_client(app, successor["token"]) as second:
        assert (await second.post(f"{TRIAL}/tell", json=DONE)).status_code == 200


async def test_it_lasts_one_lease_time_beyond_its_attempt(
    api: httpx.AsyncClient, program: httpx.AsyncClient, clock: SettableClock
) -> None:
    assert (await program.post(f"{TRIAL}/tell", json=DONE)).status_code == 200

    clock.advance(seconds=LEASE_SECONDS - 1)
    repeated = await program.post(f"{TRIAL}/tell", json=DONE)
    assert repeated.status_code == 200, repeated.text
    other = await program.post(f"{TRIAL}/tell", json={"state": "FAIL"})
    assert_problem(other, 409, "already-told")
    assert (await program.get(TRIAL)).status_code == 200

    clock.advance(seconds=1)
    for response in (
        await program.post(f"{TRIAL}/tell", json=DONE),
        await program.post(f"{TRIAL}/heartbeat"),
        await program.get(TRIAL),
        await program.get("/studies/digits"),
    ):
        assert_problem(response, 403, "attempt-token-over")


async def test_it_ends_with_its_attempt_though_its_trial_goes_on(
    api: httpx.AsyncClient, engine: Engine, clock: SettableClock, program: httpx.AsyncClient
) -> None:
    await lose(engine, clock)
    await claim(api, worker_id="w2")
    clock.advance(seconds=LEASE_SECONDS - 1)
    assert (await program.get(TRIAL)).status_code == 200
    assert_problem(await program.post(f"{TRIAL}/heartbeat"), 409, "lease-lost")

    clock.advance(seconds=1)

    assert_problem(await program.get(TRIAL), 403, "attempt-token-over")
    assert_problem(await program.post(f"{TRIAL}/heartbeat"), 403, "attempt-token-over")


async def test_it_is_worthless_in_a_later_study_of_the_same_name(
    api: httpx.AsyncClient, program: httpx.AsyncClient
) -> None:
    assert (await api.delete("/studies/digits")).status_code == 204
    assert_problem(await program.get(TRIAL), 404, "study-not-found")
    await create_sweep(api)
    await claim(api)

    for response in (
        await program.post(f"{TRIAL}/tell", json=DONE),
        await program.get(TRIAL),
        await program.get("/studies/digits"),
    ):
        assert_problem(response, 403, "attempt-token-over")
    assert (await api.get(TRIAL)).json()["state"] == "RUNNING"


async def test_it_is_for_attempts_that_workers_have(
    api: httpx.AsyncClient, app: ASGIApp, study: str, engine: Engine
) -> None:
    await api.post(f"{study}/ask")
    study_id = (await engine.get_actor("digits")).study_id
    for number in (1, 7):
        claims = AttemptClaims("digits", study_id, number, 1)
        token = Credentials.from_token(TOKEN).mint_attempt_token(claims)
        async with open_client(app, token) as program:
            refused = await program.get(f"{study}/trials/0")
        assert_problem(refused, 403, "attempt-token-over")


async def test_a_server_with_another_token_does_not_know_it(
    app: ASGIApp, attempt: dict[str, Any], engine: Engine
) -> None:
    study_id = (await engine.get_actor("digits")).study_id
    claims = AttemptClaims("digits", study_id, 0, 1)
    assert Credentials.from_token(TOKEN).mint_attempt_token(claims) == attempt["token"]

    forged = Credentials.from_token("another-token").mint_attempt_token(claims)

    async with open_client(app, forged) as program:
        assert_problem(await program.get(TRIAL), 401, "not-authenticated")
