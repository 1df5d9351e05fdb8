"""`asktell token`: the commands in this process, against the application on a port of it."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.cli.failures import CannotStart
from service.cli.new_files import open_new_file
from tests.api.command_use import Run, build_run
from tests.api.conftest import TOKEN, SettableClock


@pytest.fixture(autouse=True)
def common_time(clock: SettableClock) -> None:
    """Commands go by the machine's clock."""
    clock.now = datetime.now(UTC)


@pytest.fixture
def run(url: str) -> Run:
    """Runs `asktell token …`, however it ends."""
    return partial(build_run(url, "token"), status=None)


async def list_tokens(api: httpx.AsyncClient) -> dict[str, Any]:
    return {token["name"]: token for token in (await api.get("/tokens")).json()["tokens"]}


async def test_makes_lists_and_revokes(run: Run, url: str, api: httpx.AsyncClient) -> None:
    assert "token create" in (await run("ls")).stdout
    made = await run("create", "[b]ada", "--scope", "user", "--expires-in", "30d")
    assert made.exit_code == 0, made.output
    token = made.stdout.strip()
    assert token.startswith("ask_")
    assert "ASKTELL_TOKEN" in made.stderr

    with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as ada:
        opened = await asyncio.to_thread(ada.get, f"{url}/studies")
    assert opened.status_code == 200
    listed = await run("ls")
    assert "[b]ada" in listed.stdout
    assert "good" in listed.stdout
    assert token not in listed.output
    expires_at = datetime.fromisoformat((await list_tokens(api))["[b]ada"]["expires_at"])
    assert timedelta(days=29) < expires_at - datetime.now(UTC) <= timedelta(days=30)

    revoked = await run("revoke", "[b]ada")

    assert revoked.exit_code == 0, revoked.output
    assert "revoked" in (await run("ls")).stdout


async def test_prints_json(run: Run, api: httpx.AsyncClient) -> None:
    made = json.loads((await run("create", "gpu", "--scope", "worker", "--json")).stdout)
    assert made.keys() == {"name", "scope", "token", "created_at", "expires_at"}
    assert (made["scope"], made["expires_at"]) == ("worker", None)
    listed = json.loads((await run("ls", "--json")).stdout)
    assert listed["tokens"] == list((await list_tokens(api)).values())
    assert json.loads((await run("revoke", "gpu", "--json")).stdout) == {"revoked": "gpu"}


async def test_takes_the_token_of_a_data_directory(run: Run, url: str, tmp_path: Path) -> None:
    (tmp_path / "address").write_text(url)

    for token, status in ((TOKEN, 0), ("wrong", 1)):
        (tmp_path / "token").write_text(token)
        listed = await run("ls", "--data-dir", str(tmp_path), ASKTELL_URL="http://127.0.0.1:1")
        assert listed.exit_code == status, listed.output


async def test_the_token_of_a_data_directory_goes_to_its_own_server_alone(
    run: Run, url: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    stopped = await run("ls", "--data-dir", str(tmp_path))
    (tmp_path / "address").write_text("http://127.0.0.1:1")
    another = await run("ls", "--data-dir", str(tmp_path), "--url", url)

    assert (stopped.exit_code, another.exit_code) == (1, 1)
    assert "asktell serve" in stopped.stderr
    assert "for http://127.0.0.1:1 alone" in another.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "hint"),
    [
        (("create", "ada", "--scope", "user"), 1, "asktell token revoke"),
        (("create", "new", "--scope", "user", "--expires-in", "soon"), 2, "--expires-in"),
        (("create", "a/b", "--scope", "user"), 2, "slash"),
        (("revoke", "nobody"), 1, "no token of the name 'nobody'"),
    ],
)
async def test_says_what_stands_in_the_way(
    run: Run, api: httpx.AsyncClient, arguments: tuple[str, ...], status: int, hint: str
) -> None:
    await api.post("/tokens", json={"name": "ada", "scope": "user"})

    failed = await run(*arguments)

    assert failed.exit_code == status
    assert hint in failed.stderr
    assert failed.stdout == ""
    assert TOKEN not in failed.output


async def test_takes_an_administrator(run: Run) -> None:
    ada = (await run("create", "ada", "--scope", "user")).stdout.strip()

    refused = await run("ls", token=ada)

    assert refused.exit_code == 1
    assert "`admin`" in refused.stderr
    assert ada not in refused.output


async def test_keeps_a_token_in_a_file(run: Run, tmp_path: Path, api: httpx.AsyncClient) -> None:
    file = tmp_path / "token"
    wanted = ("create", "gpu", "--scope", "worker", "--file", str(file))

    made = await run(*wanted)
    first = file.read_text()
    again = await run(*wanted)

    assert (made.exit_code, again.exit_code) == (0, 0), made.output + again.output
    assert file.stat().st_mode & 0o777 == 0o600
    assert first.strip() not in made.output
    assert "already" in again.stderr
    as_json = json.loads((await run(*wanted, "--json")).stdout)
    assert as_json == {"name": "gpu", "scope": "worker"}
    assert file.read_text() == first
    assert (await list_tokens(api))["gpu"]["scope"] == "worker"


@pytest.mark.parametrize("loss", ["deleted", "revoked", "wrong"])
async def test_makes_the_token_of_a_file_anew_when_it_is_no_good(
    run: Run, tmp_path: Path, api: httpx.AsyncClient, loss: str
) -> None:
    file = tmp_path / "token"
    wanted = ("create", "gpu", "--scope", "worker", "--file", str(file))
    await run(*wanted)
    first = file.read_text()
    if loss == "deleted":
        file.unlink()
    elif loss == "revoked":
        await run("revoke", "gpu")
    else:
        file.write_text("wrong")

    result = await run(*wanted)

    assert result.exit_code == 0, result.output
    headers = {"Authorization": f"Bearer {file.read_text().strip()}"}
    assert (await api.get("/session", headers=headers)).json()["name"] == "gpu"
    assert file.read_text() != first
    headers = {"Authorization": f"Bearer {first.strip()}"}
    assert (await api.get("/session", headers=headers)).status_code == 401


async def test_no_token_is_made_or_revoked_for_a_file_that_cannot_be(
    run: Run, tmp_path: Path, api: httpx.AsyncClient
) -> None:
    await run("create", "gpu", "--scope", "worker")
    before = await list_tokens(api)

    for name in ("gpu", "new"):
        wanted = ("create", name, "--scope", "worker", "--file", str(tmp_path / "no" / "f"))
        result = await run(*wanted)
        assert result.exit_code == 1
        assert "cannot be written" in result.stderr

    assert await list_tokens(api) == before


def test_a_new_file_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "token").mkdir()

    with pytest.raises(CannotStart), open_new_file(tmp_path / "token") as new:
        new.replace(TOKEN)

    assert [path.name for path in tmp_path.iterdir()] == ["token"]
