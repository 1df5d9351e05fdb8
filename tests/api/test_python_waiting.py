"""Trials that a user's `study()` or `optimizer()` has enqueued."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.engine.replay import replay_study
from service.sandbox import Sandbox
from service.storage.database import Database
from tests.api.problems import assert_problem

SPACE = {
    "x": {"type": "float", "low": 0, "high": 1},
    "n": {"type": "int", "low": 1, "high": 4},
}
LAUNCH = {"program": "train.py"}


def write_study(*enqueued: str, objective: str = "") -> str:
    """A file whose study has trials enqueued, by the arguments of `enqueue_trial`."""
    calls = "\n".join(f"    made.enqueue_trial({arguments})" for arguments in enqueued)
    return f"""
def study():
    made = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    made.set_user_attr("owner", "Ada")
    made.set_user_attr("large", 2**70)
{calls}
    return made
{objective}
"""


OBJECTIVE = """
def objective(trial):
    trial.suggest_float("x", 0, 1)
    trial.suggest_int("n", 1, 4)
    trial.set_user_attr("by", [trial.study.user_attrs["owner"], 2**60])
"""
BOTH = ("{'x': 0.25, 'n': 2}", "{'n': 4}, user_attrs={'why': 'large'}")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


async def create(api: httpx.AsyncClient, kind: str, source: str, **parts: Any) -> httpx.Response:
    body = {"name": "p", "direction": "minimize", "python": {"source": source}, **parts}
    return await api.post(f"/{kind}", json=body | ({"launch": LAUNCH} if kind == "sweeps" else {}))


@pytest.mark.parametrize("kind", ["studies", "sweeps"])
@pytest.mark.parametrize(
    "space", [{"space": None}, {"space": SPACE}], ids=["declared by code", "declared as JSON"]
)
async def test_they_wait_in_their_order_from_the_start(
    api: httpx.AsyncClient, database: Database, kind: str, space: dict[str, Any]
) -> None:
    source = write_study(*BOTH, objective="" if space["space"] else OBJECTIVE)

    created = await create(api, kind, source, user_attrs={"owner": "Bob"}, **space)

    assert created.status_code == 201, created.text
    shown = (await api.get("/studies/p")).json()
    assert shown["counts"]["waiting"] == 2
    assert shown["user_attrs"] == {"owner": "Bob", "large": 2**70}
    listed = (await api.get("/studies/p/trials")).json()["trials"]
    assert [(t["state"], t["user_attrs"]) for t in listed] == [
        ("WAITING", {}),
        ("WAITING", {"why": "large"}),
    ]
    await api.post("/studies/p/enqueue", json={"params": {"n": 3}})
    asked = (await api.post("/studies/p/ask", json={"count": 4})).json()["trials"]
    assert [each["number"] for each in asked] == [0, 1, 2, 3]
    assert asked[0]["params"] == {"x": 0.25, "n": 2}
    assert [each["params"]["n"] for each in asked[1:3]] == [4, 3]
    await api.post("/studies/p/trials/0/tell", json={"state": "COMPLETE", "values": 1})
    assert replay_study(database, "p").difference is None


async def test_a_study_that_is_there_gets_no_more_of_them(api: httpx.AsyncClient) -> None:
    source = write_study(*BOTH, objective=OBJECTIVE)
    await create(api, "studies", source)

    again = await create(api, "studies", source, if_exists="load")

    assert again.status_code == 200, again.text
    assert again.json()["counts"]["waiting"] == 2


async def test_code_that_declares_checks_them_when_they_run(api: httpx.AsyncClient) -> None:
    await create(api, "studies", write_study("{'n': 9}", objective=OBJECTIVE))

    problem = assert_problem(await api.post("/studies/p/ask", json={}), 409, "python-failed")

    assert '"n" was fixed for this trial to a value that it cannot have' in problem["detail"]


@pytest.mark.parametrize(
    ("enqueued", "parts", "detail"),
    [
        ("{'x': 2.0, 'm': 1}", {"space": SPACE}, "Trial 1, which the Python has enqueued, cannot"),
        ("{'m': 1}", {"space": SPACE}, "m: The search space has no such parameter"),
        ("{'x': [1]}", {}, "x: This must be null, a boolean, a number or a string, not a list"),
        ("{'x': 2**60}", {}, "x: Integers must lie"),
        ("{}, user_attrs={'': 1}", {}, "its name has 0 characters"),
        ("{})\n    for n in range(1000): made.enqueue_trial({}", {}, "it may have 1000"),
    ],
)
async def test_what_can_never_run_is_refused(
    api: httpx.AsyncClient, enqueued: str, parts: dict[str, Any], detail: str
) -> None:
    response = await create(api, "studies", write_study("{}", enqueued), **parts)

    problem = assert_problem(response, 422, "invalid-python")
    assert detail in problem["detail"]
    assert (await api.get("/studies/p")).status_code == 404
