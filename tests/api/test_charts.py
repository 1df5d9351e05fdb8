"""What charts show of a study: how trials ended, and what they reported."""

from typing import Any

import httpx
import pytest

from tests.api.problems import assert_problem, get_fields

PATHS = ("/studies/digits/history", "/studies/digits/curves")


async def tell(api: httpx.AsyncClient, study: str, values: Any, **rest: Any) -> int:
    """Asks for a trial, tells how it ended, and gives its number."""
    asked = (await api.post(f"{study}/ask")).json()
    number = asked["trials"][0]["number"]
    body = {"state": "COMPLETE", "values": values} | rest
    response = await api.post(f"{study}/trials/{number}/tell", json=body)
    assert response.status_code == 200, response.text
    return int(number)


async def report(api: httpx.AsyncClient, study: str, number: int, *values: Any) -> None:
    points = [{"step": step, "value": value} for step, value in enumerate(values)]
    response = await api.post(f"{study}/trials/{number}/report", json={"points": points})
    assert response.status_code == 200, response.text


async def read(api: httpx.AsyncClient, path: str, **query: int) -> Any:
    response = await api.get(path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def test_history_shows_how_trials_ended(api: httpx.AsyncClient, study: str) -> None:
    await tell(api, study, 0.5)
    await api.post(f"{study}/ask", json={"count": 3})
    await report(api, study, 1, 0.9, "Infinity")
    await api.post(f"{study}/trials/1/tell", json={"state": "PRUNED"})
    await api.post(f"{study}/trials/2/tell", json={"state": "FAIL"})
    await tell(api, study, 0.25)
    await tell(api, study, 0.75)

    history = await read(api, f"{study}/history")

    assert [(each["number"], each["state"], each["values"]) for each in history["points"]] == [
        (0, "COMPLETE", [0.5]),
        (1, "PRUNED", ["Infinity"]),
        (2, "FAIL", None),
        (4, "COMPLETE", [0.25]),
        (5, "COMPLETE", [0.75]),
    ]
    assert history["best"] == [{"number": 0, "value": 0.5}, {"number": 5, "value": 0.75}]
    assert history["n_finished"] == 5
    assert {each["ended_at"] for each in history["points"]} == {"2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(("direction", "best"), [("minimize", [0, 2, 4]), ("maximize", [0, 3, 5])])
async def test_only_feasible_trials_improve(
    api: httpx.AsyncClient, direction: str, best: list[int]
) -> None:
    await api.post("/studies", json={"name": "bound", "direction": direction})
    for value, constraints in (
        (0.5, {"a": -1, "b": 0}),
        (-9, {"a": 1e-9, "b": -1}),
        (0.25, {"a": -0.5, "b": -1e-5}),
        (0.75, {"a": 0.0, "b": -3}),
        ("-Infinity", None),
        ("Infinity", {"a": -10, "b": -20.5}),
        (99, {"a": -1, "b": 10}),
        (100, {"a": "Infinity", "b": "-Infinity"}),
        (-100, {"a": -1, "b": "Infinity"}),
        (0.5, {"a": "-Infinity", "b": -1}),
    ):
        body = {} if constraints is None else {"constraints": constraints}
        await tell(api, "/studies/bound", value, **body)

    shown = (await read(api, "/studies/bound/history"))["best"]

    assert [each["number"] for each in shown] == best
    study = await read(api, "/studies/bound")
    assert study["best"] == shown[-1]


async def test_with_several_objectives_nothing_is_best(api: httpx.AsyncClient) -> None:
    objectives = [{"name": name, "direction": "minimize"} for name in ("loss", "size")]
    await api.post("/studies", json={"name": "front", "objectives": objectives})
    await tell(api, "/studies/front", [1.5, "Infinity"])

    history = await read(api, "/studies/front/history")

    assert [each["values"] for each in history["points"]] == [[1.5, "Infinity"]]
    assert history["best"] == []


async def test_a_long_history_keeps_improvements_and_the_newest(
    api: httpx.AsyncClient, study: str
) -> None:
    values = [5, 4, 6, 3, 1, 1, 7, 7, 2, 1, 3]
    params = {"lr": 0.1, "layers": 1, "optimizer": "sgd"}
    trials = [{"state": "COMPLETE", "params": params, "values": value} for value in values]
    await api.post(f"{study}/trials", json={"trials": trials})

    async def list_shown(points: int) -> list[int]:
        history = await read(api, f"{study}/history", points=points)
        assert history["n_finished"] == len(values)
        assert [each["number"] for each in history["points"] if each["values"] == [7]][:1] == [6]
        return [each["number"] for each in history["points"]]

    assert await list_shown(11) == list(range(11))
    assert await list_shown(10) == [0, 2, 3, 4, 5, 6, 8, 9, 10]
    assert await list_shown(4) == [0, 2, 3, 6, 9, 10]
    assert await list_shown(3) == [0, 2, 4, 6, 8, 10]
    # Of three improvements the first one goes, too.
    assert await list_shown(1) == [0, 6, 10]


async def test_curves_are_of_the_newest_trials_that_reported(
    api: httpx.AsyncClient, study: str
) -> None:
    await api.post(f"{study}/ask", json={"count": 5})
    for number, values in ((0, [1]), (1, [1, 2]), (3, [0.5, "NaN", "-Infinity", 0.1 + 0.2])):
        await report(api, study, number, *values)
    await api.post(f"{study}/trials/1/tell", json={"state": "FAIL"})

    shown = (await read(api, f"{study}/curves", trials=2))["curves"]

    assert shown == [
        {
            "number": 3,
            "state": "RUNNING",
            "points": [[0, 0.5], [1, "NaN"], [2, "-Infinity"], [3, 0.1 + 0.2]],
        },
        {"number": 1, "state": "FAIL", "points": [[0, 1.0], [1, 2.0]]},
    ]
    assert (await read(api, f"{study}/curves", number=1))["curves"] == shown[1:]
    assert (await read(api, f"{study}/curves", number=2))["curves"] == []


async def test_a_long_curve_keeps_its_ends(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/ask")
    await report(api, study, 0, *range(10))

    async def list_steps(points: int) -> list[int]:
        (curve,) = (await read(api, f"{study}/curves", points=points))["curves"]
        assert all(step == value for step, value in curve["points"])
        return [step for step, _ in curve["points"]]

    assert await list_steps(10) == list(range(10))
    assert await list_steps(9) == [0, 1, 2, 3, 4, 5, 6, 7, 9]
    assert await list_steps(4) == [0, 3, 6, 9]
    assert await list_steps(2) == [0, 9]


async def test_a_new_study_has_nothing_to_show(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/ask")

    assert await read(api, f"{study}/history") == {"points": [], "best": [], "n_finished": 0}
    assert await read(api, f"{study}/curves") == {"curves": []}


@pytest.mark.parametrize("path", PATHS)
async def test_what_has_not_changed_is_not_sent_again(
    api: httpx.AsyncClient, study: str, path: str
) -> None:
    await api.post(f"{study}/ask")
    etag = (await api.get(path)).headers["etag"]

    same = await api.get(path, headers={"If-None-Match": etag})
    assert (same.status_code, same.content) == (304, b"")
    other = await api.get(path, params={"points": 7}, headers={"If-None-Match": etag})
    assert other.status_code == 200
    await report(api, study, 0, 0.5)
    changed = await api.get(path, headers={"If-None-Match": etag})
    assert (changed.status_code, changed.headers["etag"] != etag) == (200, True)


async def test_refuses_what_it_cannot_show(
    api: httpx.AsyncClient, study: str, subtests: pytest.Subtests
) -> None:
    for path in PATHS:
        with subtests.test(path=path):
            nowhere = path.replace("digits", "nowhere")
            assert_problem(await api.get(nowhere), 404, "study-not-found")
    for path, field in [
        ("history?points=0", "points"),
        ("history?points=2001", "points"),
        ("history?trials=1", "trials"),
        ("curves?points=1", "points"),
        ("curves?points=501", "points"),
        ("curves?trials=0", "trials"),
        ("curves?trials=201", "trials"),
        ("curves?trials=many", "trials"),
        ("curves?number=-1", "number"),
    ]:
        with subtests.test(path=path):
            problem = assert_problem(await api.get(f"{study}/{path}"), 422, "invalid-request")
            assert get_fields(problem) == [field]
