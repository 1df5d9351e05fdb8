"""Files of W&B's artifacts, fetched by the real SDK from the stand-in."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from service.schedulers.executors.connection.connection import SystemConnection, SystemRefused
from tests.wandb.connection_use import build_worker_environment, open_connection
from tests.wandb_backend import Backend

pytestmark = pytest.mark.asyncio(loop_scope="module")

PYTHON = "def objective(trial):\n    trial.suggest_float('größe', 0, 1)\n"
LIMIT = 1000


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def connection(
    backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SystemConnection]:
    backend.plant_artifact(
        "search",
        {
            "optuna_wandb.py": PYTHON.encode(),
            "in/other.py": b"pass",
            "binary.py": b"\xff",
            "long.py": b"#" * (LIMIT + 1),
        },
        references={"elsewhere.py": "file:///etc/hostname"},
    )
    folder = tmp_path_factory.mktemp("wandb")
    environment = build_worker_environment(backend, folder) | {"WANDB_PROJECT": "mnist"}
    connection = open_connection(environment)
    yield connection
    await connection.close()


async def read(
    connection: SystemConnection, file: str, artifact: str = "search:latest"
) -> dict[str, str]:
    found: dict[str, str] = await connection.call(
        "read_artifact_file",
        {"artifact": artifact, "file": file, "max_bytes": LIMIT},
        deadline_seconds=60.0,
    )
    return found


@pytest.mark.parametrize("artifact", ["search:latest", "mnist/search:v0", "acme/mnist/search:v0"])
async def test_a_text_comes_with_the_version_that_has_it(
    connection: SystemConnection, artifact: str
) -> None:
    found = await read(connection, "optuna_wandb.py", artifact)

    assert found == {"text": PYTHON, "version": "acme/mnist/search:v0"}
    assert (await read(connection, "in/other.py", artifact))["text"] == "pass"


@pytest.mark.parametrize(
    ("artifact", "file", "words"),
    [
        ("search:v1", "a.py", "There is no such artifact: .*'search:v1' not found in 'acme/mnist'"),
        ("none/search:v0", "a.py", "There is no such artifact: project 'none' not found"),
        ("search:v0", "a.py", "search:v0 has no file a.py; it has binary.py, elsewhere.py, in/oth"),
        ("search:v0", "binary.py", "binary.py of acme/mnist/search:v0 is not UTF-8"),
        ("search:v0", "long.py", "longer than 1000 bytes"),
        ("search:v0", "elsewhere.py", "a reference to what is not stored in W&B"),
    ],
)
async def test_what_is_no_text_of_wandbs_is_refused(
    connection: SystemConnection, artifact: str, file: str, words: str
) -> None:
    with pytest.raises(SystemRefused, match=words):
        await read(connection, file, artifact)


@pytest.mark.parametrize("download", ["storage", "artifact_file"])
async def test_a_failed_download_tells_no_address(
    backend: Backend, connection: SystemConnection, download: str
) -> None:
    backend.fail(download, [404])

    with pytest.raises(SystemRefused, match=r"^The download failed: HTTP 404\.$"):
        await read(connection, "optuna_wandb.py")
