"""`asktell sweep`, and a sweep that was made with it."""

from functools import partial
from pathlib import Path

import pytest

from tests.api.command_use import Run, build_run
from tests.api.sweep_commands.use import FILE


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lenet.yaml"
    path.write_text(FILE)
    return path


@pytest.fixture
def run(url: str) -> Run:
    """Runs `asktell sweep …`, however it ends."""
    return partial(build_run(url, "sweep"), status=None, COLUMNS="200")


@pytest.fixture
async def sweep(run: Run, file: Path) -> str:
    """A sweep `s` whose trials nobody launches unless the test does."""
    result = await run("run", file, "--name", "s", "--detach")
    assert result.exit_code == 0, result.output
    return "s"
