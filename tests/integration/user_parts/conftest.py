"""An engine that runs what users wrote."""

from collections.abc import AsyncIterator, Iterator

import pytest

from service.engine.engine import Engine
from service.engine.user_code import open_sandbox
from service.sandbox import Sandbox
from service.storage.database import Database
from tests.integration.user_parts.use import running


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def engine(database: Database, sandbox: Sandbox) -> AsyncIterator[Engine]:
    async with running(database, sandbox) as engine:
        yield engine
