"""Studies in every state that refuses something."""

from datetime import UTC, datetime
from typing import Any

import httpx
import optuna

from service.engine.engine import Engine
from service.engine.expire import expire
from service.storage.database import Database
from tests.api.conftest import SPACE, SettableClock
from tests.api.refusals import KEY, X, imported
from tests.plain_optuna import open_rdb_storage


async def arrange(
    api: httpx.AsyncClient, engine: Engine, database: Database, clock: SettableClock
) -> None:
    """Makes the studies that the refusals below are about."""
    # How old idempotency keys are goes by the database's own clock.
    clock.now = datetime.now(UTC)
    await _create(api, "lost", space=SPACE)
    await _post(api, "lost/ask")
    clock.advance(hours=1, seconds=1)
    await expire(await engine.get_actor("lost"))
    await _post(api, "lost/ask", count=2)

    await _create(api, "open", space=SPACE, user_attrs={"owner": "Ada"})
    await _post(api, "open/ask", count=2)
    await _post(api, "open/trials/1/report", step=0, value=0.5)
    told = {"values": 0.5, "constraints": {"memory": -1}, "user_attrs": {"gpu": 1}}
    await _post(api, "open/trials/0/tell", state="COMPLETE", **told)
    await _post(api, "open/enqueue", params={"layers": 3})

    await _create(api, "free")
    await _post(api, "free/ask", count=2)
    await _post(api, "free/trials/0/suggest", x=X)

    await _create_two_objectives(api)
    await _create(api, "paused")
    await _post(api, "paused/pause")
    await _create(api, "stopped")
    await _post(api, "stopped/stop")
    await _create(api, "spent", budget={"max_trials": 1})
    await _post(api, "spent/ask")
    await _create(api, "full", parallelism=1)
    await _post(api, "full/ask")
    few = {"c": {"type": "categorical", "choices": ["a", "b"]}}
    await _create(api, "exhausted", space=few, sampler={"type": "GridSampler"})
    await _post(api, "exhausted/ask", count=2)

    await _create_keyed(api)
    await _create(api, "gone")
    assert (await api.delete("/studies/gone")).status_code == 204
    with open_rdb_storage(database) as storage:
        optuna.create_study(study_name="plain", storage=storage)
        odd = optuna.create_study(
            study_name="odd", storage=storage, directions=["minimize", "minimize"]
        )
        odd.set_metric_names(["loss", "loss"])


async def _create(api: httpx.AsyncClient, name: str, **changes: Any) -> None:
    body = {"name": name, "direction": "minimize", "sampler": {"type": "RandomSampler"}, "seed": 7}
    response = await api.post("/studies", json=body | changes)
    assert response.status_code == 201, response.text


async def _create_two_objectives(api: httpx.AsyncClient) -> None:
    objectives = [{"name": name, "direction": "minimize"} for name in ("loss", "seconds")]
    response = await api.post("/studies", json={"name": "two", "objectives": objectives})
    assert response.status_code == 201, response.text
    await _post(api, "two/ask")


async def _create_keyed(api: httpx.AsyncClient) -> None:
    for call, body in (
        ("/studies", {"name": "keyed", "direction": "minimize", "space": SPACE, "seed": 7}),
        ("/studies/keyed/ask", {}),
        ("/studies/keyed/enqueue", {"params": {"layers": 1}}),
        ("/studies/keyed/trials", {"trials": [imported()]}),
    ):
        response = await api.post(call, json=body, headers=KEY)
        assert response.is_success, response.text


async def _post(api: httpx.AsyncClient, path: str, **body: Any) -> None:
    response = await api.post(f"/studies/{path}", json=body)
    assert response.is_success, response.text
