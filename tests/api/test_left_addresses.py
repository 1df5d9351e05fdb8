"""Address files that servers which were killed have left behind."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.cli.data_dir import publish_address
from tests.api.command_use import Run, build_run

NOBODY = "http://127.0.0.1:1"
WRITTEN_AT = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


@pytest.fixture
def run() -> Run:
    return build_run("")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("x" * 43)
    (tmp_path / "token").chmod(0o600)
    address = tmp_path / "address"
    address.write_text(NOBODY)
    os.utime(address, (WRITTEN_AT.timestamp(),) * 2)
    return tmp_path


@pytest.mark.parametrize("by_option", [True, False])
async def test_commands_say_since_when_it_is_there(run: Run, folder: Path, by_option: bool) -> None:
    option = ("--data-dir", folder) if by_option else ()
    environ = {} if by_option else {"ASKTELL_DATA_DIR": str(folder)}

    refused = await run("token", "ls", *option, token="", status=1, **environ)

    assert f"No server runs on {folder}" in refused.stderr
    assert "address file of 2026-03-04 05:06Z" in refused.stderr
    assert "`asktell serve`" in refused.stderr


async def test_an_address_that_was_named_is_not_that_of_the_file(run: Run, folder: Path) -> None:
    environ = {"ASKTELL_DATA_DIR": str(folder)}
    refused = await run("token", "ls", "--url", NOBODY, status=1, **environ)
    assert "No answer from http://127.0.0.1:1" in refused.stderr
    assert "address file" not in refused.stderr


async def test_doctor_says_so(run: Run, folder: Path) -> None:
    found = await run("doctor", token="", status=1, ASKTELL_DATA_DIR=str(folder))
    assert f"No server runs on {folder}" in found.stdout
    assert "address file of 2026-03-04 05:06Z" in found.stdout


async def test_a_new_server_takes_it_over(run: Run, folder: Path, url: str) -> None:
    with publish_address(folder, url):
        answered = await run("token", "ls", "--data-dir", folder, status=None)
        assert "the token" in answered.stderr
        assert "address file" not in answered.stderr
    refused = await run("token", "ls", "--data-dir", folder, token="", status=1)
    assert f"No server runs on {folder}. Start `asktell serve`" in refused.stderr
