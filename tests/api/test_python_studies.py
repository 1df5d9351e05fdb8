"""Studies that are made of their users' Python."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.domain.errors import CodeUnavailable
from service.domain.user_code import UserCode
from service.domain.workers import Worker
from service.engine.ask import Ask, ask
from service.engine.dispatch import WorkerClaim, claim_attempts
from service.engine.engine import Engine, open_engine
from service.engine.replay import replay_study
from service.engine.user_code import CodeRunner
from service.sandbox import Sandbox
from service.storage.database import Database
from tests.api.conftest import SettableClock
from tests.api.problems import assert_problem

BRANCHES = """
def objective(trial):
    kind = trial.suggest_categorical("kind", ["small", "large"])
    if kind == "small":
        trial.suggest_categorical("batch_size", [16, 32, 64])
    else:
        trial.suggest_categorical("batch_size", [64, 128, 256])
        trial.suggest_float("rate", 1e-5, 0.1, log=True)
    return 1.0
"""
BATCH_SIZES = {"small": {16, 32, 64}, "large": {64, 128, 256}}
TOLD = {"state": "COMPLETE", "values": 1.0}
OPTUNA_NAMES = """
def sampler():
    return optuna.samplers.NSGAIISampler(population_size=8, seed=5)

def pruner():
    return optuna.pruners.PatientPruner(optuna.pruners.MedianPruner(n_startup_trials=2), patience=1)

def objective(trial):
    trial.suggest_float("x", 0, 1)
"""
SEARCH_SPACE = """
def make(trial):
    width = trial.suggest_int("width", 1, 4)
    return {"width": width, "area": width * width, "net": {"depth": 3}}
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def build_study(source: str, **parts: Any) -> dict[str, Any]:
    python = {"source": source, **parts.pop("python", {})}
    return {"name": "p", "direction": "minimize", "seed": 7, "python": python, **parts}


async def create(api: httpx.AsyncClient, source: str, **parts: Any) -> dict[str, Any]:
    response = await api.post("/studies", json=build_study(source, **parts))
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


async def ask_for(api: httpx.AsyncClient, count: int, **parts: Any) -> list[dict[str, Any]]:
    response = await api.post("/studies/p/ask", json={"count": count, **parts})
    assert response.status_code == 200, response.text
    trials: list[dict[str, Any]] = response.json()["trials"]
    return trials


