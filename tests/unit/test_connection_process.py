"""The process of a connection: its start, what replaces it, and its end."""

import asyncio
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

from service.schedulers.executors.connection.connection import SystemAway, SystemRefused
from service.schedulers.executors.process.processes import list_processes
from service.schedulers.executors.wandb.connection.system import describe_wandb
from tests.unit.connection_stage import A_MOMENT, KEY, LONG_ENOUGH, Stage, ask, wait_until

INSTALL_IT = [["refuse", "Install it."]]


async def test_a_process_that_does_not_answer_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stage = Stage(tmp_path, ["start", "answer", "be silent"], ["start", "answer"])
    async with stage.open(late_seconds=A_MOMENT) as connection:
        first = await ask(connection)
        with pytest.raises(SystemAway, match=r"wandb\.example did not answer within 0\.2 s\."):
            await ask(connection, seconds=A_MOMENT)
        assert await ask(connection) != first
        assert len(list_own_folders(tmp_path)) == 1
    assert is_gone(first)
    assert not list_own_folders(tmp_path)


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("die", r"The process that calls W&B is gone: It ended with status 3\."),
        ("garble", "The process that calls W&B is gone: It said something that is no answer"),
        (["answer", {"id": 77}], "is gone: It said something that is no answer"),
    ],
)
async def test_a_process_that_is_of_no_use_is_replaced(
    tmp_path: Path, trouble: Any, message: str
) -> None:
    stage = Stage(tmp_path, ["start", "answer", trouble], ["start", "answer"])
    async with stage.open() as connection:
        first = await ask(connection)
        with pytest.raises(SystemAway, match=message):
            await ask(connection)
        assert await ask(connection) != first


async def test_a_process_that_ends_between_calls_is_replaced_unnoticed(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "answer"], ["start", "answer"])
    async with stage.open() as connection:
        first = await ask(connection)
        os.kill(first, signal.SIGKILL)
        # Without a pause, so that asyncio cannot know.
        while any(each.pid == first and each.state != "Z" for each in list_processes()):
            pass
        assert await ask(connection) != first
    assert len(stage.asked) == 2


async def test_a_process_that_does_not_start_is_a_failure_that_may_pass(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["die"], ["start", "echo"])
    async with stage.open() as connection:
        with pytest.raises(SystemAway, match="did not start: ModuleNotFoundError: nothing here"):
            await ask(connection)
        assert await ask(connection, a=1) == {"a": 1}


async def test_without_a_folder_for_it_no_process_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path, ["start", "echo"])
    async with stage.open() as connection:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
        with pytest.raises(SystemAway, match=r"did not start: .*No such file or directory"):
            await ask(connection)
        (tmp_path / "gone").mkdir()
        assert await ask(connection, a=1) == {"a": 1}
    assert not list((tmp_path / "gone").iterdir())


async def test_a_program_that_is_not_there_is_a_failure_that_may_pass(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    async with stage.open(python="/no/python") as connection:
        with pytest.raises(SystemAway, match=r"did not start: .*/no/python"):
            await ask(connection)


async def test_a_process_that_takes_too_long_to_start_is_killed(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["be silent"])
    async with stage.open(start_seconds=A_MOMENT) as connection:
        with pytest.raises(SystemAway, match=r"did not start: It was not ready within 0\.2 s\."):
            await ask(connection)


async def test_a_process_that_cannot_work_says_what_to_do(tmp_path: Path) -> None:
    stage = Stage(tmp_path, INSTALL_IT)
    async with stage.open() as connection:
        with pytest.raises(SystemRefused, match=r"^Install it\.$"):
            await ask(connection)


async def test_a_process_that_cannot_work_is_started_again_after_a_pause(tmp_path: Path) -> None:
    stage = Stage(tmp_path, INSTALL_IT, INSTALL_IT, ["start", "echo"])
    async with stage.open(refused_seconds=30.0) as connection:
        for lives_left in (2, 1):
            for _ in range(3):
                with pytest.raises(SystemRefused, match=r"^Install it\.$"):
                    await ask(connection)
            assert len(list((tmp_path / "lives").iterdir())) == lives_left
            stage.time.seconds += 30
        assert await ask(connection, a=1) == {"a": 1}


async def test_its_start_takes_nothing_from_the_time_of_a_call(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start late", "echo"])
    async with stage.open() as connection:
        asking = asyncio.create_task(ask(connection, a=1))
        await wait_until(lambda: not list((tmp_path / "lives").iterdir()))
        stage.time.seconds += 2 * LONG_ENOUGH
        await stage.let_answer()
        assert await asking == {"a": 1}


async def test_at_its_end_the_process_ends(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "answer"])
    async with stage.open() as connection:
        process = await ask(connection)
        await connection.close()
        assert is_gone(process)
        with pytest.raises(SystemAway, match="The worker ends"):
            await ask(connection)


async def test_at_its_end_a_process_that_goes_on_is_killed(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "stay"])
    async with stage.open(farewell_seconds=A_MOMENT) as connection:
        process = await ask(connection)
    assert is_gone(process)


