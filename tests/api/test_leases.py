"""Leases, attempts and retries, as clients see them."""

from typing import Any

import httpx
import pytest

from service.engine.engine import Engine
from service.engine.expire import expire
from tests.api.conftest import SettableClock
from tests.api.problems import assert_problem, get_fields

ONE_HOUR = "2026-01-01T01:00:00Z"


@pytest.fixture
async def trial(api: httpx.AsyncClient, study: str) -> str:
    assert (await api.post(f"{study}/ask")).status_code == 200
    return f"{study}/trials/0"


async def lose(engine: Engine, clock: SettableClock) -> None:
    clock.advance(hours=1, seconds=1)
    await expire(await engine.get_actor("digits"))


async def ask(api: httpx.AsyncClient, study: str, **body: Any) -> dict[str, Any]:
    response = await api.post(f"{study}/ask", json=body)
    assert response.status_code == 200, response.text
    (asked,) = response.json()["trials"]
    return asked


async def test_a_trial_has_a_lease(api: httpx.AsyncClient, study: str) -> None:
    for body, expected in [
        ({}, ONE_HOUR),
        ({"lease_seconds": 1.5}, "2026-01-01T00:00:01.500000Z"),
        ({"lease_seconds": None}, None),
    ]:
        asked = await ask(api, study, **body)

        assert asked["lease_expires_at"] == expected
        shown = (await api.get(f"{study}/trials/{asked['number']}")).json()
        assert (shown["lease_expires_at"], shown["phase"]) == (expected, "live")


async def test_refuses_bad_leases(
    api: httpx.AsyncClient, study: str, subtests: pytest.Subtests
) -> None:
    for body in [
        {"lease_seconds": 0.9},
        {"lease_seconds": "study"},
        {"lease_seconds": 1e300},
        {"wait_seconds": 61},
        {"wait_seconds": -1},
        {"wait_seconds": None},
    ]:
        with subtests.test(body=body):
            response = await api.post(f"{study}/ask", json=body)

            assert get_fields(assert_problem(response, 422, "invalid-request")) == list(body)
            assert (await api.get(study)).json()["counts"]["total"] == 0


async def test_signs_of_life_renew_a_lease(
    api: httpx.AsyncClient, trial: str, clock: SettableClock
) -> None:
    clock.advance(minutes=40)
    beaten = await api.post(f"{trial}/heartbeat", json={"attempt": 1})
    clock.advance(minutes=40)
    reported = await api.post(f"{trial}/report", json={"step": 0, "value": 1, "attempt": 1})
    asked = await api.post(f"{trial}/prune")

    later = "2026-01-01T02:20:00Z"
    decision = {"should_prune": False, "lease_expires_at": later, "lease_seconds": 3600.0}
    assert beaten.json() == decision | {"lease_expires_at": "2026-01-01T01:40:00Z"}
    assert reported.json() == decision
    assert asked.json() == decision


async def test_an_attempt_keeps_the_lease_that_it_got(
    api: httpx.AsyncClient, study: str, clock: SettableClock
) -> None:
    await ask(api, study)
    await ask(api, study, lease_seconds=None)
    await api.patch(study, json={"lease_seconds": 5})

    kept = [(await api.post(f"{study}/trials/{number}/heartbeat")).json() for number in (0, 1)]
    await api.patch(study, json={"lease_seconds": None})
    again = [(await api.post(f"{study}/trials/{number}/heartbeat")).json() for number in (0, 1)]

    assert kept == again
    assert [each["lease_seconds"] for each in kept] == [3600.0, None]
    assert [each["lease_expires_at"] for each in kept] == [ONE_HOUR, None]


async def test_a_heartbeat_needs_no_body(api: httpx.AsyncClient, trial: str) -> None:
    assert (await api.post(f"{trial}/heartbeat")).json() == {
        "should_prune": False,
        "lease_expires_at": ONE_HOUR,
        "lease_seconds": 3600.0,
    }


