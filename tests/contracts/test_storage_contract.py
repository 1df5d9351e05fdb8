"""What Optuna expects of any storage, expected of mirror, writer and loader together."""

from collections.abc import Iterator

import pytest
from optuna.storages import BaseStorage
from optuna.testing.pytest_storages import StorageTestCase

from service.storage.database import Database
from tests.contracts.mirror_storage import FlushingStorage, MirrorStorage


class TestInPostgres(StorageTestCase):
    @pytest.fixture
    def storage(self, lasting_database: Database) -> Iterator[BaseStorage]:
        storage = FlushingStorage(lasting_database)
        yield storage
        for study in storage.get_all_studies():
            storage.delete_study(study._study_id)
        storage.close()


class TestInMemory(StorageTestCase):
    """A mirror that is never reloaded, as long as an actor lives."""

    @pytest.fixture
    def storage(self) -> BaseStorage:
        return MirrorStorage()
