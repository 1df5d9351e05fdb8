"""The API while its database is away."""

import asyncio

from service.api.app import build_app
from service.api.gate import GateRules
from service.engine.engine import open_engine
from tests.api.conftest import NOBODY_LISTENS, open_client
from tests.api.problems import assert_problem
from tests.api.sweep_use import LAUNCH, REPORT, WORKER

SWEEP = {"name": "digits", "direction": "minimize", "launch": LAUNCH}
LOG = {"claim": 1, "offset": 0, "text": "a", "bytes": 1}


async def test_asks_to_come_again(rules: GateRules) -> None:
    async with (
        open_engine(NOBODY_LISTENS) as engine,
        open_client(build_app(engine=engine, rules=rules)) as api,
    ):
        responses = await asyncio.gather(
            api.get("/readyz"),
            api.get("/studies"),
            api.get("/studies/digits"),
            api.post("/studies", json={"name": "digits", "direction": "minimize"}),
            api.post("/studies/digits/ask"),
            api.post("/studies/digits/trials/0/tell", json={"state": "FAIL"}),
            api.delete("/studies/digits"),
            api.get("/sweeps"),
            api.post("/sweeps", json=SWEEP),
            api.post("/sweeps/launched/cancel"),
            api.get("/sweeps/digits/attempts"),
            api.get("/workers"),
            api.put("/workers/w1", json=REPORT),
            api.delete("/workers/w1"),
            api.post("/attempts/claim", json=WORKER | {"count": 1}),
            api.post("/attempts/k3v9x2ab-0-1/observe", json={"claim": 1, "state": "running"}),
            api.post("/attempts/k3v9x2ab-0-1/log", json=LOG),
        )
        alive = await api.get("/healthz")

    for response in responses:
        assert_problem(response, 503, "database-unavailable")
        assert int(response.headers["retry-after"]) >= 1
        assert "hidden" not in response.text
    assert alive.status_code == 200
