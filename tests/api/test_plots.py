"""GET /studies/{study}/importances and /plots/{kind}: Optuna's, of what is committed."""

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import optuna
import pytest
from optuna import importance, visualization

from service.domain.errors import ProcessUnavailable
from service.domain.insights import PlotKind
from service.engine.actor import Actor
from service.engine.engine import Engine
from service.engine.insights import Insights, Wanted
from service.storage.database import Database
from tests.api.problems import assert_problem, get_fields
from tests.plain_optuna import open_rdb_storage

PARAMS = ["layers", "lr"]
SAID_OTHERWISE = ["lr", "layers", "lr"]
TWO = [{"name": "loss", "direction": "minimize"}, {"name": "cost", "direction": "minimize"}]


async def fill(api: httpx.AsyncClient, study: str, *, n_objectives: int = 1) -> None:
    """Ten ended trials and one that runs, all but those of several objectives with reports."""
    asked = await api.post(f"{study}/ask", json={"count": 11})
    assert asked.status_code == 200, asked.text
    for trial in asked.json()["trials"][:-1]:
        path = f"{study}/trials/{trial['number']}"
        value = trial["params"]["lr"] * 10 + trial["params"]["layers"]
        if n_objectives == 1:
            points = [{"step": 0, "value": value + 1}, {"step": 1, "value": value}]
            await api.post(f"{path}/report", json={"points": points})
        values = [value, -value][:n_objectives]
        told = await api.post(f"{path}/tell", json={"state": "COMPLETE", "values": values})
        assert told.status_code == 200, told.text


class CountingThreads(ThreadPoolExecutor):
    """Counts what is computed, and computes nothing before `go`."""

    def __init__(self) -> None:
        super().__init__(1)
        self.count = 0
        self.go = threading.Event()
        self.began = asyncio.Event()
        super().submit(self.go.wait)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.count += 1
        self.began.set()
        return super().submit(fn, *args, **kwargs)

    def shutdown(self, *args: Any, **kwargs: Any) -> None:
        self.go.set()
        super().shutdown(*args, **kwargs)


def show(figure: Any) -> Any:
    return json.loads(figure.to_json())


async def test_every_one_is_optunas(
    api: httpx.AsyncClient, study: str, engine: Engine, database: Database
) -> None:
    await fill(api, study)
    about: dict[str, Any] = {"target_name": "value"}
    some = {"params": PARAMS, **about}

    with open_rdb_storage(database) as storage:
        plain = optuna.load_study(study_name="digits", storage=storage)
        expected = {
            "history": visualization.plot_optimization_history(plain, **about),
            "intermediate": visualization.plot_intermediate_values(plain),
            "parallel-coordinate": visualization.plot_parallel_coordinate(plain, **some),
            "contour": visualization.plot_contour(plain, **some),
            "slice": visualization.plot_slice(plain, **some),
            "rank": visualization.plot_rank(plain, **some),
            "importances": visualization.plot_param_importances(plain, **some),
            "edf": visualization.plot_edf(plain, **about),
            "timeline": visualization.plot_timeline(plain),
        }
        rated = importance.get_param_importances(plain)
    for kind, figure in expected.items():
        is_by_params = kind not in ("history", "intermediate", "edf", "timeline")
        query = {"params": SAID_OTHERWISE} if is_by_params else {}
        response = await api.get(f"{study}/plots/{kind}", params=query)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json"
        if kind != "timeline":  # which has the time of the call
            assert response.json() == show(figure)
    assert set(expected) == set(PlotKind) - {PlotKind.PARETO_FRONT}

    response = await api.get(f"{study}/importances")
    assert response.json() == {
        "objective": "value",
        "evaluator": "ped-anova",
        "importances": rated,
    }
    assert list(response.json()["importances"]) == list(rated)
    by_trees = {"evaluator": "fanova", "params": ["lr"]}
    response = await api.get(f"{study}/importances", params=by_trees)
    assert response.json()["importances"] == {"lr": 1.0}
    actor = await engine.get_actor("digits")
    await check_computed_once(api, actor)
    await check_few_may_wait(actor)
    await check_not_kept_without_end(actor)


