"""Lists of trials whose parameters and values meet conditions."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.sandbox import Sandbox
from tests.api.problems import assert_problem, get_fields
from tests.api.trial_list_use import list_pages

SPACE: dict[str, Any] = {
    "lr": {"type": "float", "low": 0, "high": 1},
    "dropout": {"type": "float", "low": 0, "high": 1, "step": 0.1},
    "layers": {"type": "int", "low": 1, "high": 9},
    "optimizer": {"type": "categorical", "choices": ["adam", "sgd"]},
    "size": {"type": "categorical", "choices": [16, 32, "auto", None, True]},
    "val/acc": {"type": "int", "low": 1, "high": 9},
    "a": {"type": "categorical", "choices": ["b=3", "x"]},
    "a=b": {"type": "int", "low": 1, "high": 9},
    "opt": {"rate": {"type": "float", "low": 1, "high": 10, "quantum": 5}},
    "betas": {"type": "categorical", "choices": [[0.9, 0.99], [0.8, 0.9]]},
    "extra": {"type": "int", "low": 1, "high": 3, "when": {"optimizer": ["sgd"]}},
}
COMMON: dict[str, Any] = {"val/acc": 2, "a": "b=3", "a=b": 4, "betas": [0.9, 0.99]}
# By number: parameters, and the value of the objective `loss`.
TRIALS: list[tuple[dict[str, Any], Any]] = [
    ({"lr": 0.1, "dropout": 0.3, "layers": 1, "optimizer": "adam", "size": 16, "opt.rate": 0}, 5),
    ({"lr": 0.2, "dropout": 0.7, "layers": 2, "optimizer": "adam", "size": "auto"}, 1),
    ({"lr": 0.3, "dropout": 0.3, "layers": 3, "optimizer": "sgd", "size": None, "extra": 2}, 4),
    ({"lr": 0.4, "dropout": 0.0, "layers": 9, "optimizer": "sgd", "size": 32, "extra": 1}, 0.5),
    (
        {"lr": 0.5, "dropout": 1.0, "layers": 9, "optimizer": "sgd", "size": True, "extra": 3},
        "Infinity",
    ),
]

MATCHES: dict[str, list[int]] = {
    "lr<0.3": [0, 1],
    "lr <= 0.3": [0, 1, 2],
    "lr=0.3": [2],
    "dropout=0.3": [0, 2],
    "dropout!=0.3": [1, 3, 4],
    "dropout>0.3": [1, 4],
    "layers>=3": [2, 3, 4],
    "layers=9.0": [3, 4],
    "optimizer=adam": [0, 1],
    'optimizer="sgd"': [2, 3, 4],
    "optimizer!=adam": [2, 3, 4],
    "optimizer=rmsprop": [],
    "size=16": [0],
    "size>16": [3],
    "size<=32": [0, 3],
    "size=auto": [1],
    "size=null": [2],
    "size=true": [4],
    "size!=16": [1, 2, 3, 4],
    "val/acc=2": [0, 1, 2, 3, 4],
    "a=b=4": [0, 1, 2, 3, 4],
    "a=b<3": [],
    "a = b=3": [0, 1, 2, 3, 4],
    "opt.rate=0": [0],
    "opt.rate>0": [1, 2, 3, 4],
    "betas=[0.9,0.99]": [0, 1, 2, 3, 4],
    "extra<3": [2, 3],
    "extra!=1": [2, 4],
    "loss<4": [1, 3],
    "loss>4": [0, 4],
    "loss=inf": [4],
    "loss!=inf": [0, 1, 2, 3],
    "loss=nan": [],
    "loss!=nan": [],
}

BRANCHES = """
def objective(trial):
    kind = trial.suggest_categorical("kind", ["small", "large"])
    if kind == "small":
        trial.suggest_categorical("size", [16, 32])
    else:
        trial.suggest_categorical("size", [64, "none"])
