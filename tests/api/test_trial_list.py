"""Lists of trials by number from either end, and by value."""

from typing import Any

import httpx
import pytest

from tests.api.problems import assert_problem, get_fields
from tests.api.sweep_use import claim, create_sweep, end, observe, send_log
from tests.api.trial_list_use import list_pages


async def import_trials(api: httpx.AsyncClient, study: str, *trials: dict[str, Any]) -> None:
    params = {"lr": 0.1, "layers": 1, "optimizer": "sgd"}
    body = {"trials": [{"state": "COMPLETE", "params": params} | trial for trial in trials]}
    response = await api.post(f"{study}/trials", json=body)
    assert response.status_code == 201, response.text


async def test_newest_trials_come_first(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/ask", json={"count": 6})
    for number in (0, 2, 3):
        await api.post(f"{study}/trials/{number}/tell", json={"state": "FAIL"})

    assert await list_pages(api, study, order="newest", limit=4) == [[5, 4, 3, 2], [1, 0]]
    assert await list_pages(api, study, order="newest", state="FAIL", limit=2) == [[3, 2], [0]]
    assert await list_pages(api, study, order="oldest", state="FAIL", limit=2) == [[0, 2], [3]]


@pytest.mark.parametrize(
    ("direction", "numbers"),
    [("minimize", [[5, 1, 4], [0, 3, 7], [6, 2]]), ("maximize", [[7, 3, 0], [1, 4, 5], [2, 6]])],
)
async def test_best_trials_come_first_and_feasible_ones_before_others(
    api: httpx.AsyncClient, direction: str, numbers: list[list[int]]
) -> None:
    await api.post("/studies", json={"name": "ranked", "direction": direction})
    values = [3, 1, 9, 4, 1, "-Infinity", -9, "Infinity"]
    infeasible = (2, 6)
    for number, value in enumerate(values):
        await api.post("/studies/ranked/ask")
        told = {"state": "COMPLETE", "values": value}
        if number in infeasible:
            told["constraints"] = {"size": 0.5, "time": -1.0}
        await api.post(f"/studies/ranked/trials/{number}/tell", json=told)
    await api.post("/studies/ranked/ask", json={"count": 2})
    await api.post("/studies/ranked/trials/8/tell", json={"state": "FAIL"})

    path = "/studies/ranked"
    assert await list_pages(api, path, order="best", limit=3) == numbers
    assert await list_pages(api, path, order="best", state="COMPLETE", limit=3) == numbers
    best = (await api.get(f"{path}/best")).json()
    assert best["number"] == numbers[0][0]


async def test_pages_go_on_where_they_were_while_trials_are_added(
    api: httpx.AsyncClient, study: str
) -> None:
    await import_trials(api, study, *({"values": value} for value in (1, 2, 3, 4)))
    cursors = {}
    for order in ("newest", "best"):
        page = (await api.get(f"{study}/trials", params={"order": order, "limit": 2})).json()
        assert [trial["number"] for trial in page["trials"]] == [3, 2]
        cursors[order] = page["next_cursor"]

    await import_trials(api, study, {"values": 9}, {"values": 1.5})

    async def list_rest(order: str) -> list[int]:
        (rest,) = await list_pages(api, study, order=order, cursor=cursors[order])
        return rest

    assert await list_rest("newest") == [1, 0]
    assert await list_rest("best") == [1, 5, 0]


async def test_a_cursor_is_good_for_its_order_only(api: httpx.AsyncClient, study: str) -> None:
    await import_trials(api, study, {"values": 1}, {"values": 2})
    orders = ("oldest", "newest", "best")
    for order in orders:
        page = (await api.get(f"{study}/trials", params={"order": order, "limit": 1})).json()
        for other in orders:
            query = {"order": other, "cursor": page["next_cursor"]}
            response = await api.get(f"{study}/trials", params=query)
            if other == order:
                assert response.status_code == 200
            else:
                problem = assert_problem(response, 422, "invalid-request")
                assert get_fields(problem) == ["cursor"]


async def test_refuses_an_order_that_the_study_has_not(
    api: httpx.AsyncClient, study: str, subtests: pytest.Subtests
) -> None:
    objectives = [{"name": name, "direction": "minimize"} for name in ("loss", "size")]
    await api.post("/studies", json={"name": "front", "objectives": objectives})

    for path, field, hint in [
        (f"{study}/trials?order=worst", "order", "newest"),
        (f"{study}/trials?order=best&state=FAIL", "state", "COMPLETE"),
        (f"{study}/trials?order=best&state=FAIL&state=COMPLETE", "state", "COMPLETE"),
        ("/studies/front/trials?order=best", "order", "pareto"),
    ]:
        with subtests.test(path=path):
            problem = assert_problem(await api.get(path), 422, "invalid-request")
            assert get_fields(problem) == [field]
            assert hint in problem["detail"]


async def test_a_row_of_a_table_needs_one_request(api: httpx.AsyncClient) -> None:
    await create_sweep(api)
    first, second = await claim(api, 2)
    await observe(
        api,
        first,
        external_ref="r1",
        url="https://wandb.example/r1",
        points=[{"step": step, "value": 0.5} for step in (0, 7)],
    )
    await send_log(api, first, "so far\n")
    await end(api, second, exit_code=3, values={})
    await api.post("/studies/digits/enqueue", json={"params": {"layers": 2}})

    query = {"order": "newest", "fields": ["state", "reason", "last_step", "latest_attempt"]}
    waiting, failed, running = (await api.get("/studies/digits/trials", params=query)).json()[
        "trials"
    ]

    assert waiting == {
        "number": 2,
        "state": "WAITING",
        "reason": None,
        "last_step": None,
        "latest_attempt": None,
    }
    assert (failed["state"], failed["last_step"]) == ("FAIL", None)
    assert "3" in failed["reason"]
    assert running["last_step"] == 7
    for listed, attempt in ((failed, second), (running, first)):
        shown = await api.get(f"/sweeps/digits/attempts/{attempt['id']}")
        assert listed["latest_attempt"] == shown.json()
    assert running["latest_attempt"]["url"] == "https://wandb.example/r1"
    assert running["latest_attempt"]["log_bytes"] == 7