async def test_a_lost_trial_gets_another_attempt(
    api: httpx.AsyncClient, study: str, trial: str, engine: Engine, clock: SettableClock
) -> None:
    params = (await api.get(trial)).json()["params"]
    await api.post(f"{trial}/report", json={"step": 7, "value": 0.5})

    await lose(engine, clock)

    queued = (await api.get(trial)).json()
    assert (queued["state"], queued["phase"], queued["attempt"]) == ("RUNNING", "queued", 1)
    again = await ask(api, study)
    assert (again["number"], again["attempt"], again["params"]) == (0, 2, params)
    assert (await api.get(trial)).json()["intermediate_values"] == []


async def test_an_older_attempt_is_sent_away(
    api: httpx.AsyncClient, study: str, trial: str, engine: Engine, clock: SettableClock
) -> None:
    await lose(engine, clock)
    await ask(api, study)

    for call, body in [
        ("report", {"step": 0, "value": 1}),
        ("prune", {}),
        ("heartbeat", {}),
        ("tell", {"state": "COMPLETE", "values": 1}),
    ]:
        late = await api.post(f"{trial}/{call}", json={**body, "attempt": 1})
        future = await api.post(f"{trial}/{call}", json={**body, "attempt": 3})
        assert_problem(late, 409, "lease-lost")
        assert_problem(future, 422, "invalid-request")
    told = await api.post(f"{trial}/tell", json={"state": "COMPLETE", "values": 1, "attempt": 2})
    assert (told.json()["state"], told.json()["phase"]) == ("COMPLETE", "ended")
    assert told.json()["lease_expires_at"] is None


async def test_refuses_bad_attempts(
    api: httpx.AsyncClient, trial: str, subtests: pytest.Subtests
) -> None:
    for call, body in [
        ("report", {"step": 0, "value": 1}),
        ("prune", {}),
        ("heartbeat", {}),
        ("tell", {"state": "FAIL"}),
    ]:
        for attempt in (0, -1, True, "1", 1.5):
            with subtests.test(call=call, attempt=attempt):
                response = await api.post(f"{trial}/{call}", json={**body, "attempt": attempt})

                problem = assert_problem(response, 422, "invalid-request")
                assert get_fields(problem) == ["attempt"]


async def test_no_heartbeat_after_the_end(api: httpx.AsyncClient, trial: str) -> None:
    await api.post(f"{trial}/tell", json={"state": "FAIL"})

    assert_problem(await api.post(f"{trial}/heartbeat"), 409, "trial-not-running")
    assert_problem(await api.post("/studies/digits/trials/5/heartbeat"), 404, "trial-not-found")


async def test_a_preempted_trial_is_tried_again(
    api: httpx.AsyncClient, study: str, trial: str
) -> None:
    told = await api.post(f"{trial}/tell", json={"state": "FAIL", "cause": "preempted"})

    assert (told.json()["state"], told.json()["phase"]) == ("RUNNING", "queued")
    again = await ask(api, study)
    assert (again["number"], again["attempt"]) == (0, 2)
    failed = await api.post(f"{trial}/tell", json={"state": "FAIL", "cause": "failed"})
    assert (failed.json()["state"], failed.json()["phase"]) == ("FAIL", "ended")


async def test_only_a_fail_has_a_cause(api: httpx.AsyncClient, trial: str) -> None:
    for outcome in [
        {"state": "PRUNED", "cause": "preempted"},
        {"state": "COMPLETE", "values": 1, "cause": "failed"},
        {"state": "FAIL", "cause": "lost"},
    ]:
        response = await api.post(f"{trial}/tell", json=outcome)

        assert_problem(response, 422, "invalid-request")
        assert (await api.get(trial)).json()["phase"] == "live"


async def test_expiry_of_the_last_attempt_leaves_room(
    api: httpx.AsyncClient, study: str, trial: str, engine: Engine, clock: SettableClock
) -> None:
    await api.patch(study, json={"parallelism": 1, "retry": {"max_attempts": 1}})

    await lose(engine, clock)

    assert (await api.get(trial)).json()["phase"] == "expired"
    assert (await ask(api, study))["number"] == 1
    late = await api.post(f"{trial}/tell", json={"state": "COMPLETE", "values": 1})
    assert (late.status_code, late.json()["phase"]) == (200, "ended")