"""
NAMED = """
def make(trial):
    width = trial.suggest_int("width", 1, 4)
    return {"area": width * width, "net": {"depth": 3}, "name": f"w{width}"}
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def filled(api: httpx.AsyncClient) -> str:
    """The path of a study with `TRIALS`, and one that runs and one that failed with lr 0.05."""
    objectives = [{"name": "loss", "direction": "minimize"}]
    body = {"name": "f", "objectives": objectives, "space": SPACE, "seed": 1}
    assert (await api.post("/studies", json=body)).status_code == 201
    trials = [
        {"state": "COMPLETE", "params": {**COMMON, "opt.rate": 5, **params}, "values": value}
        for params, value in TRIALS
    ]
    await add(api, "/studies/f/trials", {"trials": trials})
    return "/studies/f"


async def add(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> Any:
    response = await api.post(path, json=body)
    assert response.status_code in (200, 201), response.text
    return response.json()


async def test_lists_the_trials_that_meet_a_condition(
    api: httpx.AsyncClient, filled: str, subtests: pytest.Subtests
) -> None:
    for where, numbers in MATCHES.items():
        with subtests.test(where=where):
            assert await list_pages(api, filled, where=where) == [numbers]


async def test_all_conditions_must_hold_in_every_order_and_page(
    api: httpx.AsyncClient, filled: str
) -> None:
    where = ["lr>0.1", "optimizer!=adam"]

    assert await list_pages(api, filled, where=where) == [[2, 3, 4]]
    assert await list_pages(api, filled, where=where, limit=2) == [[2, 3], [4]]
    assert await list_pages(api, filled, where=where, limit=2, order="newest") == [[4, 3], [2]]
    assert await list_pages(api, filled, where=where, limit=2, order="best") == [[3, 2], [4]]
    assert await list_pages(api, filled, where=[*where, "lr<0.45"], order="best") == [[3, 2]]


async def test_states_and_fields_go_with_conditions(api: httpx.AsyncClient, filled: str) -> None:
    for state in ("FAIL", "RUNNING"):
        params = {"params": {"lr": 0.05, "optimizer": "adam"}}
        (asked,) = (await add(api, f"{filled}/ask", params))["trials"]
        if state == "FAIL":
            await add(api, f"{filled}/trials/{asked['number']}/tell", {"state": "FAIL"})

    assert await list_pages(api, filled, where="lr<0.15") == [[0, 5, 6]]
    assert await list_pages(api, filled, where="lr<0.15", state="RUNNING") == [[6]]
    assert await list_pages(api, filled, where="lr<0.15", state=["FAIL", "COMPLETE"]) == [[0, 5]]
    assert await list_pages(api, filled, where="loss!=5") == [[1, 2, 3, 4]]
    assert await list_pages(api, filled, where="lr<0.15", order="best") == [[0]]
    query = {"where": "lr<0.15", "fields": ["values", "last_step", "latest_attempt"], "limit": 1}
    (trial,) = (await api.get(f"{filled}/trials", params=query)).json()["trials"]
    assert trial == {"number": 0, "values": [5.0], "last_step": None, "latest_attempt": None}


async def test_a_page_goes_on_after_a_trial_that_is_the_last_of_its_page(
    api: httpx.AsyncClient, filled: str
) -> None:
    query = {"order": "best", "limit": 1, "where": "size!=16"}
    page = (await api.get(f"{filled}/trials", params=query)).json()
    assert [trial["number"] for trial in page["trials"]] == [3]

    others = query | {"where": "size=16", "cursor": page["next_cursor"]}
    page = (await api.get(f"{filled}/trials", params=others)).json()
    assert [trial["number"] for trial in page["trials"]] == [0]


async def test_refuses_conditions_in_words(
    api: httpx.AsyncClient, filled: str, subtests: pytest.Subtests
) -> None:
    for where, fields, words in [
        (["optimizer<adam"], ["where.0"], '"<" compares numbers'),
        (["lr<1", "optimizer<3"], ["where.1"], '"optimizer" has no numbers'),
        (["learning_rate<3"], ["where.0"], "known are"),
        (["layer<3"], ["where.0"], 'did you mean "layers"?'),
        (["los<3"], ["where.0"], 'did you mean "loss"?'),
        (["lr"], ["where.0"], "NAME OP VALUE"),
        ([""], ["where.0"], "NAME OP VALUE"),
        (["<3"], ["where.0"], "NAME OP VALUE"),
        (["lr=\x00"], ["where.0"], "NUL"),
        (["lr", "x<1"], ["where.0", "where.1"], "and 1 more"),
        (["lr=" + "1" * 498], ["where.0"], "500"),
        (["lr<1"] * 21, ["where"], "20"),
    ]:
        with subtests.test(where=where):
            refused = await api.get(f"{filled}/trials", params={"where": where})
            problem = assert_problem(refused, 422, "invalid-request")
            assert get_fields(problem) == fields
            assert words in problem["detail"]


async def test_declared_parameters_are_known_before_any_trial_has_them(
    api: httpx.AsyncClient,
) -> None:
    body = {"name": "f", "direction": "minimize", "space": SPACE}
    await add(api, "/studies", body)

    for where in ("lr<0.1", "extra=1", "opt.rate>1", "value<3"):
        assert await list_pages(api, "/studies/f", where=where) == [[]]
    refused = await api.get("/studies/f/trials", params={"where": "optimizer<1"})
    assert "no numbers" in assert_problem(refused, 422, "invalid-request")["detail"]


async def test_a_parameter_hides_the_objective_of_its_name(api: httpx.AsyncClient) -> None:
    space = {"value": {"type": "int", "low": 0, "high": 9}}
    await add(api, "/studies", {"name": "f", "direction": "minimize", "space": space})
    trials = [{"state": "COMPLETE", "params": {"value": n}, "values": 5 - n} for n in range(4)]
    await add(api, "/studies/f/trials", {"trials": trials})

    assert await list_pages(api, "/studies/f", where="value<2") == [[0, 1]]


async def test_one_of_several_objectives_is_compared(api: httpx.AsyncClient) -> None:
    objectives = [{"name": name, "direction": "minimize"} for name in ("loss", "size")]
    await add(api, "/studies", {"name": "f", "objectives": objectives})
    trials = [{"state": "COMPLETE", "params": {}, "values": [n, 5 - n]} for n in range(4)]
    await add(api, "/studies/f/trials", {"trials": trials})

    assert await list_pages(api, "/studies/f", where=["loss>0", "size>=4"]) == [[1]]


async def test_the_plain_name_stands_for_all_its_variants(api: httpx.AsyncClient) -> None:
    python = {"source": BRANCHES}
    await add(api, "/studies", {"name": "f", "direction": "minimize", "python": python})
    params = [("small", 16), ("large", 64), ("large", "none"), ("small", 32)]
    trials = [
        {"state": "COMPLETE", "params": {"kind": kind, "size": size}, "values": 1}
        for kind, size in params
    ]
    await add(api, "/studies/f/trials", {"trials": trials})

    assert await list_pages(api, "/studies/f", where="size>16") == [[1, 3]]
    assert await list_pages(api, "/studies/f", where="size!=64") == [[0, 2, 3]]
    assert await list_pages(api, "/studies/f", where="size=none") == [[2]]


async def test_what_code_returns_is_compared_and_so_is_what_it_suggested(
    api: httpx.AsyncClient,
) -> None:
    python = {"source": NAMED, "search_space": "make"}
    await add(api, "/studies", {"name": "f", "direction": "minimize", "python": python})
    for width in (1, 2, 3):
        await add(api, "/studies/f/enqueue", {"trials": [{"params": {"width": width}}]})
        await add(api, "/studies/f/ask", {})

    assert await list_pages(api, "/studies/f", where="area>1") == [[1, 2]]
    assert await list_pages(api, "/studies/f", where="net.depth=3") == [[0, 1, 2]]
    assert await list_pages(api, "/studies/f", where=["width<3", "name!=w1"]) == [[1]]
    refused = await api.get("/studies/f/trials", params={"where": "name<1"})
    assert "no numbers" in assert_problem(refused, 422, "invalid-request")["detail"]
    refused = await api.get("/studies/f/trials", params={"where": "aria<1"})
    assert '"area"' in assert_problem(refused, 422, "invalid-request")["detail"]
