"""What a worker says at its start where nothing tells it of a Flyte."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flytekit.configuration import PlatformConfig
from flytekit.configuration.file import get_config_file

from service.cli.worker_executors import open_executors
from service.schedulers.executors.flyte.system import DEFAULT_ENDPOINT
from service.schedulers.workdir import open_workdir
from service.settings import WorkerSettings, list_default_executors
from tests.log_lines import open_log

CONFIG = "admin:\n  endpoint: flyte.example.org\n"
LEGACY = "[platform]\nurl = flyte.example.org\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of a worker in a folder without settings."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "cwd").mkdir()
    (tmp_path / ".flyte").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    get_config_file.cache_clear()
    yield tmp_path
    get_config_file.cache_clear()


async def read_start(workdir: Path) -> list[dict[str, Any]]:
    """What a worker with this one executor logs before it does anything."""
    with open_log() as log, open_workdir(workdir) as opened:
        async with open_executors(WorkerSettings(executors=("flyte",)), opened):
            return log.read_lines()


@pytest.mark.parametrize("named", ["", "absent.yaml"])
async def test_a_worker_without_settings_says_what_it_will_call(
    home: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("FLYTECTL_CONFIG", named)

    (line,) = await read_start(home / "worker")

    assert (line["event"], line["level"]) == ("flyte.not_configured", "warning")
    assert line["endpoint"] == DEFAULT_ENDPOINT == PlatformConfig.auto().endpoint
    assert "Set FLYTE_PLATFORM_URL" in line["reason"]
    assert "flyte" not in list_default_executors()


@pytest.mark.parametrize(
    ("file", "text", "variables"),
    [
        (None, "", {"FLYTE_PLATFORM_URL": "flyte.example.org"}),
        ("named.yaml", CONFIG, {"FLYTECTL_CONFIG": "../named.yaml"}),
        (".flyte/config.yaml", CONFIG, {}),
        (".flyte/config.yaml", CONFIG, {"FLYTECTL_CONFIG": "absent.yaml"}),
        (".flyte/config", LEGACY, {}),
        ("cwd/flytekit.config", LEGACY, {}),
    ],
)
async def test_a_worker_finds_the_settings_that_flytekit_finds(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: str | None,
    text: str,
    variables: dict[str, str],
) -> None:
    assert "flyte" not in list_default_executors()
    if file is not None:
        (home / file).write_text(text)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert PlatformConfig.auto().endpoint == "flyte.example.org"
    assert await read_start(home / "worker") == []
    assert "flyte" in list_default_executors()