async def check_computed_once(api: httpx.AsyncClient, actor: Actor) -> None:
    with CountingThreads() as threads:
        insights = Insights(threads, places=2)
        early = [asyncio.create_task(insights.show(actor, Wanted())) for _ in range(2)]
        await threads.began.wait()
        late = []
        for step in (7, 8, 9):
            report = {"points": [{"step": step, "value": 1.0}]}
            await api.post("/studies/digits/trials/10/report", json=report)
            late.append(asyncio.create_task(insights.show(actor, Wanted())))
            await asyncio.sleep(0)
        told = {"state": "COMPLETE", "values": 100}
        await api.post("/studies/digits/trials/10/tell", json=told)
        threads.go.set()

        before, after = await asyncio.gather(*early), await asyncio.gather(*late)
        assert before[0] == before[1] != after[0] == after[2]
        assert await insights.show(actor, Wanted()) == after[0]
        assert threads.count == 2


async def check_few_may_wait(actor: Actor) -> None:
    with CountingThreads() as threads:
        insights = Insights(threads, places=2)
        for number in range(17):
            wanted = Wanted(PlotKind.SLICE, params=(str(number),))
            asking = asyncio.create_task(insights.show(actor, wanted))
            await asyncio.sleep(0)
            # It is computed all the same.
            asking.cancel()
        with pytest.raises(ProcessUnavailable, match="Too many plots"):
            await asyncio.wait_for(insights.show(actor, Wanted(PlotKind.RANK)), 10)


async def check_not_kept_without_end(actor: Actor) -> None:
    with CountingThreads() as threads:
        threads.go.set()
        size = len(await Insights(threads, places=2).show(actor, Wanted(PlotKind.EDF)))
        threads.count = 0
        insights = Insights(threads, places=2, most_kept_bytes=size + 2000)
        for kind in (PlotKind.EDF, PlotKind.EDF, PlotKind.TIMELINE, PlotKind.EDF):
            await insights.show(actor, Wanted(kind))
        assert threads.count == 3


async def test_a_study_that_is_adopted_anew_is_shown_anew(
    api: httpx.AsyncClient, database: Database
) -> None:
    with open_rdb_storage(database) as storage:
        plain = optuna.create_study(storage=storage, study_name="plain")
        for value in (1.0, 2.0):
            plain.tell(plain.ask(), value)
            assert (await api.post("/studies/plain/adopt")).status_code == 200
            history = (await api.get("/studies/plain/plots/history")).json()
            assert (await api.post("/studies/plain/release")).status_code == 200
    assert len(history["data"][0]["x"]) == 2


async def test_of_several_objectives_one_is_named(api: httpx.AsyncClient) -> None:
    space = {
        "lr": {"type": "float", "low": 0, "high": 1},
        "layers": {"type": "int", "low": 1, "high": 4},
    }
    body = {"name": "two", "objectives": TWO, "space": space, "seed": 1}
    assert (await api.post("/studies", json=body)).status_code == 201
    await fill(api, "/studies/two", n_objectives=2)

    rated = await api.get("/studies/two/importances", params={"objective": "cost"})
    assert rated.json()["objective"] == "cost"
    history = await api.get("/studies/two/plots/history", params={"objective": "cost"})
    assert max(history.json()["data"][0]["y"]) < 0
    front = await api.get("/studies/two/plots/pareto-front")
    assert front.json()["layout"]["xaxis"]["title"]["text"] == "loss"

    problem = assert_problem(await api.get("/studies/two/importances"), 422, "invalid-plot")
    assert get_fields(problem) == ["objective"]
    assert "loss, cost" in problem["detail"]
    path = "/studies/two/plots/slice?objective=cost&params=lr&params=momentum"
    problem = assert_problem(await api.get(path), 422, "invalid-plot")
    assert problem["detail"].startswith("This cannot be shown: Parameter momentum does not")


async def test_what_cannot_be_shown_is_refused(api: httpx.AsyncClient, study: str) -> None:
    for path, code, field in (
        ("plots/pie", "invalid-request", "kind"),
        ("plots/history?params=lr", "invalid-plot", "params"),
        ("plots/timeline?objective=value", "invalid-plot", "objective"),
        ("plots/slice?evaluator=fanova", "invalid-plot", "evaluator"),
        ("importances?objective=loss", "invalid-plot", "objective"),
        ("importances?evaluator=guess", "invalid-request", "evaluator"),
        ("importances?param=lr", "invalid-request", "param"),
    ):
        problem = assert_problem(await api.get(f"{study}/{path}"), 422, code)
        assert get_fields(problem) == [field]
    assert_problem(await api.get("/studies/gone/importances"), 404, "study-not-found")
