"""Studies, a server, and a Flyte for the optimizer."""

from collections.abc import Iterator

import optuna
import pytest

from service.storage.database import Database
from tests.flyte_admin.fixtures import flyte_zygote as flyte_zygote
from tests.flyte_admin.fixtures import shared_flyte_admin as shared_flyte_admin
from tests.sdk.servers import ServerProcess


@pytest.fixture
def study() -> optuna.Study:
    """A study that minimises, with the same suggestions each time."""
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))


@pytest.fixture(scope="module")
def server(
    shared_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A real server, for all tests of a module."""
    process = ServerProcess(shared_database.url, tmp_path_factory.mktemp("server"))
    process.start()
    yield process
    process.stop()
