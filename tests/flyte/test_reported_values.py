"""What attempts that are executions report on the way is for the pruner, and no result."""

import httpx

from tests.api.conftest import api as api
from tests.api.conftest import app as app
from tests.api.conftest import clock as clock
from tests.api.conftest import engine as engine
from tests.api.conftest import rules as rules
from tests.api.conftest import sandbox as sandbox
from tests.api.sweep_use import FLYTE_LAUNCH, claim, create_sweep, end, observe


async def test_a_reported_value_stands_in_for_no_output(api: httpx.AsyncClient) -> None:
    await create_sweep(api, launch=FLYTE_LAUNCH)
    (attempt,) = await claim(api, executors=["flyte"])
    points = [{"step": 1, "value": 0.5}]
    assert (await observe(api, attempt, points=points)).status_code == 200

    await end(api, attempt, values={})

    trial = (await api.get("/studies/digits/trials/0")).json()
    assert trial["intermediate_values"] == points
    assert (trial["state"], trial["values"]) == ("FAIL", None)
    assert "return it from the task" in trial["reason"]