async def list_trials(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    trials: list[dict[str, Any]] = (await api.get("/studies/p/trials")).json()["trials"]
    return trials


async def test_a_name_with_other_choices_in_each_branch_is_one_parameter(
    api: httpx.AsyncClient, database: Database
) -> None:
    await create(api, BRANCHES)
    asked = await ask_for(api, 12)
    for trial in asked:
        await api.post(f"/studies/p/trials/{trial['number']}/tell", json=TOLD)

    params = [trial["params"] for trial in asked]
    assert {each["kind"] for each in params} == BATCH_SIZES.keys()
    for each in params:
        assert each["batch_size"] in BATCH_SIZES[each["kind"]]
        assert ("rate" in each) == (each["kind"] == "large")
    assert [trial["params"] for trial in await list_trials(api)] == params
    assert (await api.get("/studies/p/best")).json()["params"] == params[0]
    exported = (await api.get("/studies/p/export?format=csv")).text
    rows = list(csv.DictReader(io.StringIO(exported)))
    assert [int(row["params_batch_size"]) for row in rows] == [p["batch_size"] for p in params]
    assert [name for name in rows[0] if "batch_size" in name] == ["params_batch_size"]
    assert replay_study(database, "p").difference is None


async def test_a_further_attempt_gets_the_same_parameters(
    api: httpx.AsyncClient, clock: SettableClock
) -> None:
    await create(api, BRANCHES, lease_seconds=60)
    first = await ask_for(api, 6)
    clock.advance(seconds=61)
    again = await ask_for(api, 6)

    assert [each["attempt"] for each in again] == [2] * 6
    assert {t["number"]: t["params"] for t in again} == {t["number"]: t["params"] for t in first}


@pytest.mark.parametrize("kind", BATCH_SIZES)
async def test_a_value_is_fixed_under_the_declared_name(api: httpx.AsyncClient, kind: str) -> None:
    await create(api, BRANCHES)
    await ask_for(api, 4)
    wanted = {"kind": kind, "batch_size": 64}
    enqueued = await api.post("/studies/p/enqueue", json={"params": wanted})
    assert enqueued.status_code == 201, enqueued.text

    (from_queue,) = await ask_for(api, 1)
    (fixed,) = await ask_for(api, 1, params=wanted)

    for trial in (from_queue, fixed):
        assert {name: trial["params"][name] for name in wanted} == wanted


async def test_sampler_pruner_and_seed_come_from_the_code(api: httpx.AsyncClient) -> None:
    created = await create(api, OPTUNA_NAMES, seed=None)

    assert created["sampler"]["type"] == "NSGAIISampler"
    assert created["sampler"]["args"]["population_size"] == 8
    assert created["seed"] == 5
    assert created["pruner"]["type"] == "PatientPruner"
    assert created["pruner"]["args"]["wrapped_pruner"]["type"] == "MedianPruner"
    assert created["python"]["functions"] == {
        name: name for name in ("objective", "sampler", "pruner")
    }
    text = await api.get("/studies/p/python")
    assert text.text == OPTUNA_NAMES
    assert text.headers["content-type"].startswith("text/plain")


async def test_what_a_named_search_space_returns_is_what_a_trial_gets(
    api: httpx.AsyncClient, clock: SettableClock
) -> None:
    await create(api, SEARCH_SPACE, python={"search_space": "make"}, lease_seconds=60)
    (trial,) = await ask_for(api, 1)
    width = trial["params"]["width"]
    assert trial["params"] == {"width": width, "area": width**2, "net": {"depth": 3}}

    clock.advance(seconds=61)
    assert (await ask_for(api, 1))[0]["params"] == trial["params"]
    (listed,) = await list_trials(api)
    assert listed["params"] == {"width": width, "area": width**2, "net.depth": 3}


async def test_code_that_fails_fails_its_trial_and_no_more(api: httpx.AsyncClient) -> None:
    source = """
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    if trial.number == 1:
        raise ValueError("no second trial")
    trial.set_user_attr("half", x / 2)
"""
    await create(api, source, budget={"max_trials": 3})
    (first,) = await ask_for(api, 1)
    refused = await api.post("/studies/p/ask", json={})
    (third,) = await ask_for(api, 1)

    problem = assert_problem(refused, 409, "python-failed")
    assert "ValueError: no second trial" in problem["detail"]
    assert "Line 5" in problem["detail"]
    trials = await list_trials(api)
    assert [each["state"] for each in trials] == ["RUNNING", "FAIL", "RUNNING"]
    assert "no second trial" in trials[1]["reason"]
    assert trials[0]["user_attrs"] == {"half": first["params"]["x"] / 2}
    assert third["number"] == 2
    assert_problem(await api.post("/studies/p/ask", json={}), 409, "study-finished")


REFUSED = {
    "nothing": ("x = 1", {}, "invalid-python", "objective"),
    "syntax": ("def objective(trial:", {}, "invalid-python", "Line 1"),
    "missing": (BRANCHES, {"python": {"sampler": "walk"}}, "invalid-python", "walk"),
    "space": (
        BRANCHES,
        {"space": {"x": {"type": "float", "low": 0, "high": 1}}},
        "invalid-python",
        "space",
    ),
    "sampler": (OPTUNA_NAMES, {"sampler": {"type": "TPESampler"}}, "invalid-python", "sampler"),
    "directions": (
        'def study():\n    return optuna.create_study(direction="maximize")\n',
        {},
        "invalid-python",
        "maximize",
    ),
    "wrong": (
        "def sampler():\n    return optuna.samplers.NSGAIISampler(population_size=1)\n",
        {},
        "invalid-python",
        "population_size",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_code_that_cannot_be_a_study_is_refused(api: httpx.AsyncClient, name: str) -> None:
    source, parts, code, word = REFUSED[name]
    response = await api.post("/studies", json=build_study(source, **parts))

    assert word in assert_problem(response, 422, code)["detail"]
    assert (await api.get("/studies/p")).status_code == 404


async def test_a_study_that_declares_by_code_takes_no_other_space(api: httpx.AsyncClient) -> None:
    await create(api, BRANCHES)
    space = {"y": {"type": "float", "low": 0, "high": 1}}
    response = await api.post("/studies/p/ask", json={"distributions": space})
    assert_problem(response, 422, "invalid-space")


async def test_a_sandbox_that_is_gone_changes_nothing(
    api: httpx.AsyncClient, database: Database, clock: SettableClock
) -> None:
    await create(api, BRANCHES)
    with Sandbox() as other:
        pass
    async with open_engine(
        database,
        clock=clock,
        reap_every_seconds=None,
        code_runner=CodeRunner(other, may_be_uncontained=True),
    ) as engine:
        with pytest.raises(CodeUnavailable):
            await ask(await engine.get_actor("p"), Ask())
        with pytest.raises(CodeUnavailable):
            await engine.code_runner.read(UserCode(BRANCHES), "p", (), {})
    assert await list_trials(api) == []


async def test_a_study_without_python_has_none(api: httpx.AsyncClient) -> None:
    await api.post("/studies", json={"name": "p", "direction": "minimize"})
    assert (await api.get("/studies/p")).json()["python"] is None
    assert_problem(await api.get("/studies/p/python"), 404, "python-not-found")


async def test_true_and_one_are_not_the_same_choice(api: httpx.AsyncClient) -> None:
    source = """
def objective(trial):
    if trial.number % 2:
        trial.suggest_categorical("c", [False, True])
    else:
        trial.suggest_categorical("c", [0, 1])
"""
    await create(api, source, sampler={"type": "TPESampler", "args": {"n_startup_trials": 2}})
    for number in range(12):
        (trial,) = await ask_for(api, 1)
        assert isinstance(trial["params"]["c"], bool) == bool(number % 2)
        await api.post(f"/studies/p/trials/{number}/tell", json=TOLD)


async def test_a_batch_ends_with_the_first_failure(api: httpx.AsyncClient) -> None:
    await create(api, "def objective(trial):\n    1 / (3 - trial.number)\n")

    assert len(await ask_for(api, 50)) == 3

    assert [each["state"] for each in await list_trials(api)] == ["RUNNING"] * 3 + ["FAIL"]


@pytest.mark.parametrize(
    ("sampler", "problem"),
    [("RandomSampler(seed=[1, 2])", "seed"), ("TPESampler(seed=True)", "seed")],
)
async def test_the_seed_of_a_sampler_is_an_integer(
    api: httpx.AsyncClient, sampler: str, problem: str
) -> None:
    source = f"def sampler():\n    return optuna.samplers.{sampler}\n"
    response = await api.post("/studies", json=build_study(source, seed=None))
    assert problem in assert_problem(response, 422, "invalid-python")["detail"]


async def test_parameters_named_type_and_seed_are_just_that(api: httpx.AsyncClient) -> None:
    source = """
def sampler():
    fixed = {"type": "adam", "seed": 3}
    return optuna.samplers.PartialFixedSampler(fixed, optuna.samplers.RandomSampler(seed=1))
"""
    space = {
        "type": {"type": "categorical", "choices": ["adam", "sgd"]},
        "seed": {"type": "int", "low": 1, "high": 9},
    }
    await create(api, source, space=space)
    assert (await ask_for(api, 1))[0]["params"] == {"type": "adam", "seed": 3}


async def test_one_study_with_a_defect_does_not_keep_others_from_workers(
    api: httpx.AsyncClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = {"program": "train.py"}
    for name, source in (("bad", BRANCHES), ("good", BRANCHES)):
        body = build_study(source, name=name, launch=launch)
        response = await api.post("/sweeps", json=body)
        assert response.status_code == 201, response.text
    bad = await engine.get_actor("bad")

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(bad, "run_code", fail)
    command = WorkerClaim(Worker("w", "w", "here"), "default", ("process",), 4)

    claimed = await claim_attempts(engine, command)

    assert {each.study for each in claimed.attempts} == {"good"}


async def test_an_optimizer_gets_the_sweep(api: httpx.AsyncClient) -> None:
    source = """
def make(sweep):
    goal = sweep.config["metric"]["goal"]
    return optuna.create_study(direction=goal, sampler=optuna.samplers.QMCSampler())
"""
    created = await create(api, source, python={"optimizer": "make"}, direction="maximize")
    assert created["sampler"]["type"] == "QMCSampler"


async def test_a_new_sweep_tells_what_of_its_code_nobody_follows(api: httpx.AsyncClient) -> None:
    source = BRANCHES + OPTUNA_NAMES + "def study():\n    return optuna.create_study()\n"
    body = build_study(source, launch={"program": "train.py"})
    response = await api.post("/sweeps", json=body)

    assert response.status_code == 201, response.text
    assert "sampler() is not called: study() says sampler and pruner." in response.json()["notes"]
