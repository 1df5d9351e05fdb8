"""Ask, suggest, report, prune, tell, and looking at trials."""

from typing import Any

import httpx
import pytest

from tests.api.problems import assert_problem, get_fields

BIG_STEP = 2**31


@pytest.fixture
async def trial(api: httpx.AsyncClient, study: str) -> str:
    number = (await api.post(f"{study}/ask")).json()["trials"][0]["number"]
    return f"{study}/trials/{number}"


async def tell(api: httpx.AsyncClient, trial: str, **outcome: Any) -> httpx.Response:
    return await api.post(f"{trial}/tell", json=outcome)


async def test_asks_for_one_trial(api: httpx.AsyncClient, study: str) -> None:
    response = await api.post(f"{study}/ask")

    (asked,) = response.json()["trials"]
    assert (asked["number"], asked["attempt"]) == (0, 1)
    assert set(asked["params"]) == {"lr", "layers", "optimizer"}
    shown = (await api.get(f"{study}/trials/0")).json()
    assert shown["params"] == asked["params"]
    assert shown["state"] == "RUNNING"
    assert shown["started_at"].endswith("Z")


async def test_asks_for_many_trials(api: httpx.AsyncClient, study: str) -> None:
    response = await api.post(f"{study}/ask", json={"count": 3, "client_id": "gpu-1"})

    assert [asked["number"] for asked in response.json()["trials"]] == [0, 1, 2]


async def test_asks_with_fixed_params(api: httpx.AsyncClient, study: str) -> None:
    response = await api.post(f"{study}/ask", json={"params": {"layers": 3}})

    assert response.json()["trials"][0]["params"]["layers"] == 3


async def test_asks_with_distributions_of_its_own(api: httpx.AsyncClient, study: str) -> None:
    await api.post("/studies", json={"name": "free", "direction": "minimize"})
    body = {
        "distributions": {"x": {"type": "int", "low": 0, "high": 9}, "nested": {"constant": 5}},
        "params": {"x": 7},
    }

    asked = await api.post("/studies/free/ask", json=body)

    assert asked.json()["trials"][0]["params"] == {"x": 7, "nested": {"constant": 5}}
    assert (await api.get("/studies/free/trials/0")).json()["params"] == {"x": 7}
    other = {"distributions": {"x": {"type": "float", "low": 0, "high": 9}}}
    assert_problem(
        await api.post("/studies/free/trials/0/suggest", json=other["distributions"]),
        422,
        "invalid-params",
    )
    malformed = {"distributions": {"x": {"type": "int", "low": 0}}}
    assert_problem(await api.post("/studies/free/ask", json=malformed), 422, "invalid-space")
    assert_problem(await api.post(f"{study}/ask", json=body), 422, "invalid-space")


async def test_repeats_an_ask_with_the_same_key(api: httpx.AsyncClient, study: str) -> None:
    key = {"Idempotency-Key": "ask-1"}
    first = await api.post(f"{study}/ask", json={"count": 2}, headers=key)
    again = await api.post(f"{study}/ask", json={"count": 2}, headers=key)
    other = await api.post(f"{study}/ask", json={"count": 3}, headers=key)

    assert again.json() == first.json()
    assert_problem(other, 422, "idempotency-key-reused")
    assert (await api.get(study)).json()["counts"]["total"] == 2


async def test_refuses_bad_asks(
    api: httpx.AsyncClient, study: str, subtests: pytest.Subtests
) -> None:
    for body, field in [
        ({"count": 0}, "count"),
        ({"count": 1001}, "count"),
        ({"count": True}, "count"),
        ({"count": "3"}, "count"),
        ({"cuont": 3}, "cuont"),
        ({"client_id": "a\0"}, "client_id"),
        ({"params": [1]}, "params"),
        ([], "body"),
    ]:
        with subtests.test(body=body):
            problem = assert_problem(
                await api.post(f"{study}/ask", json=body), 422, "invalid-request"
            )

            assert get_fields(problem) == [field]
            assert (await api.get(study)).json()["counts"]["total"] == 0


async def test_refuses_bad_params(
    api: httpx.AsyncClient, study: str, subtests: pytest.Subtests
) -> None:
    for params in [{"lrr": 0.1}, {"layers": 9}, {"layers": "3"}, {"lr": True}]:
        with subtests.test(params=params):
            response = await api.post(f"{study}/ask", json={"params": params})

            assert_problem(response, 422, "invalid-params")
            assert (await api.get(study)).json()["counts"]["total"] == 0


async def test_refuses_bad_keys(
    api: httpx.AsyncClient, study: str, subtests: pytest.Subtests
) -> None:
    for key in ["", "a b", "k" * 256]:
        with subtests.test(key=key):
            response = await api.post(f"{study}/ask", headers={"Idempotency-Key": key})

            assert get_fields(assert_problem(response, 422, "invalid-request")) == [
                "Idempotency-Key"
            ]


