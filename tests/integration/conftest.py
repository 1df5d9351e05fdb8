"""The engine, and plain Optuna, on a database of the test's own."""

from collections.abc import AsyncIterator, Iterator

import pytest
from optuna.storages import RDBStorage

from service.engine.engine import Engine, open_engine
from service.storage.database import Database
from service.storage.reads import Reads
from tests.integration.reads_use import open_reads
from tests.integration.timed_study import TimedStudy, open_timed_study
from tests.plain_optuna import open_rdb_storage


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[Engine]:
    async with open_engine(database) as opened:
        yield opened


@pytest.fixture
async def study(database: Database) -> AsyncIterator[TimedStudy]:
    """A study that the test still has to create."""
    async with open_timed_study(database) as opened:
        yield opened


@pytest.fixture
def storage(database: Database) -> Iterator[RDBStorage]:
    with open_rdb_storage(database) as storage:
        yield storage


@pytest.fixture
async def reads(database: Database) -> AsyncIterator[Reads]:
    async with open_reads(database) as reads:
        yield reads
