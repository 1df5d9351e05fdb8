"""How a worker, or the one inside a server, is set up."""

import sys
from pathlib import Path
from typing import Any

import pytest
from asktell.workers import WorkerClient
from pydantic import ValidationError
from typer.testing import CliRunner

from service.cli.failures import CannotStart
from service.cli.inner_worker import decide
from service.cli.main import app
from service.cli.worker_executors import check_executors, find_interpreter, open_executors
from service.cli.worker_process import run_worker
from service.schedulers.workdir import open_workdir
from service.settings import Settings, WorkerSettings
from tests.log_lines import open_log

URL = "http://127.0.0.1:9"


def build_client() -> WorkerClient:
    return WorkerClient(URL, "a-token-for-tests")


def decide_for(worker_settings: WorkerSettings | None = None, **settings: Any) -> dict[str, Any]:
    given = Settings(data_dir=Path("/data"), **settings)
    return decide(given, worker_settings or WorkerSettings(), url=URL, token="t")


def test_every_setting_is_described() -> None:
    assert all(field.description for field in WorkerSettings.model_fields.values())


def test_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASKTELL_WORKER_SLOTS", "3")
    monkeypatch.setenv("ASKTELL_WORKER_ALLOW_PROGRAMS", "/srv/*/train.py, /opt/tune ,")
    monkeypatch.setenv("ASKTELL_WORKER_PASS_ENV", "WANDB_API_KEY")

    settings = WorkerSettings()

    assert settings.slots == 3
    assert settings.allow_programs == ("/srv/*/train.py", "/opt/tune")
    assert settings.pass_env == ("WANDB_API_KEY",)
    assert settings.executors == ("process", "wandb", "wandb-launch", "wandb-agent")
    assert settings.queue == "default"


@pytest.mark.parametrize("slots", [0, 1001])
def test_refuses_slots_that_no_worker_has(slots: int) -> None:
    with pytest.raises(ValidationError):
        WorkerSettings(slots=slots)


def test_the_interpreter_is_that_of_the_active_environment(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.touch(mode=0o755)
    path = {"PATH": str(tmp_path)}

    assert find_interpreter({**path, "VIRTUAL_ENV": "/venv"}) == str(python)
    assert find_interpreter({**path, "CONDA_PREFIX": "/conda"}) == str(python)
    assert find_interpreter({"PATH": "/nowhere", "VIRTUAL_ENV": "/venv"}) == sys.executable
    assert find_interpreter(path) == sys.executable


def test_a_private_server_runs_any_program() -> None:
    assert decide_for()["allow_programs"] == ["*"]
    assert decide_for(host="localhost")["allow_programs"] == ["*"]


@pytest.mark.parametrize(
    "settings",
    [
        {"host": "0.0.0.0"},
        {"database_url": "postgresql://user@db/asktell"},
        {"allowed_hosts": ("asktell.example",)},
    ],
)
def test_any_other_server_runs_what_is_in_the_workers_folder(settings: dict[str, Any]) -> None:
    assert decide_for(**settings)["allow_programs"] == ["/data/inner-worker/*"]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_what_the_operator_allows_counts(host: str) -> None:
    worker_settings = WorkerSettings(allow_programs=("/srv/train.py",), workdir=Path("/srv/worker"))

    decided = decide_for(worker_settings, host=host)

    assert decided["allow_programs"] == ["/srv/train.py"]
    assert decided["workdir"] == "/srv/worker"


def test_an_unknown_executor_is_named(tmp_path: Path) -> None:
    settings = WorkerSettings(executors=("procces",))

    with pytest.raises(CannotStart, match="'procces'"):
        run_worker(settings, build_client(), workdir=tmp_path)


def test_an_executor_without_its_package_says_how_to_get_it() -> None:
    check_executors(["process"], available=["process"])

    with pytest.raises(CannotStart, match=r"pip install 'asktell-server\[wandb\]'"):
        check_executors(["process", "wandb"], available=["process"])


async def test_a_worker_has_all_executors_that_are_installed(tmp_path: Path) -> None:
    with open_workdir(tmp_path) as workdir:
        async with open_executors(WorkerSettings(), workdir) as opened:
            named = {executor.name: executor.is_shared for executor in opened.executors}

    assert named == {
        "process": False,
        "wandb": False,
        "wandb-launch": True,
        "wandb-agent": True,
    }


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with open_workdir(tmp_path), pytest.raises(CannotStart, match="Another worker is running"):
        run_worker(WorkerSettings(), build_client(), workdir=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["--url", "ftp://server"], 2, "looks like http"),
        (["--url", "http://server.example"], 1, "Set ASKTELL_TOKEN"),
        (["--url", URL, "--token-file", "/nowhere/token"], 2, "/nowhere/token"),
        (["--slots", "0"], 2, "ASKTELL_WORKER_SLOTS"),
        ([], 1, "asktell serve"),
    ],
)
def test_the_command_says_what_is_wrong(
    arguments: list[str], status: int, reason: str, tmp_path: Path
) -> None:
    with open_log():
        result = CliRunner().invoke(app, ["worker", "--data-dir", str(tmp_path), *arguments])

    assert result.exit_code == status
    assert reason in result.stderr
