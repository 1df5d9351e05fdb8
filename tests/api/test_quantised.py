"""Parameters that are read: Optuna keeps what was drawn, everybody else sees the value."""

import asyncio
import csv
import io
import json
from typing import Any

import httpx
import psycopg
import pytest

from service.engine.replay import replay_study
from service.storage.database import Database
from tests.api.problems import assert_problem

LATTICE = {0, 5, 10}
SPACE: dict[str, Any] = {
    "x": {"type": "float", "low": 1, "high": 10, "quantum": 5},
    "opt": {"rate": {"type": "float", "low": 0, "high": 1, "quantum": 0.25}},
    "extra": {"type": "int", "low": 1, "high": 3, "when": {"x": [10]}},
}
READ: dict[str, Any] = {
    "noise": {"type": "normal"},
    "net": {"type": "categorical", "choices": [[8, 8], {"deep": [{}]}, {"deep": [{}]}]},
    "kind": {"type": "categorical", "choices": ["a", "b"], "probabilities": [0.1, 0.9]},
    "extra": {"type": "int", "low": 1, "high": 2, "when": {"net": [{"deep": [{}]}]}},
}
STUDY = {"name": "q", "direction": "minimize", "space": SPACE, "seed": 7}


@pytest.fixture
async def study(api: httpx.AsyncClient) -> str:
    response = await api.post("/studies", json=STUDY)
    assert response.status_code == 201, response.text
    return "/studies/q"


async def test_every_view_shows_the_multiple(api: httpx.AsyncClient, study: str) -> None:
    asked = (await api.post(f"{study}/ask", json={"count": 12})).json()["trials"]
    told = [
        (await api.post(f"{study}/trials/{n}/tell", json={"state": "COMPLETE", "values": n})).json()
        for n in range(12)
    ]

    listed = (await api.get(f"{study}/trials")).json()["trials"]
    exported = (await api.get(f"{study}/export?format=csv")).text
    best = (await api.get(f"{study}/best")).json()
    seen = [each["params"]["x"] for each in asked]
    assert set(seen) == LATTICE
    assert all(isinstance(value, int) for value in seen)
    for each, end, row in zip(asked, told, listed, strict=True):
        assert ("extra" in each["params"]) == (each["params"]["x"] == 10)
        flat = {**each["params"], "opt.rate": each["params"]["opt"]["rate"]}
        del flat["opt"]
        assert end["params"] == row["params"] == flat
    rows = list(csv.DictReader(io.StringIO(exported)))
    assert [int(row["params_x"]) for row in rows] == seen
    assert best["params"] == listed[0]["params"]


async def test_optuna_keeps_what_was_drawn_and_replay_derives_it(
    api: httpx.AsyncClient, study: str, database: Database
) -> None:
    await api.post(f"{study}/enqueue", json={"params": {"x": 0}})
    await api.post(f"{study}/ask", json={"count": 8})

    with psycopg.connect(database.plain_conninfo) as connection:
        query = "SELECT param_value FROM trial_params WHERE param_name = 'x' ORDER BY param_id"
        kept = [value for (value,) in connection.execute(query)]
    replayed = await asyncio.to_thread(replay_study, database, "q")
    assert kept[0] == 1.0
    assert set(kept) - LATTICE
    assert all(1 <= value <= 10 for value in kept)
    assert (replayed.n_trials, replayed.difference) == (8, None)


