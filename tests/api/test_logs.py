"""Lines of a request say which request, study, trial and attempt they are about."""

from collections.abc import Iterator

import httpx
import psycopg
import pytest
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.api.app import build_app
from service.api.gate import GateRules
from service.engine.engine import Engine
from service.storage.database import Database
from tests.api.conftest import open_client
from tests.log_lines import Log, open_log


@pytest.fixture
def log() -> Iterator[Log]:
    with open_log() as log:
        yield log


async def test_a_request_names_what_it_is_about(
    api: httpx.AsyncClient, study: str, log: Log
) -> None:
    await api.post(f"{study}/ask", json={})
    asked = log.read_last("request.answered")
    await api.post(
        f"{study}/trials/0/report",
        json={"step": 0, "value": 0.125, "attempt": 1},
        headers={"X-Request-Id": "the-report"},
    )
    reported = log.read_last("request.answered")
    await api.get("/studies")
    listed = log.read_last("request.answered")

    assert asked["study"] == "digits"
    assert "trial" not in asked
    named = {name: reported[name] for name in ("request_id", "study", "trial", "attempt")}
    assert named == {"request_id": "the-report", "study": "digits", "trial": 0, "attempt": 1}
    assert not {"study", "trial", "attempt"} & set(listed)


async def test_a_defect_names_what_it_is_about(engine: Engine, rules: GateRules, log: Log) -> None:
    async def fail(_request: Request) -> Response:
        raise RuntimeError("a defect")

    route = Route("/fail/{study}/{number}", fail)
    app = build_app(engine=engine, rules=rules, extra_routes=[route])
    async with open_client(app) as client:
        await client.get("/fail/some%20study/17")
    failed = log.read_last("request.failed")

    assert (failed["study"], failed["trial"]) == ("some study", 17)
    assert "RuntimeError: a defect" in failed["exception"]


async def test_a_refused_write_names_whose_it_was(
    api: httpx.AsyncClient, study: str, database: Database, log: Log
) -> None:
    await api.post(f"{study}/ask", json={})
    with psycopg.connect(database.conninfo) as connection:
        connection.execute(
            "ALTER TABLE trial_intermediate_values ADD CHECK (intermediate_value <> 666)"
        )
    await api.post(
        f"{study}/trials/0/report",
        json={"step": 0, "value": 666.0},
        headers={"X-Request-Id": "the-refused-one"},
    )
    refused = log.read_last("write.refused")

    named = {name: refused[name] for name in ("request_id", "study", "trial")}
    assert named == {"request_id": "the-refused-one", "study": "digits", "trial": 0}
    assert "check constraint" in refused["error"]
    assert "666" not in refused["error"]


async def test_names_from_outside_are_cut_short(api: httpx.AsyncClient, log: Log) -> None:
    await api.get(f"/studies/{'n' * 300}/trials/{'1' * 300}")
    line = log.read_last("request.answered")

    assert line["study"] == "n" * 80
    assert "trial" not in line


async def test_nothing_stays_for_the_next_line(
    api: httpx.AsyncClient, study: str, log: Log
) -> None:
    await api.get(f"{study}/trials/0")
    structlog.get_logger().info("reaper.started")

    assert set(log.read_last("reaper.started")) == {"event", "level", "timestamp"}
