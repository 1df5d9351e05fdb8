"""The engine on a database of the test's own."""

from collections.abc import AsyncIterator

import pytest

from service.engine.engine import Engine, open_engine
from service.storage.database import Database


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[Engine]:
    async with open_engine(database) as opened:
        yield opened