async def test_takes_multiples_for_values(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/enqueue", json={"params": {"x": 10, "extra": 2}})
    await api.post(f"{study}/enqueue", json={"params": {"opt": {"rate": 0.75}}})
    finished = {"state": "COMPLETE", "values": 1, "params": {"x": 0, "opt.rate": 1}}
    imported = await api.post(f"{study}/trials", json={"trials": [finished]})
    fixed = await api.post(f"{study}/ask", json={"params": {"x": 0}})
    first, second = (await api.post(f"{study}/ask", json={"count": 2})).json()["trials"]

    assert imported.status_code == 201, imported.text
    assert fixed.json()["trials"][0]["params"]["x"] == 0
    assert (first["params"]["x"], first["params"]["extra"]) == (10, 2)
    assert second["params"]["opt"]["rate"] == 0.75
    params = (await api.get(f"{study}/trials/2")).json()["params"]
    assert params == {"x": 0, "opt.rate": 1.0}


async def test_a_further_attempt_gets_the_same_multiple(api: httpx.AsyncClient, study: str) -> None:
    await api.patch(study, json={"retry": {"on": ["failed"]}})
    (first,) = (await api.post(f"{study}/ask", json={})).json()["trials"]
    await api.post(f"{study}/trials/0/tell", json={"state": "FAIL"})
    (second,) = (await api.post(f"{study}/ask", json={})).json()["trials"]

    assert (second["number"], second["attempt"]) == (0, 2)
    assert second["params"] == first["params"]


async def test_refuses_what_is_no_multiple(api: httpx.AsyncClient, study: str) -> None:
    for params, message in [
        ({"x": 3}, "3 is not a multiple of 5."),
        ({"x": 15}, "15 is outside the range 0 to 10."),
        ({"x": 5, "extra": 1}, 'This is used only when "x" is 10; it is 5.'),
    ]:
        response = await api.post(f"{study}/ask", json={"params": params})

        problem = assert_problem(response, 422, "invalid-params")
        assert [error["message"] for error in problem["errors"]] == [message]


async def test_a_quantum_is_of_a_study_not_of_an_ask(api: httpx.AsyncClient) -> None:
    await api.post("/studies", json={"name": "free", "direction": "minimize"})

    for entry in (SPACE["x"], *READ.values()):
        own = {"distributions": {"x": entry}}
        assert_problem(await api.post("/studies/free/ask", json=own), 422, "invalid-space")
        await api.post("/studies/free/ask", json={})
        suggested = await api.post("/studies/free/trials/0/suggest", json={"x": entry})
        assert_problem(suggested, 422, "invalid-space")


async def test_every_view_shows_values_of_laws_and_choices(
    api: httpx.AsyncClient, database: Database
) -> None:
    await api.post("/studies", json={**STUDY, "name": "r", "space": READ})
    given = {"noise": -0.3, "net": {"deep": [{}]}, "kind": "b", "extra": 2}
    finished = {"state": "COMPLETE", "values": -1, "params": given}
    imported = await api.post("/studies/r/trials", json={"trials": [finished]})
    enqueued = await api.post("/studies/r/enqueue", json={"params": {"net": [8, 8], "noise": 1}})
    assert imported.status_code == enqueued.status_code == 201, imported.text

    fixed = await api.post("/studies/r/ask", json={"params": {"net": {"deep": [{}]}, "kind": "a"}})
    asked = fixed.json()["trials"]
    asked += (await api.post("/studies/r/ask", json={"count": 30})).json()["trials"]
    by_number = {each["number"]: each["params"] for each in asked}
    listed = (await api.get("/studies/r/trials?limit=100")).json()["trials"]
    assert [row["params"] for row in listed] == [given, *(by_number[n] for n in range(1, 32))]
    assert (by_number[1]["noise"], by_number[1]["net"]) == (1.0, [8, 8])
    assert (by_number[2]["kind"], by_number[2]["net"]) == ("a", {"deep": [{}]})
    assert all(("extra" in params) == (params["net"] != [8, 8]) for params in by_number.values())
    kinds = [params["kind"] for params in by_number.values()]
    assert kinds.count("b") > kinds.count("a") > 0
    assert min(params["noise"] for params in by_number.values()) < -0.5

    best = (await api.get("/studies/r/best")).json()
    rows = list(csv.DictReader(io.StringIO((await api.get("/studies/r/export?format=csv")).text)))
    assert best["params"] == given
    assert [json.loads(row["params_net"]) for row in rows] == [
        row["params"]["net"] for row in listed
    ]
    assert [float(row["params_noise"]) for row in rows] == [
        row["params"]["noise"] for row in listed
    ]
    told = await api.post("/studies/r/trials/1/tell", json={"state": "COMPLETE", "values": 1})
    assert told.json()["params"] == by_number[1]
    replayed = await asyncio.to_thread(replay_study, database, "r")
    assert (replayed.n_trials, replayed.difference) == (31, None)


async def test_refuses_what_a_law_or_choice_never_gives(api: httpx.AsyncClient) -> None:
    await api.post("/studies", json={**STUDY, "name": "r", "space": READ})
    params = {"noise": 99, "net": [8], "kind": "c", "extra": 3}

    problem = assert_problem(
        await api.post("/studies/r/ask", json={"params": params}), 422, "invalid-params"
    )
    assert [error["field"] for error in problem["errors"]] == ["noise", "net", "kind", "extra"]
