"""The commands of docs/api.md work as they are written."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import optuna
import pytest
from starlette.types import ASGIApp

from service.sandbox import Sandbox
from service.storage.database import Database
from tests.api.conftest import TOKEN
from tests.api.served import serve_app
from tests.plain_optuna import open_rdb_storage

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def url(app: ASGIApp) -> AsyncIterator[str]:
    async with serve_app(app) as url:
        yield url


@pytest.mark.skipif(
    shutil.which("curl") is None and os.environ.get("CI") != "true",
    reason="needs curl, which CI installs",
)
async def test_every_command_works(url: str, database: Database) -> None:
    with open_rdb_storage(database) as storage:
        optuna.create_study(study_name="old", storage=storage)
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) >= 9

    shell = await asyncio.create_subprocess_exec(
        *("sh", "-eu", "-c", "\n".join(blocks)),
        env={**os.environ, "ASKTELL_URL": url, "ASKTELL_TOKEN": TOKEN},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await shell.communicate()

    assert (shell.returncode, errors.decode()) == (0, ""), output.decode()
    assert '"stop_reason":"stopped"' in output.decode()
    assert "params_lr" in output.decode()
    assert "etag: " in output.decode()