async def test_at_its_end_calls_fail_that_are_under_way(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["start", "be silent"])
    async with stage.open(farewell_seconds=A_MOMENT) as connection:
        asking = asyncio.create_task(ask(connection))
        await wait_until(lambda: len(stage.asked) == 1)
        waiting = asyncio.create_task(ask(connection))
        await connection.close()
        for call in (asking, waiting):
            with pytest.raises(SystemAway):
                await call


async def test_at_its_end_nobody_waits_for_a_start(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ["be silent"])
    async with stage.open() as connection:
        asking = asyncio.create_task(ask(connection))
        await wait_until(lambda: not list((tmp_path / "lives").iterdir()))
        await connection.close()
        with pytest.raises(SystemAway, match="The worker ends"):
            await asking


def test_the_process_gets_what_wandb_needs_and_no_more() -> None:
    passed = {
        **{"HOME": "/home/train", "PATH": "/bin", "HTTPS_PROXY": "http://proxy.example"},
        **{"WANDB_API_KEY": KEY, "WANDB_BASE_URL": "https://wandb.example"},
        **{"WANDB_CACHE_DIR": "/cache", "WANDB_HTTP_TIMEOUT": "25", "WANDB_ENTITY": "acme"},
    }
    kept_back = {
        **{"ASKTELL_TOKEN": "ours", "AWS_SECRET_ACCESS_KEY": "theirs", "LD_PRELOAD": "odd"},
        **{"WANDB_SERVICE": "another's", "WANDB_MODE": "offline", "WANDB_RUN_ID": "the worker's"},
        **{"WANDB_SWEEP_ID": "s", "WANDB_CONFIG": "{}", "WANDB_DIR": "/runs"},
    }
    system = describe_wandb(passed | kept_back | {"WANDB_SILENT": "false"})
    assert system.environment == passed | {
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_SILENT": "true",
        "WANDB_X_GRAPHQL_RETRY_MAX": "1",
    }
    assert describe_wandb({}).environment["WANDB_HTTP_TIMEOUT"] == "10"


@pytest.mark.parametrize(
    ("name", "setting", "shown"),
    [
        ("WANDB_BASE_URL", "https://ada:hunter%402@wandb.example", "https://ada:…@wandb.example"),
        ("WANDB_HTTPS_PROXY", "http://ada:hun ter2@proxy", "http://ada:…@proxy"),
        ("HTTP_PROXY", "ada:hunter2@proxy:8080", "ada:…@proxy:8080"),
        ("https_proxy", "http://hunter2@proxy", "http://…@proxy"),
        ("HTTPS_PROXY", "http://ada:hunter2/x@proxy", "http://ada:…@proxy"),
    ],
)
def test_passwords_of_addresses_are_not_shown(name: str, setting: str, shown: str) -> None:
    system = describe_wandb({name: setting})
    assert system.redact(f"parse {setting}: no") == f"parse {shown}: no"
    assert "hunter" not in system.host


def test_a_port_that_was_a_password_is_not_shown() -> None:
    system = describe_wandb({"WANDB_BASE_URL": "http://ada:hunter2/x@wandb.example"})
    assert system.redact('invalid port ":hunter2" after host') == 'invalid port ":…" after host'
    assert "hunter2" not in system.host


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def list_own_folders(folder: Path) -> list[Path]:
    return list(folder.glob("asktell-connection-*"))
