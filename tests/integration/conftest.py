"""The engine on a database of the test's own."""

from collections.abc import AsyncIterator

import pytest

from service.engine.engine import Engine, open_engine
from service.storage.database import Database
from tests.integration.timed_study import TimedStudy, open_timed_study


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[Engine]:
    async with open_engine(database) as opened:
        yield opened


@pytest.fixture
async def study(database: Database) -> AsyncIterator[TimedStudy]:
    """A study that the test still has to create."""
    async with open_timed_study(database) as opened:
        yield opened
