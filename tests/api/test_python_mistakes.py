"""Studies of users' Python: mistakes in it, and what it has to do with what clients send."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.sandbox import Sandbox
from tests.api.problems import assert_problem, get_fields

STUDY_OF_TWO = "def study(): return optuna.create_study(directions=['minimize', 'maximize']{})"
TWO = {
    "objectives": [{"name": n, "direction": d} for n, d in (("a", "minimize"), ("b", "maximize"))]
}
BRANCH = """
def objective(trial):
    if trial.suggest_categorical("kind", ["net", "line"]) == "net":
        trial.suggest_int("depth", 1, 8)
"""
DOUBLE = """
def space(trial):
    return {"y": 2 * trial.suggest_float("x", 0, 1)}
"""
ODD_ONE = """
def objective(trial):
    if trial.number == 1:
        raise ValueError("odd one")
"""
CONSTRAINED = """
def objective(trial):
    trial.set_constraint("c", trial.suggest_float("x", 1, 2))
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


async def create(api: httpx.AsyncClient, source: str, **parts: Any) -> httpx.Response:
    python = {"source": source, **parts.pop("python", {})}
    goal = {} if "objectives" in parts else {"direction": "minimize"}
    body = {"name": "p", "seed": 7, "python": python, **goal, **parts}
    return await api.post("/studies", json=body)


async def ask(api: httpx.AsyncClient, key: str | None = None, **body: Any) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.post("/studies/p/ask", json=body, headers=headers)


async def tell(api: httpx.AsyncClient, number: int, **parts: Any) -> httpx.Response:
    body = {"state": "COMPLETE", "values": 1.0, **parts}
    return await api.post(f"/studies/p/trials/{number}/tell", json=body)


async def list_trials(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    trials: list[dict[str, Any]] = (await api.get("/studies/p/trials")).json()["trials"]
    return trials


@pytest.mark.parametrize("pruner", ["", ", pruner=None", ", pruner=optuna.pruners.NopPruner()"])
async def test_the_pruner_of_a_study_with_several_objectives_does_not_count(
    api: httpx.AsyncClient, pruner: str
) -> None:
    created = await create(api, STUDY_OF_TWO.format(pruner), **TWO)

    assert created.status_code == 201, created.text
    assert created.json()["pruner"] is None


async def test_a_pruner_function_for_several_objectives_is_refused(api: httpx.AsyncClient) -> None:
    source = "def pruner(): return optuna.pruners.MedianPruner()"
    assert_problem(await create(api, source, **TWO), 422, "invalid-pruner")


@pytest.mark.parametrize(
    ("source", "python", "params", "unused"),
    [
        (BRANCH, {}, {"kind": "line", "zz": 1}, "zz"),
        (BRANCH, {}, {"kind": "line", "depth": 1}, "depth"),
        (DOUBLE, {"search_space": "space"}, {"y": 0.5}, "y"),
    ],
)
async def test_a_fixed_name_that_the_code_does_not_suggest_is_refused(
    api: httpx.AsyncClient, source: str, python: dict[str, Any], params: Any, unused: str
) -> None:
    await create(api, source, python=python)

    problem = assert_problem(await ask(api, params=params), 422, "invalid-params")

    assert get_fields(problem) == [f"params.{unused}"]
    assert await list_trials(api) == []
    await api.post("/studies/p/enqueue", json={"params": params})
    failed = assert_problem(await ask(api), 409, "python-failed")
    assert f"{unused} was fixed for this trial, but" in failed["detail"]


async def test_an_export_has_the_columns_that_trials_show(api: httpx.AsyncClient) -> None:
    await create(api, DOUBLE, python={"search_space": "space"})
    await ask(api, params={"x": 0.25})

    exported = (await api.get("/studies/p/export?format=csv")).text

    (row,) = csv.DictReader(io.StringIO(exported))
    assert {key: row[key] for key in row if key.startswith("params")} == {"params_y": "0.5"}


async def test_a_repeated_ask_gets_the_failure_of_its_trial_again(api: httpx.AsyncClient) -> None:
    await create(api, ODD_ONE)
    await ask(api)

    first, again = [await ask(api, "once") for _ in range(2)]

    for each in (first, again):
        assert "Trial 1 is FAIL" in assert_problem(each, 409, "python-failed")["detail"]
    assert [trial["state"] for trial in await list_trials(api)] == ["RUNNING", "FAIL"]


async def test_the_code_sees_the_study_as_it_is(api: httpx.AsyncClient) -> None:
    source = """
def objective(trial):
    study = trial.study
    assert study.study_name == "p" and study.metric_names == ["a", "b"]
    trial.set_user_attr("seen", study.user_attrs["z"])
"""
    created = await create(api, source, user_attrs={"z": 3}, **TWO)
    assert created.status_code == 201, created.text
    await ask(api)
    await api.patch("/studies/p", json={"user_attrs": {"z": 7}})
    await ask(api)

    assert [trial["user_attrs"]["seen"] for trial in await list_trials(api)] == [3, 7]


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("trial.set_user_attr('', 1)", "its name has 0 characters"),
        ("trial.set_user_attr('a', 'x' * 300_000)", "bytes"),
        ("trial.suggest_float('a ∈ b', 0, 1)", "must not contain '∈'"),
    ],
)
async def test_a_mistake_shows_when_the_study_is_made(
    api: httpx.AsyncClient, line: str, word: str
) -> None:
    response = await create(api, f"def objective(trial):\n    {line}\n")
    assert word in assert_problem(response, 422, "invalid-python")["detail"]


async def test_what_a_trial_is_told_adds_to_its_constraints(api: httpx.AsyncClient) -> None:
    await create(api, CONSTRAINED)
    asked = (await ask(api, count=4)).json()["trials"]
    x = [trial["params"]["x"] for trial in asked]

    told = [
        await tell(api, 1, constraints={"mine": -1}),
        await tell(api, 1, constraints={"mine": -1}),
        await tell(api, 0, constraints={"mine": 0, "c": -2}),
    ]
    refused = await tell(api, 2, constraints={"other": 1})
    (later,) = (await ask(api)).json()["trials"]
    await tell(api, later["number"], constraints={"mine": 3})

    assert [each.status_code for each in told] == [200, 200, 200]
    assert "c, mine" in assert_problem(refused, 422, "invalid-values")["detail"]
    assert [trial["constraints"] for trial in await list_trials(api)] == [
        {"c": -2.0, "mine": 0.0},
        {"c": x[1], "mine": -1.0},
        {"c": x[2]},
        {"c": x[3]},
        {"c": later["params"]["x"], "mine": 3.0},
    ]


async def test_other_python_of_the_same_name_is_said_to_be(api: httpx.AsyncClient) -> None:
    await create(api, BRANCH)
    other = await create(api, CONSTRAINED, if_exists="load")
    assert "a different python" in assert_problem(other, 409, "study-exists")["detail"]


async def test_a_study_of_other_directions_is_refused_with_both(api: httpx.AsyncClient) -> None:
    source = STUDY_OF_TWO.format("") + "\n" + BRANCH
    problem = assert_problem(await create(api, source), 422, "invalid-python")
    assert "directions minimize, maximize, but the objectives here have" in problem["detail"]
