"""Parameters with a quantum: Optuna keeps what was drawn, everybody else sees the multiple."""

import asyncio
import csv
import io
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
    own = {"distributions": {"x": SPACE["x"]}}

    assert_problem(await api.post("/studies/free/ask", json=own), 422, "invalid-space")
