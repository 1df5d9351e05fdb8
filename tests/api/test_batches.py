"""Many trials in one call: tell, enqueue, import."""

from typing import Any

import httpx
import pytest

from tests.api.problems import assert_problem, get_fields

IMPORTED: dict[str, Any] = {
    "state": "COMPLETE",
    "params": {"lr": 0.001, "layers": 2, "optimizer": "adam"},
    "values": 0.9,
    "intermediate_values": [{"step": 0, "value": 0.5}, {"step": 1, "value": "NaN"}],
    "user_attrs": {"from": "the cluster"},
    "constraints": {"memory": -1.5},
    "reason": None,
    "started_at": "2025-12-31T23:00:00.25Z",
    "finished_at": "2026-01-01T01:30:00+02:00",
}


async def count_trials(api: httpx.AsyncClient, study: str) -> int:
    return (await api.get(study)).json()["counts"]["total"]


async def test_tells_many_trials(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/ask", json={"count": 3})
    tells = [
        {"number": 0, "state": "COMPLETE", "values": 0.5},
        {"number": 2, "state": "FAIL", "reason": "out of memory"},
    ]

    told = await api.post(f"{study}/tell", json={"tells": tells})
    again = await api.post(f"{study}/tell", json={"tells": tells})

    assert told.status_code == 200, told.text
    trials = told.json()["trials"]
    assert [(each["number"], each["state"]) for each in trials] == [(0, "COMPLETE"), (2, "FAIL")]
    assert (again.status_code, again.json()) == (200, told.json())
    assert trials[1] == (await api.get(f"{study}/trials/2")).json()
    assert (await api.get(study)).json()["counts"]["running"] == 1


async def test_tells_all_or_nothing(
    api: httpx.AsyncClient, study: str, subtests: pytest.Subtests
) -> None:
    await api.post(f"{study}/ask", json={"count": 3})
    await api.post(f"{study}/trials/1/tell", json={"state": "FAIL"})
    good = {"number": 0, "state": "COMPLETE", "values": 0.5}
    before = (await api.get(study)).json()
    for bad, status, code in [
        ({"number": 1, "state": "COMPLETE", "values": 1}, 409, "already-told"),
        ({"number": 2, "state": "COMPLETE", "values": [1, 2]}, 422, "invalid-values"),
        ({"number": 5, "state": "FAIL"}, 404, "trial-not-found"),
        ({**good, "values": 0.6}, 409, "already-told"),
        ({"number": 2, "state": "RUNNING"}, 422, "invalid-request"),
    ]:
        with subtests.test(bad=bad):
            response = await api.post(f"{study}/tell", json={"tells": [good, bad]})

            assert_problem(response, status, code)
            assert (await api.get(study)).json() == before


async def test_refuses_bad_tells(
    api: httpx.AsyncClient, study: str, subtests: pytest.Subtests
) -> None:
    fail = {"number": 0, "state": "FAIL"}
    for body, field in [
        ({}, "tells"),
        ({"tells": []}, "tells"),
        ({"tells": [fail] * 1001}, "tells"),
        ({"tells": [{"state": "FAIL"}]}, "tells.0.number"),
        ({"tells": [{**fail, "number": 2**31}]}, "tells.0.number"),
        ({"tells": [{**fail, "raeson": "x"}]}, "tells.0.raeson"),
        ({"tells": [{**fail, "reason": "x" * 10_001}]}, "tells.0.reason"),
        ({"tells": [{**fail, "constraints": {"memory": "NaN"}}]}, "tells.0.constraints"),
        ({"tells": [{**fail, "constraints": [True]}]}, "tells.0.constraints"),
    ]:
        with subtests.test(field=field):
            problem = assert_problem(
                await api.post(f"{study}/tell", json=body), 422, "invalid-request"
            )

            assert get_fields(problem) == [field]


@pytest.mark.parametrize("state", ["PRUNED", "FAIL"])
async def test_a_trial_without_a_result_may_lack_constraints(
    api: httpx.AsyncClient, study: str, state: str
) -> None:
    """Its program may have ended before it came to all of them; that decides nothing for others."""
    told: list[dict[str, Any]] = [
        {"state": state, "constraints": {"memory": 1.0}},
        {"state": "COMPLETE", "values": 0.5, "constraints": {"memory": 1.0, "time": -1.0}},
        {"state": state, "constraints": {"time": 2.0}},
        {"state": state, "constraints": {"time": 2.0, "memory": -3.0}},
    ]
    for number, body in enumerate(told):
        await api.post(f"{study}/ask", json={})
        for _ in range(2):
            answer = await api.post(f"{study}/trials/{number}/tell", json=body)
            assert answer.status_code == 200, answer.text

    trials = (await api.get(f"{study}/trials")).json()["trials"]
    kept = [trial["constraints"] for trial in trials]
    assert kept == [None, told[1]["constraints"], None, told[3]["constraints"]]


async def test_keeps_constraints(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/ask", json={"count": 4})
    sent = ({}, {"memory": 2, "seconds": -0.5}, {"seconds": 0, "memory": -1}, None)
    for number, constraints in enumerate(sent):
        body = {"state": "COMPLETE", "values": number, "constraints": constraints}
        told = await api.post(f"{study}/trials/{number}/tell", json=body)
        assert told.status_code == 200, told.text
        assert told.json() == (await api.get(f"{study}/trials/{number}")).json()

    trials = (await api.get(f"{study}/trials")).json()["trials"]

    assert [trial["constraints"] for trial in trials] == [None, *sent[1:]]


async def test_keeps_infinite_constraints(api: httpx.AsyncClient, study: str) -> None:
    """As Optuna does; a model that did not fit into memory says so by one."""
    await api.post(f"{study}/ask", json={"count": 2})
    told = {"state": "COMPLETE", "values": 0.5, "constraints": {"memory": "-Infinity"}}
    many = {"number": 1, "state": "COMPLETE", "values": 0.9, "constraints": {"memory": "Infinity"}}
    one = await api.post(f"{study}/trials/0/tell", json=told)
    first = await api.post(f"{study}/tell", json={"tells": [many]})
    again = await api.post(f"{study}/tell", json={"tells": [many]})
    imported = [IMPORTED | {"constraints": {"memory": each}} for each in ("Infinity", 1e308)]
    await api.post(f"{study}/trials", json={"trials": imported})

    trials = (await api.get(f"{study}/trials")).json()["trials"]
    kept = [trial["constraints"]["memory"] for trial in trials]
    assert kept == ["-Infinity", "Infinity", "Infinity", 1e308]
    assert one.json() == trials[0]
    assert first.json()["trials"] == again.json()["trials"] == [trials[1]]
    assert [each["number"] for each in (await api.get(f"{study}/pareto")).json()["trials"]] == [0]
    assert (await api.get(f"{study}/best")).json() == trials[0]
    assert (await api.get(study)).json()["best"]["number"] == 0
    exported = (await api.get(f"{study}/export", params={"format": "json"})).json()
    assert exported["trials"] == trials


async def test_the_best_trial_satisfies_its_constraints(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/ask", json={"count": 3})
    for number, constraints in enumerate(([0, -1], [0.5, -1], [-1, 1])):
        body = {"state": "COMPLETE", "values": number, "constraints": constraints}
        told = await api.post(f"{study}/trials/{number}/tell", json=body)
        assert told.json()["constraints"] == {"0": constraints[0], "1": constraints[1]}

    assert (await api.get(f"{study}/best")).json()["number"] == 0


async def test_refuses_other_constraints(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/ask", json={"count": 2})
    outcome = {"state": "COMPLETE", "values": 1, "constraints": {"memory": 1}}
    await api.post(f"{study}/trials/0/tell", json=outcome)
    other = {**outcome, "constraints": {"seconds": 1}}

    assert_problem(await api.post(f"{study}/trials/1/tell", json=other), 422, "invalid-values")
    assert_problem(await api.post(f"{study}/trials/0/tell", json=other), 409, "already-told")
    again = await api.post(f"{study}/trials/0/tell", json=outcome)
    assert (again.status_code, again.json()["constraints"]) == (200, {"memory": 1})


async def test_enqueued_trials_are_asked_for_first(api: httpx.AsyncClient, study: str) -> None:
    one = await api.post(
        f"{study}/enqueue", json={"params": {"layers": 3}, "user_attrs": {"why": "the paper's"}}
    )
    many = await api.post(
        f"{study}/enqueue", json={"trials": [{"params": {"layers": 1}}, {"params": {"layers": 2}}]}
    )

    assert (one.status_code, one.json()) == (201, {"numbers": [0]})
    assert (many.status_code, many.json()) == (201, {"numbers": [1, 2]})
    waiting = (await api.get(f"{study}/trials/0")).json()
    assert (waiting["state"], waiting["phase"], waiting["attempt"]) == ("WAITING", "queued", 0)
    assert (waiting["user_attrs"], waiting["lease_expires_at"]) == ({"why": "the paper's"}, None)
    asked = (await api.post(f"{study}/ask", json={"count": 3})).json()["trials"]
    assert [(each["number"], each["params"]["layers"]) for each in asked] == [
        (0, 3),
        (1, 1),
        (2, 2),
    ]


async def test_enqueues_once_by_key(api: httpx.AsyncClient, study: str) -> None:
    key = {"Idempotency-Key": "enqueue-1"}
    body = {"params": {"layers": 3}}
    first = await api.post(f"{study}/enqueue", json=body, headers=key)
    again = await api.post(f"{study}/enqueue", json=body, headers=key)
    other = await api.post(f"{study}/enqueue", json={"params": {"layers": 2}}, headers=key)

    assert (again.status_code, again.json()) == (201, first.json())
    assert_problem(other, 422, "idempotency-key-reused")
    assert await count_trials(api, study) == 1


async def test_refuses_to_enqueue_nonsense(
    api: httpx.AsyncClient, study: str, subtests: pytest.Subtests
) -> None:
    for body, code in [
        ({}, "invalid-request"),
        ({"user_attrs": {}}, "invalid-request"),
        ({"params": {}, "trials": [{"params": {}}]}, "invalid-request"),
        ({"trials": []}, "invalid-request"),
        ({"trials": [{"params": {}}] * 1001}, "invalid-request"),
        ({"trials": [{"user_attrs": {}}]}, "invalid-request"),
        ({"params": {"layers": 9}}, "invalid-params"),
        ({"trials": [{"params": {}}, {"params": {"layrs": 1}}]}, "invalid-params"),
    ]:
        with subtests.test(body=body):
            assert_problem(await api.post(f"{study}/enqueue", json=body), 422, code)

            assert await count_trials(api, study) == 0


async def test_a_stopped_study_enqueues_nothing(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/stop")

    response = await api.post(f"{study}/enqueue", json={"params": {}})

    assert_problem(response, 409, "study-finished")


async def test_imports_finished_trials(api: httpx.AsyncClient, study: str) -> None:
    failed = {"state": "FAIL", "params": IMPORTED["params"], "reason": "out of memory"}

    imported = await api.post(f"{study}/trials", json={"trials": [IMPORTED, failed]})

    assert (imported.status_code, imported.json()) == (201, {"numbers": [0, 1]}), imported.text
    shown = (await api.get(f"{study}/trials/0")).json()
    expected = {
        **IMPORTED,
        "values": [0.9],
        "started_at": "2025-12-31T23:00:00.250000Z",
        "finished_at": "2025-12-31T23:30:00Z",
    }
    assert {name: shown[name] for name in expected} == expected
    assert (shown["phase"], shown["ask_seq"]) == ("ended", shown["tell_seq"])
    assert (await api.get(f"{study}/trials/1")).json()["reason"] == "out of memory"
    summary = (await api.get(study)).json()
    assert summary["best"] == {"number": 0, "value": 0.9}
    assert summary["progress"]["started"] == 0


async def test_imports_what_another_study_lists(api: httpx.AsyncClient) -> None:
    study = {"direction": "minimize"}
    for name in ("here", "there"):
        await api.post("/studies", json={"name": name, **study})
    distributions = {"x": {"type": "float", "low": 0, "high": 1}}
    await api.post("/studies/there/ask", json={"distributions": distributions})
    await api.post("/studies/there/trials/0/tell", json={"state": "COMPLETE", "values": 3})
    query = {"fields": ["state", "params", "values", "started_at", "finished_at"]}
    (listed,) = (await api.get("/studies/there/trials", params=query)).json()["trials"]
    del listed["number"]

    imported = await api.post(
        "/studies/here/trials", json={"trials": [{**listed, "distributions": distributions}]}
    )

    assert imported.status_code == 201, imported.text
    shown = (await api.get("/studies/here/trials/0")).json()
    assert {name: shown[name] for name in listed} == listed


async def test_imports_once_by_key(api: httpx.AsyncClient, study: str) -> None:
    key = {"Idempotency-Key": "import-1"}
    first = await api.post(f"{study}/trials", json={"trials": [IMPORTED]}, headers=key)
    again = await api.post(f"{study}/trials", json={"trials": [IMPORTED]}, headers=key)
    changed = {**IMPORTED, "values": 0.8}
    other = await api.post(f"{study}/trials", json={"trials": [changed]}, headers=key)

    assert (again.status_code, again.json()) == (201, first.json())
    assert_problem(other, 422, "idempotency-key-reused")
    assert await count_trials(api, study) == 1


async def test_refuses_bad_imports(
    api: httpx.AsyncClient, study: str, subtests: pytest.Subtests
) -> None:
    point = {"step": 1, "value": 1}
    for change, code, field in [
        ({"state": "RUNNING"}, "invalid-request", "trials.1.state"),
        ({"stat": "FAIL"}, "invalid-request", "trials.1.stat"),
        ({"started_at": "2026-01-01T00:00:00"}, "invalid-request", "trials.1.started_at"),
        ({"finished_at": 1767225600}, "invalid-request", "trials.1.finished_at"),
        ({"started_at": "0001-01-01T00:00:00+14:00"}, "invalid-request", "trials.1.started_at"),
        ({"finished_at": "2026-02-30T00:00:00Z"}, "invalid-request", "trials.1.finished_at"),
        ({"intermediate_values": [point, point]}, "invalid-request", "trials.1"),
        ({"user_attrs": {"a": "b\0"}}, "invalid-request", "trials.1.user_attrs"),
        ({"constraints": {"memory": "NaN"}}, "invalid-request", "trials.1.constraints"),
        ({"values": [1, 2]}, "invalid-values", None),
        ({"values": None}, "invalid-values", None),
        ({"params": {"lr": 0.001}}, "invalid-params", None),
        ({"params": {**IMPORTED["params"], "layers": 9}}, "invalid-params", None),
    ]:
        with subtests.test(change=change):
            body = {"trials": [IMPORTED, {**IMPORTED, **change}]}

            problem = assert_problem(await api.post(f"{study}/trials", json=body), 422, code)

            assert field is None or get_fields(problem) == [field]
            assert await count_trials(api, study) == 0


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("tell", {"tells": [{"number": 0, "state": "FAIL"}]}),
        ("enqueue", {"params": {}}),
        ("trials", {"trials": [IMPORTED]}),
    ],
)
async def test_knows_no_such_study(api: httpx.AsyncClient, call: str, body: dict[str, Any]) -> None:
    assert_problem(await api.post(f"/studies/nobody/{call}", json=body), 404, "study-not-found")
