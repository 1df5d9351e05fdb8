"""Every refusal leaves the database as it was, table by table."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from service.api.gate import GateRules
from service.api.problems import EDGE_PROBLEMS
from service.domain.errors import AsktellError
from service.domain.sessions import Session
from service.domain.tokens import Credentials
from service.engine.engine import Engine, open_engine
from service.storage.database import Database
from service.storage.embedded import EmbeddedPostgres
from tests.api.conftest import SettableClock
from tests.api.problems import assert_problem
from tests.api.refusals import PARAMS, Refusal
from tests.api.refused_studies import arrange
from tests.api.study_refusals import list_study_refusals
from tests.api.sweep_refusals import ATTEMPT, arrange_sweeps, list_sweep_refusals
from tests.api.token_refusals import ELSEWHERE, arrange_tokens, list_token_refusals
from tests.api.trial_refusals import list_trial_refusals
from tests.table_snapshots import read_tables, watch_tables

WITHOUT_TOKEN = ("not-authenticated", "csrf-token-wrong")
WRITING_METHODS = ("post", "patch", "put", "delete")

# What no write can be answered, or not on purpose.
NOT_FROM_WRITES = {
    "invalid-plot": "plots are only read",
    "no-best-trial": "only GET …/best looks for the best trial",
    "python-not-found": "only GET …/python looks for it",
    "login-link-refused": "links are used by GET",
    "write-failed": "validation knows every row that the database would refuse",
    "client-gone": "its client is not there any more to read it",
    "internal-error": "only a defect leads there",
    "schema-mismatch": "a server with the wrong schema does not start",
}
# Those need a database, or a server, in a state of its own: see the tests at the end.
NOT_FROM_REQUESTS = {
    *("database-unavailable", "study-owned-elsewhere", "study-reloading"),
    *("process-unavailable", "sampler-unavailable"),
    # With users' Python allowed: see tests.api.test_python_studies.
    *("invalid-python", "python-failed", "python-unavailable"),
}

Operation = tuple[str, str]
Writes = dict[Operation, dict[str, Any]]


@pytest.fixture
async def world(
    api: httpx.AsyncClient, engine: Engine, database: Database, clock: SettableClock
) -> Database:
    await arrange(api, engine, database, clock)
    await arrange_tokens(api)
    await arrange_sweeps(api)
    return database


@pytest.fixture
async def writes(api: httpx.AsyncClient) -> Writes:
    """Every operation that may change something, by method and path."""
    paths = (await api.get("/openapi.json")).json()["paths"]
    return {
        (method.upper(), path): operation
        for path, methods in paths.items()
        for method, operation in methods.items()
        if method in WRITING_METHODS
    }


async def test_refusals_by_content(
    api: httpx.AsyncClient, engine: Engine, world: Database, subtests: pytest.Subtests
) -> None:
    with watch_tables(world) as tables:
        for refusal in list_refusals():
            with subtests.test(refusal.title):
                response = await send(api, refusal)

                await settle(engine)
                tables.assert_unchanged()
                problem = assert_problem(response, refusal.status, refusal.code)
                assert refusal.hint in str(problem)
    await assert_all_go_on(api)


async def test_refusals_of_every_route(
    api: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    engine: Engine,
    rules: GateRules,
    world: Database,
    writes: Writes,
    subtests: pytest.Subtests,
) -> None:
    with watch_tables(world) as tables:
        for method, path, code, request in list_general_refusals(writes, rules):
            with subtests.test(method=method, path=path, code=code):
                client = stranger if code in WITHOUT_TOKEN else api
                study = "launched" if path.startswith("/sweeps") else "open"
                address = await fill_in_sweep(api, to_address(path, study))
                response = await client.request(method, address, **request)

                await settle(engine)
                tables.assert_unchanged()
                status = EDGE_PROBLEMS[code][0] if code in EDGE_PROBLEMS else 422
                assert_problem(response, status, code)
    await assert_all_go_on(api)


async def test_every_code_and_every_route_has_a_refusal(writes: Writes, rules: GateRules) -> None:
    refusals = list_refusals()
    general = {code for _, _, code, _ in list_general_refusals(writes, rules)}
    covered = {refusal.code for refusal in refusals} | general | NOT_FROM_REQUESTS

    assert covered | NOT_FROM_WRITES.keys() == set(list_codes(AsktellError)) | set(EDGE_PROBLEMS)
    assert not covered & NOT_FROM_WRITES.keys()
    addressed = {to_operation(refusal.call) for refusal in refusals}
    # They write nothing, and take nothing that they could refuse.
    assert writes.keys() - addressed == {("POST", "/login-links"), ("DELETE", "/session")}


async def test_a_study_of_another_server(
    api: httpx.AsyncClient,
    engine: Engine,
    world: Database,
    writes: Writes,
    subtests: pytest.Subtests,
) -> None:
    created = await api.post("/studies", json={"name": "theirs", "direction": "minimize"})
    assert created.status_code == 201
    async with open_engine(world, reap_every_seconds=None) as other:
        await other.get_actor("theirs")
        with watch_tables(world) as tables:
            for method, path in list_writes_of_studies(writes):
                with subtests.test(method=method, path=path):
                    response = await call(api, method, path, study="theirs")

                    await settle(engine)
                    tables.assert_unchanged()
                    assert_problem(response, 503, "study-owned-elsewhere")
                    assert int(response.headers["retry-after"]) >= 1


async def test_a_study_that_is_being_removed(
    api: httpx.AsyncClient,
    engine: Engine,
    world: Database,
    writes: Writes,
    subtests: pytest.Subtests,
) -> None:
    async with engine.removing("open"):
        with watch_tables(world) as tables:
            for method, path in list_writes_of_studies(writes):
                with subtests.test(method=method, path=path):
                    response = await call(api, method, path, study="open")

                    await settle(engine)
                    tables.assert_unchanged()
                    assert_problem(response, 503, "study-reloading")
    await assert_all_go_on(api)


async def test_a_database_that_is_away(
    api: httpx.AsyncClient,
    world: Database,
    postgres: EmbeddedPostgres,
    writes: Writes,
    subtests: pytest.Subtests,
) -> None:
    before = read_tables(world)
    let_connect(postgres, world, allowed=False)
    operations = list(list_writes_of_studies(writes))
    calls = [
        call(api, method, path, study=choose_study(method, path)) for method, path in operations
    ]
    for operation, response in zip(operations, await asyncio.gather(*calls), strict=True):
        with subtests.test(" ".join(operation)):
            assert_problem(response, 503, "database-unavailable")
    let_connect(postgres, world, allowed=True)
    assert read_tables(world) == before


BODIES = {
    "/studies/{study}/trials/{number}/report": {"step": 0, "value": 1},
    "/studies/{study}/trials/{number}/tell": {"state": "FAIL"},
    "/studies/{study}/tell": {"tells": [{"number": 1, "state": "FAIL"}]},
    "/studies/{study}/enqueue": {"params": {"layers": 1}},
    "/studies/{study}/trials": {"trials": [{"state": "FAIL", "params": PARAMS}]},
    "/studies/{study}/release": {"force": True},
    "/sweeps/{study}/mirror": {"worker_id": "w2"},
}
"""Bodies that would be fine at another time; of other routes the empty one is."""


def list_refusals() -> list[Refusal]:
    return [
        *list_study_refusals(),
        *list_trial_refusals(),
        *list_sweep_refusals(),
        *list_token_refusals(),
    ]


def choose_study(method: str, path: str) -> str:
    if path.startswith("/sweeps"):
        return "launched"
    # One that is being deleted cannot be released.
    return "free" if method == "DELETE" else "open"


async def call(api: httpx.AsyncClient, method: str, path: str, *, study: str) -> httpx.Response:
    return await api.request(method, to_address(path, study), json=BODIES.get(path, {}))


def to_address(path: str, study: str) -> str:
    for part, value in (
        ("{study}", study),
        ("{number}", "1"),
        ("{name}", "ada"),
        ("{attempt_id}", ATTEMPT),
        ("{worker_id}", "w1"),
    ):
        path = path.replace(part, value)
    return path


async def send(api: httpx.AsyncClient, refusal: Refusal) -> httpx.Response:
    method, path = refusal.call.split(" ")
    path = await fill_in_sweep(api, path)
    body = {} if refusal.body is None else {"json": refusal.body}
    if isinstance(refusal.body, str):
        body = {"content": refusal.body}
    return await api.request(method, path, headers=dict(refusal.headers), **body)


async def fill_in_sweep(api: httpx.AsyncClient, path: str) -> str:
    if "{sweep_id}" not in path:
        return path
    sweep = (await api.get("/sweeps/launched")).json()["sweep"]
    return path.replace("{sweep_id}", sweep["id"])


async def settle(engine: Engine) -> None:
    """Returns once everything is committed that was accepted before."""
    await (await engine.get_actor("two")).confirm()


async def assert_all_go_on(api: httpx.AsyncClient) -> None:
    """No refusal left anything behind in memory either that would keep the next ones away."""
    for name, number in (("open", 2), ("free", 2), ("two", 1), ("lost", 2), ("keyed", 1)):
        response = await api.post(f"/studies/{name}/ask")
        assert response.status_code == 200, response.text
        assert [trial["number"] for trial in response.json()["trials"]] == [number]


def list_general_refusals(
    writes: Writes, rules: GateRules
) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """What every route refuses, whatever it is for: method, path, code, request."""
    for (method, path), operation in writes.items():
        for code, request in _list_refusals_of(operation, rules, method):
            yield method, path, code, request


def _list_refusals_of(
    operation: dict[str, Any], rules: GateRules, method: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "not-authenticated", {}
    yield "csrf-token-wrong", {"headers": {"Cookie": mint_cookie(rules.credentials)}}
    yield "scope-missing", {"headers": ELSEWHERE}
    yield "host-not-allowed", {"headers": {"Host": "elsewhere.example"}}
    yield "origin-not-allowed", {"headers": {"Origin": "http://elsewhere.example"}}
    yield "invalid-request", {"params": {"colour": "red"}}
    if method != "DELETE":
        yield "unsupported-media-type", {"content": b"a=1", "headers": FORM}
        yield "body-too-large", {"content": b" " * (rules.body_limit_bytes + 1), "headers": JSON}
    if "requestBody" in operation:
        yield "malformed-json", {"content": b'{"name": NaN}', "headers": JSON}
        yield "invalid-request", {"json": ["colour"]}


def mint_cookie(credentials: Credentials) -> str:
    """Of a browser that is logged in with the server's own token."""
    session = Session(credentials.token_digest, datetime.now(UTC) + timedelta(days=1))
    return f"{credentials.sessions.cookie_name}={credentials.sessions.mint(session)}"


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


