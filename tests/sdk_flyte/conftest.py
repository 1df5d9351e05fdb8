"""What flytekit does that the suite's strictness would not let pass, and a quiet Optuna."""

from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from service.storage.database import Database
from tests.flyte_admin.fixtures import flyte_zygote as flyte_zygote
from tests.flyte_admin.fixtures import shared_flyte_admin as shared_flyte_admin
from tests.sdk.servers import ServerProcess

HERE = Path(__file__).parent

# Local runs of flytekit make temporary folders that nobody closes.
UNCLOSED_FOLDERS = "ignore:Implicitly cleaning up <TemporaryDirectory:ResourceWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.filterwarnings(UNCLOSED_FOLDERS))


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
