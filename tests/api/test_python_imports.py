"""Trials from elsewhere in studies whose Python declares the parameters."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.sandbox import Sandbox
from tests.api.problems import assert_problem

BRANCHES = """
def objective(trial):
    kind = trial.suggest_categorical("kind", ["small", "large"])
    if kind == "small":
        trial.suggest_categorical("batch_size", [16, 32])
    else:
        trial.suggest_categorical("batch_size", [64, 128])
        trial.suggest_float("opt.rate", 0, 1)
    trial.set_user_attr("from", "code")
    trial.set_constraint("memory", -1.0)
"""
NAMED = """
def make(trial):
    width = trial.suggest_int("width", 1, 4)
    return {"width": width, "area": width * width, "net": {"depth": 3}}
"""
SMALL = {"type": "categorical", "choices": [16, 32]}
LARGE = {"type": "categorical", "choices": [64, 128]}
KEPT = "batch_size ∈ [64, 128]"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


async def create(api: httpx.AsyncClient, **python: Any) -> None:
    body = {"name": "p", "direction": "minimize", "seed": 7, "python": python}
    response = await api.post("/studies", json=body)
    assert response.status_code == 201, response.text


async def import_each(api: httpx.AsyncClient, *trials: dict[str, Any]) -> httpx.Response:
    documents = [{"state": "COMPLETE", "values": 1.0, **trial} for trial in trials]
    return await api.post("/studies/p/trials", json={"trials": documents})


async def list_trials(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    trials: list[dict[str, Any]] = (await api.get("/studies/p/trials")).json()["trials"]
    return trials


@pytest.mark.parametrize(("first", "name"), [(16, "batch_size"), (64, "batch_size"), (64, KEPT)])
async def test_each_set_of_choices_is_imported_by_the_public_name(
    api: httpx.AsyncClient, first: int, name: str
) -> None:
    await create(api, source=BRANCHES)
    trials = [
        {"params": {"batch_size": 16}, "distributions": {"batch_size": SMALL}},
        {"params": {name: 64}, "distributions": {name: LARGE}},
    ]
    imported = await import_each(api, *(trials if first == 16 else reversed(trials)))
    assert imported.status_code == 201, imported.text
    shown = [trial["params"]["batch_size"] for trial in await list_trials(api)]
    assert shown == [first, 80 - first]
    asked = (await api.post("/studies/p/ask", json={"count": 6})).json()["trials"]
    assert len(asked) == 6


async def test_the_code_takes_what_it_asks_for(api: httpx.AsyncClient) -> None:
    await create(api, source=BRANCHES)
    large = {"kind": "large", "batch_size": 64}
    small = {"kind": "small", "batch_size": 16}
    await api.post("/studies/p/ask", json={"params": small})
    imported = await import_each(
        api,
        {"params": {**large, "opt": {"rate": 1}, "epochs": 3}, "user_attrs": {"from": "elsewhere"}},
        {"params": {**small, "opt.rate": 0.5}, "constraints": {"memory": 2.0}},
        {"params": {}, "state": "FAIL", "values": None},
    )
    assert imported.status_code == 201, imported.text
    asked, *trials = await list_trials(api)
    assert asked["params"] == small
    assert [trial["params"] for trial in trials] == [{**large, "opt.rate": 1}, small, {}]
    assert [trial["user_attrs"].get("from") for trial in trials] == ["elsewhere", "code", None]
    assert [trial["constraints"] for trial in trials] == [
        {"memory": -1.0},
        {"memory": 2.0},
        None,
    ]


async def test_what_the_code_returns_is_what_an_imported_trial_shows(
    api: httpx.AsyncClient,
) -> None:
    await create(api, source=NAMED, search_space="make")
    imported = await import_each(api, {"params": {"width": 3, "area": 9, "net": {"depth": 3}}})
    assert imported.status_code == 201, imported.text
    (trial,) = await list_trials(api)
    assert trial["params"] == {"width": 3, "area": 9, "net.depth": 3}


@pytest.mark.parametrize(
    ("trial", "said"),
    [
        ({"params": {"kind": "small"}}, "batch_size: The study's Python asks for it"),
        ({"params": {"kind": "small", "batch_size": 64}}, "64 is not one of the choices: 16, 32"),
        ({"params": {"kind": "small", "a": {"b": 1}, "a.b": 2}}, "params.a.b: This is given twice"),
        ({"params": {"kind": "odd"}}, '"odd" is not one of the choices'),
        (
            {
                "params": {"batch_size": 16, KEPT: 64},
                "distributions": {"batch_size": SMALL, KEPT: LARGE},
            },
            "Two of the names are for one parameter",
        ),
    ],
)
async def test_a_trial_that_the_code_would_not_make_is_refused(
    api: httpx.AsyncClient, trial: dict[str, Any], said: str
) -> None:
    await create(api, source=BRANCHES)
    refused = await import_each(api, {"params": {"kind": "small", "batch_size": 16}}, trial)
    assert_problem(refused, 422, "invalid-params")
    assert said in refused.json()["detail"]
    assert await list_trials(api) == []


async def test_code_that_fails_for_a_trial_refuses_it(api: httpx.AsyncClient) -> None:
    await create(api, source='def objective(trial): 1 / trial.suggest_int("x", 0, 2)')
    refused = await import_each(api, {"params": {"x": 0}})
    assert_problem(refused, 422, "invalid-params")
    assert "ZeroDivisionError" in refused.json()["detail"]