def list_writes_of_studies(writes: Writes) -> Iterator[Operation]:
    """Writes about a study that is there; adopting is about one that is not."""
    for method, path in writes:
        is_of_one = path.startswith(("/studies/{study}", "/sweeps/{study}"))
        if is_of_one and not path.endswith("/adopt"):
            yield method, path


def list_codes(kind: type[AsktellError]) -> Iterator[str]:
    for child in kind.__subclasses__():
        if "code" in vars(child):
            yield child.code
        yield from list_codes(child)


def to_operation(call: str) -> Operation:
    """The operation of a call, by its path in the OpenAPI document."""
    method, path = call.split(" ")
    parts = path.partition("?")[0].split("/")
    if parts[1] == "studies" and len(parts) > 2:
        parts[2] = "{study}"
    if parts[1] == "tokens" and len(parts) > 2:
        parts[2] = "{name}"
    if parts[1] == "sweeps" and len(parts) > 2:
        parts[2] = "{study}"
    if parts[1] == "attempts" and len(parts) > 3:
        parts[2] = "{attempt_id}"
    if parts[1] == "workers" and len(parts) > 2:
        parts[2] = "{worker_id}"
    if len(parts) > 4 and parts[3] == "trials":
        parts[4] = "{number}"
    return method, "/".join(parts)


def let_connect(server: EmbeddedPostgres, database: Database, *, allowed: bool) -> None:
    """Lets nobody connect to a database, and ends the connections that there are; or undoes it."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        name = psycopg.conninfo.conninfo_to_dict(database.conninfo)["dbname"]
        statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        connection.execute(statement.format(sql.Identifier(str(name)), sql.Literal(allowed)))
        if not allowed:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