async def test_refuses_an_ask_of_a_finished_study(api: httpx.AsyncClient) -> None:
    body = {
        "name": "grid",
        "direction": "minimize",
        "space": {"x": {"type": "int", "low": 0, "high": 1}},
        "sampler": {"type": "GridSampler", "args": {"search_space": {"x": [0, 1]}}},
    }
    assert (await api.post("/studies", json=body)).status_code == 201
    for _ in range(2):
        (asked,) = (await api.post("/studies/grid/ask")).json()["trials"]
        trial = f"/studies/grid/trials/{asked['number']}"
        assert (await tell(api, trial, state="COMPLETE", values=1)).status_code == 200

    assert_problem(await api.post("/studies/grid/ask"), 409, "study-finished")
    assert (await api.get("/studies/grid")).json()["state"] == "finished"


async def test_suggests_while_a_trial_runs(api: httpx.AsyncClient) -> None:
    await api.post("/studies", json={"name": "free", "direction": "minimize"})
    await api.post("/studies/free/ask")
    distributions = {
        "x": {"type": "float", "low": 0, "high": 1},
        "kind": {"type": "categorical", "choices": ["a", "b"]},
    }

    first = await api.post("/studies/free/trials/0/suggest", json=distributions)
    again = await api.post("/studies/free/trials/0/suggest", json=distributions)
    bad = await api.post("/studies/free/trials/0/suggest", json={"x": {"type": "float"}})

    assert first.status_code == 200, first.text
    assert set(first.json()["params"]) == {"x", "kind"}
    assert again.json() == first.json()
    assert bad.status_code == 422
    missing = await api.post("/studies/free/trials/1/suggest", json=distributions)
    assert_problem(missing, 404, "trial-not-found")


