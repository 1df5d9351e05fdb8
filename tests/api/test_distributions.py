"""GET /studies/{study}/distributions: from what parameters were drawn, and where."""

from typing import Any

import httpx

from tests.api.problems import assert_problem


async def create_study(api: httpx.AsyncClient, **document: Any) -> str:
    response = await api.post(
        "/studies", json={"name": "drawn", "direction": "minimize", **document}
    )
    assert response.status_code == 201, response.text
    return "/studies/drawn"


async def ask(api: httpx.AsyncClient, study: str, **distributions: Any) -> None:
    response = await api.post(f"{study}/ask", json={"distributions": distributions})
    assert response.status_code == 200, response.text


async def list_distributions(api: httpx.AsyncClient, study: str) -> list[dict[str, Any]]:
    response = await api.get(f"{study}/distributions")
    assert response.status_code == 200, response.text
    used: list[dict[str, Any]] = response.json()["distributions"]
    return used


async def test_each_distribution_is_listed_once_with_its_trials(api: httpx.AsyncClient) -> None:
    study = await create_study(api)
    lr = {"type": "float", "low": 1e-5, "high": 0.1, "log": True}
    for high in (8, 8, 16, 8):
        await ask(api, study, lr=lr, width={"type": "int", "low": 2, "high": high, "step": 2})
    await ask(api, study, kind={"type": "categorical", "choices": ["a", None, 1.5]})

    used = await list_distributions(api, study)

    assert [(each["name"], each["trials"]) for each in used] == [
        ("kind", [[4, 4]]),
        ("lr", [[0, 3]]),
        ("width", [[0, 1], [3, 3]]),
        ("width", [[2, 2]]),
    ]
    assert [each["distribution"] for each in used[:3]] == [
        {"name": "CategoricalDistribution", "attributes": {"choices": ["a", None, 1.5]}},
        {
            "name": "FloatDistribution",
            "attributes": {"step": None, "low": 1e-5, "high": 0.1, "log": True},
        },
        {"name": "IntDistribution", "attributes": {"log": False, "step": 2, "low": 2, "high": 8}},
    ]


async def test_what_is_listed_is_a_space(api: httpx.AsyncClient) -> None:
    study = await create_study(api)
    await ask(api, study, lr={"type": "float", "low": 0, "high": 1})
    (used,) = await list_distributions(api, study)

    space = {used["name"]: used["distribution"]}
    response = await api.post(
        "/studies", json={"name": "again", "direction": "minimize", "space": space}
    )

    assert response.status_code == 201, response.text


async def test_what_trials_show_otherwise_than_drawn_is_left_out(api: httpx.AsyncClient) -> None:
    space = {
        "plain": {"type": "float", "low": 0, "high": 1},
        "bell": {"type": "normal", "mu": 0, "sigma": 1},
    }
    study = await create_study(api, space=space)
    await api.post(f"{study}/ask")

    assert [each["name"] for each in await list_distributions(api, study)] == ["plain"]


async def test_a_study_without_trials_has_none(api: httpx.AsyncClient) -> None:
    assert await list_distributions(api, await create_study(api)) == []


async def test_a_study_that_does_not_exist(api: httpx.AsyncClient) -> None:
    response = await api.get("/studies/none/distributions")
    assert_problem(response, 404, "study-not-found")
