"""The whole application in this process, on a real Postgres."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from starlette.types import ASGIApp
from structlog.testing import capture_logs

from service.api.app import build_app
from service.api.gate import GateRules
from service.domain.tokens import Credentials
from service.engine.engine import Engine, open_engine
from service.engine.user_code import CodeRunner
from service.sandbox import Sandbox
from service.storage.database import Database
from tests.api.served import serve_app

TOKEN = "a-token-for-tests-0123456789"
BASE_URL = "http://127.0.0.1:8700"
NOBODY_LISTENS = Database("postgresql://nobody:hidden@127.0.0.1:1/nothing")
SPACE = {
    "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "layers": {"type": "int", "low": 1, "high": 4},
    "optimizer": {"type": "categorical", "choices": ["adam", "sgd"]},
}


class SettableClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **units: float) -> None:
        self.now += timedelta(**units)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def rules() -> GateRules:
    return GateRules(
        credentials=Credentials.from_token(TOKEN),
        allowed_hosts=frozenset({"asktell.example"}),
        body_limit_bytes=512 * 1024,
    )


@pytest.fixture(scope="module")
def sandbox() -> Sandbox | None:
    """For users' Python; modules of tests that run some have one of their own."""
    return None


@pytest.fixture
async def engine(
    database: Database, clock: SettableClock, sandbox: Sandbox | None
) -> AsyncIterator[Engine]:
    """An engine whose leases run out only when a test says so."""
    async with open_engine(
        database,
        clock=clock,
        reap_every_seconds=None,
        code_runner=CodeRunner(sandbox, may_be_uncontained=True),
    ) as engine:
        yield engine


@pytest.fixture
def app(engine: Engine, rules: GateRules, clock: SettableClock) -> ASGIApp:
    return build_app(engine=engine, rules=rules, clock=clock)


@pytest.fixture
async def stranger(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
        yield client


@pytest.fixture
async def api(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the token."""
    async with open_client(app) as client:
        yield client


def open_client(app: ASGIApp, token: str = TOKEN) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url=BASE_URL,
        headers={"Authorization": f"Bearer {token}"},
    )


@pytest.fixture
async def url(app: ASGIApp) -> AsyncIterator[str]:
    """Of the application on a port of this machine, for commands.

    Its log would go to the standard output of this process, which is the commands', too.
    """
    with capture_logs():
        async with serve_app(app) as url:
            yield url


@pytest.fixture
async def study(api: httpx.AsyncClient) -> str:
    """The path of a seeded random-search study that prunes by the median."""
    body = {
        "name": "digits",
        "direction": "maximize",
        "space": SPACE,
        "sampler": {"type": "RandomSampler"},
        "pruner": {"type": "MedianPruner", "args": {"n_startup_trials": 1}},
        "seed": 7,
    }
    response = await api.post("/studies", json=body)
    assert response.status_code == 201, response.text
    return "/studies/digits"