async def test_reports_and_decides(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/ask", json={"count": 2})
    for step in range(3):
        good = await api.post(f"{study}/trials/0/report", json={"step": step, "value": 0.9})
        assert good.json()["should_prune"] is False
    await tell(api, f"{study}/trials/0", state="COMPLETE", values=0.9)

    bad = await api.post(f"{study}/trials/1/report", json={"step": 0, "value": 0.1})

    assert bad.json()["should_prune"] is True
    assert (await api.post(f"{study}/trials/1/prune")).json() == bad.json()
    assert (await api.get(f"{study}/trials/1")).json()["should_prune"] is True


async def test_reports_many_points(api: httpx.AsyncClient, trial: str) -> None:
    points = [
        {"step": 0, "value": 0.5},
        {"step": 1, "value": "NaN"},
        {"step": 2, "value": "-Infinity"},
    ]

    response = await api.post(f"{trial}/report", json={"points": points})

    assert response.status_code == 200, response.text
    assert (await api.get(trial)).json()["intermediate_values"] == points


async def test_refuses_bad_reports(
    api: httpx.AsyncClient, trial: str, subtests: pytest.Subtests
) -> None:
    for body, field in [
        ({"step": BIG_STEP, "value": 1}, "step"),
        ({"step": -1, "value": 1}, "step"),
        ({"step": True, "value": 1}, "step"),
        ({"step": 1.5, "value": 1}, "step"),
        ({"step": 1, "value": "nan"}, "value"),
        ({"step": 1, "value": True}, "value"),
        ({"step": 1, "value": None}, "body"),
        ({"step": 1}, "body"),
        ({}, "body"),
        ({"points": []}, "points"),
        ({"points": [{"step": 1, "vaule": 1, "value": 2}]}, "points.0.vaule"),
        ({"points": [{"step": 1, "value": 1}], "step": 2}, "body"),
        ({"points": [{"step": 1, "value": 1}] * 10_001}, "points"),
    ]:
        with subtests.test(body=body):
            problem = assert_problem(
                await api.post(f"{trial}/report", json=body), 422, "invalid-request"
            )

            assert get_fields(problem) == [field]
            assert (await api.get(trial)).json()["intermediate_values"] == []


async def test_refuses_a_number_beyond_floats(api: httpx.AsyncClient, trial: str) -> None:
    json = {"Content-Type": "application/json"}
    for body in (b'{"step": 1, "value": 1e999}', b'{"step": 1, "value": 1' + b"0" * 400 + b"}"):
        response = await api.post(f"{trial}/report", content=body, headers=json)
        problem = assert_problem(response, 422, "invalid-request")
        assert "Infinity" in problem["errors"][0]["message"]


async def test_refuses_a_report_after_the_end(api: httpx.AsyncClient, trial: str) -> None:
    await tell(api, trial, state="FAIL", reason="out of memory")

    late = await api.post(f"{trial}/report", json={"step": 1, "value": 1})

    assert_problem(late, 409, "trial-not-running")
    assert (await api.get(trial)).json()["reason"] == "out of memory"


async def test_refuses_a_report_with_several_objectives(api: httpx.AsyncClient) -> None:
    objectives = [{"name": name, "direction": "minimize"} for name in ("a", "b")]
    await api.post("/studies", json={"name": "two", "objectives": objectives})
    await api.post("/studies/two/ask")

    response = await api.post("/studies/two/trials/0/report", json={"step": 0, "value": 1})

    assert_problem(response, 422, "invalid-report")
    assert_problem(await api.get("/studies/two/best"), 404, "no-best-trial")


async def test_tells_a_result(api: httpx.AsyncClient, trial: str) -> None:
    response = await tell(api, trial, state="COMPLETE", values=0.5, user_attrs={"seconds": 3})

    told = response.json()
    assert response.status_code == 200, response.text
    assert (told["state"], told["values"], told["user_attrs"]) == (
        "COMPLETE",
        [0.5],
        {"seconds": 3},
    )
    assert told["finished_at"].endswith("Z")
    assert (await api.get(trial)).json() == told


async def test_tells_the_same_twice_and_never_another(api: httpx.AsyncClient, trial: str) -> None:
    first = await tell(api, trial, state="COMPLETE", values=[0.5])
    again = await tell(api, trial, state="COMPLETE", values=0.5)
    other = await tell(api, trial, state="COMPLETE", values=0.6)
    failed = await tell(api, trial, state="FAIL")

    assert (again.status_code, again.json()) == (200, first.json())
    assert_problem(other, 409, "already-told")
    assert_problem(failed, 409, "already-told")


async def test_stores_infinite_values(api: httpx.AsyncClient, trial: str) -> None:
    await tell(api, trial, state="COMPLETE", values="-Infinity")

    assert (await api.get(trial)).json()["values"] == ["-Infinity"]
    assert (await api.get("/studies/digits")).json()["best"] == {"number": 0, "value": "-Infinity"}


async def test_refuses_bad_outcomes(
    api: httpx.AsyncClient, trial: str, subtests: pytest.Subtests
) -> None:
    for outcome, code in [
        ({"state": "COMPLETE", "values": "NaN"}, "invalid-values"),
        ({"state": "COMPLETE", "values": [1, 2]}, "invalid-values"),
        ({"state": "COMPLETE", "values": []}, "invalid-values"),
        ({"state": "COMPLETE"}, "invalid-values"),
        ({"state": "COMPLETE", "values": True}, "invalid-request"),
        ({"state": "COMPLETE", "values": [[1]]}, "invalid-request"),
        ({"state": "RUNNING"}, "invalid-request"),
        ({"values": 1}, "invalid-request"),
        ({"state": "COMPLETE", "value": 1}, "invalid-request"),
        ({"state": "FAIL", "reason": "a\0"}, "invalid-request"),
        ({"state": "FAIL", "reason": "a" * 10_001}, "invalid-request"),
        ({"state": "FAIL", "constraints": 1}, "invalid-request"),
        ({"state": "FAIL", "constraints": {"memory": "NaN"}}, "invalid-request"),
        ({"state": "FAIL", "constraints": {"memory": "inf"}}, "invalid-request"),
        ({"state": "FAIL", "constraints": {"": 1}}, "invalid-request"),
        ({"state": "FAIL", "user_attrs": {"a": "b\0"}}, "invalid-request"),
        ({"state": "FAIL", "user_attrs": {"": 1}}, "invalid-request"),
    ]:
        with subtests.test(outcome=outcome):
            assert_problem(await tell(api, trial, **outcome), 422, code)

            assert (await api.get(trial)).json()["state"] == "RUNNING"


async def test_shows_the_best_trial(api: httpx.AsyncClient, study: str) -> None:
    assert_problem(await api.get(f"{study}/best"), 404, "no-best-trial")
    await api.post(f"{study}/ask", json={"count": 3})
    for number, value in enumerate((0.3, 0.9, 0.6)):
        await tell(api, f"{study}/trials/{number}", state="COMPLETE", values=value)

    best = (await api.get(f"{study}/best")).json()

    assert (best["number"], best["values"]) == (1, [0.9])
    assert (await api.get(study)).json()["best"] == {"number": 1, "value": 0.9}


async def test_knows_no_such_trial(api: httpx.AsyncClient, study: str) -> None:
    for response in (
        await api.get(f"{study}/trials/5"),
        await api.post(f"{study}/trials/5/report", json={"step": 0, "value": 1}),
        await api.post(f"{study}/trials/5/prune"),
        await api.post(f"{study}/trials/5/heartbeat"),
        await tell(api, f"{study}/trials/5", state="FAIL"),
    ):
        assert_problem(response, 404, "trial-not-found")
