"""`asktell sweep` with a file whose Python is in an artifact of W&B: the real SDK, the stand-in."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from service.cli.main import app as command_line
from service.sandbox import Sandbox
from tests.api.conftest import TOKEN
from tests.wandb_backend import Backend

PYTHON = "def objective(trial):\n    trial.suggest_int('layers', 1, 4)\n"
FILE = """
job: acme/digits/train:latest
project: mnist
metric: {name: accuracy, goal: maximize}
launch: {queue: gpu}
scheduler: {settings: {optuna_source: 'search:%s'}}
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend() as backend:
        backend.plant_artifact("search", {"optuna_wandb.py": PYTHON.encode()}, project="digits")
        yield backend
        assert backend.unknown == [], "Teach tests/wandb_backend what the SDK asked for."


async def invoke(folder: Path, backend: Backend, alias: str, *words: str, **changes: str) -> Result:
    """Runs a command of somebody who is logged in to the stand-in, unless changes say not."""
    file = folder / "sweep.yaml"
    file.write_text(FILE % alias)
    folders = {f"WANDB_{name}_DIR": str(folder) for name in ("CACHE", "CONFIG", "DATA")}
    environment = {"HOME": str(folder), **folders, "ASKTELL_TOKEN": TOKEN}
    environment |= backend.build_environment() | changes
    return await asyncio.to_thread(
        CliRunner().invoke, command_line, ["sweep", *words, str(file)], env=environment
    )


async def test_the_text_goes_into_the_study_with_where_it_came_from(
    url: str, api: httpx.AsyncClient, backend: Backend, tmp_path: Path
) -> None:
    words = ("run", "--name", "s", "--detach", "--project", "digits")

    result = await invoke(tmp_path, backend, "latest", *words, ASKTELL_URL=url)

    assert result.exit_code == 0, result.output
    assert "The Python is optuna_wandb.py of acme/digits/search:v0" in result.output
    study = (await api.get("/studies/s")).json()
    origin = "wandb-artifact://acme/digits/search:v0/optuna_wandb.py"
    assert study["user_attrs"] == {"python_source": origin}
    assert (await api.get("/studies/s/python")).text == PYTHON


async def test_what_cannot_be_fetched_is_a_problem_of_the_file(
    url: str, backend: Backend, tmp_path: Path
) -> None:
    backend.fail("ArtifactMembershipByName", [503] * 9)
    away = await invoke(tmp_path, backend, "away", "run", ASKTELL_URL=url)
    times_asked = backend.requests["Viewer"]
    stranger = await invoke(tmp_path, backend, "secret", "check", WANDB_API_KEY="other" * 8)

    assert (away.exit_code, stranger.exit_code) == (2, 2)
    where = f"{tmp_path}/sweep.yaml:6: scheduler.settings.optuna_source: "
    assert f"{where}search:away cannot be fetched: W&B at 127.0.0.1" in away.output
    assert times_asked == 1
    assert stranger.output.startswith(
        f"{where}W&B lets nobody who is logged in here read search:secret. Run `wandb login`"
    )
    assert "other" not in stranger.output
