"""`asktell doctor`: what it makes of what is here, and that it tells no secret."""

import json
import sys
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.testing import capture_logs

from service import __version__
from service.cli.data_dir import hold_data_dir
from service.cli.doctor import machine
from service.cli.doctor.data import check_binaries, check_data_dir, check_database
from service.cli.doctor.findings import Finding, Verdict, doubtful, find_worst, right, wrong
from service.cli.doctor.server import compare_clocks, judge_answer
from service.cli.failures import CannotStart
from service.settings import Settings
from service.storage.database import Database
from tests.api.command_use import build_run
from tests.api.conftest import TOKEN
from tests.api.served import serve_app

SECRET = "s3cret-of-somebody"
NOW = 1_800_000_000.0


async def examine(url: str, *, status: int, **environ: str) -> dict[str, Any]:
    """The findings of a whole look by subject, after a check that nothing is given away."""
    result = await build_run(url, "doctor", "--json")(status=status, **environ)
    for secret in (TOKEN, SECRET):
        assert secret not in result.output
    document = json.loads(result.stdout)
    return {each["subject"]: each for each in document["findings"]} | {"all": document["verdict"]}


async def test_finds_a_server_and_its_database_right(
    app: ASGIApp, database: Database, tmp_path: Path
) -> None:
    environ = {"ASKTELL_DATABASE_URL": database.url, "ASKTELL_DATA_DIR": str(tmp_path)}
    with capture_logs():
        async with serve_app(app) as url:
            found = await examine(url, status=0, WANDB_API_KEY=SECRET, **environ)
            refused = await examine(url, status=1, token=f"{SECRET}-wrong", **environ)

    for subject in ("Python", "data directory", "server", "token", "clock", "database"):
        assert found[subject]["verdict"] == "right", found[subject]
    assert found["server"]["message"] == f"{url}, {__version__}"
    assert refused["token"]["verdict"] == refused["all"] == "wrong"
    assert "asktell token create" in refused["token"]["advice"]


async def test_tells_what_is_wrong_without_a_server(tmp_path: Path) -> None:
    bad_database = f"postgresql://u:{SECRET}@127.0.0.1:1/x"
    environ = {"ASKTELL_DATA_DIR": str(tmp_path / "none"), "ASKTELL_DATABASE_URL": bad_database}

    found = await examine("http://127.0.0.1:1", status=1, **environ)
    unset = await examine("", status=1, token="", **environ)
    unreadable = await examine("", status=1, ASKTELL_PORT=SECRET)
    worker = await examine("", status=1, ASKTELL_WORKER_SLOTS="-3")

    assert found["server"]["verdict"] == "wrong"
    assert "asktell serve" in found["server"]["advice"]
    assert found["database"]["verdict"] == "wrong"
    assert "ASKTELL_DATABASE_URL" in found["database"]["message"]
    assert found["data directory"]["verdict"] == "right"
    assert not (tmp_path / "none").exists()
    assert unset["server"]["verdict"] == "doubtful"
    assert "ASKTELL_PORT" in unreadable["settings"]["message"]
    assert "wandb" in unreadable
    assert "ASKTELL_WORKER_SLOTS" in worker["worker settings"]["message"]


async def test_gives_a_stranger_no_token(tmp_path: Path) -> None:
    seen: list[dict[bytes, bytes]] = []

    async def stranger(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope["headers"]))
        await PlainTextResponse("Hello")(scope, receive, send)

    async with serve_app(stranger) as url:
        found = await examine(url, status=1, ASKTELL_DATA_DIR=str(tmp_path))

    assert "is not Asktell" in found["server"]["message"]
    assert seen
    assert not [headers for headers in seen if b"authorization" in headers]


async def test_shows_a_table(tmp_path: Path) -> None:
    run = build_run("http://127.0.0.1:1", "doctor")

    shown = await run(status=1, ASKTELL_DATA_DIR=str(tmp_path), ASKTELL_USER_CODE="off")

    assert "✓   Python " in shown.stdout
    assert "✗   server " in shown.stdout
    assert "what to do" in shown.stdout
    assert shown.stdout.rstrip().endswith("1 wrong")


def test_an_unmigrated_database_is_wrong(empty_database: Database) -> None:
    found = check_database(Settings(database_url=empty_database.url))
    assert (found.verdict, "asktell db upgrade" in found.message) == (Verdict.WRONG, True)


@pytest.mark.parametrize(
    ("folder_mode", "token_mode", "verdict", "advice"),
    [
        (0o700, 0o600, Verdict.RIGHT, None),
        (0o711, 0o600, Verdict.RIGHT, None),
        (0o777, 0o600, Verdict.DOUBTFUL, "chmod go-w"),
        (0o700, 0o640, Verdict.WRONG, "chmod 600"),
    ],
)
def test_looks_at_the_modes_of_the_data_directory(
    tmp_path: Path, folder_mode: int, token_mode: int, verdict: Verdict, advice: str | None
) -> None:
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "token").chmod(token_mode)
    tmp_path.chmod(folder_mode)

    found = check_data_dir(tmp_path)

    assert found.verdict is verdict
    assert "with token" in found.message
    assert found.advice is None if advice is None else str(found.advice).startswith(advice)


@pytest.mark.parametrize(
    ("status", "headers", "verdict", "words"),
    [
        (200, {"Asktell-Version": __version__}, Verdict.RIGHT, __version__),
        (200, {"Asktell-Version": "99.0"}, Verdict.DOUBTFUL, "another version"),
        (503, {"Asktell-Version": __version__}, Verdict.WRONG, "not ready"),
        (200, {}, Verdict.WRONG, "not Asktell"),
    ],
)
def test_judges_what_answers(
    status: int, headers: dict[str, str], verdict: Verdict, words: str
) -> None:
    found = judge_answer("http://h", httpx.Response(status, headers=headers))
    assert found.verdict is verdict
    assert words in found.message


@pytest.mark.parametrize(
    ("apart", "verdict"), [(3, Verdict.RIGHT), (-60, Verdict.DOUBTFUL), (60, Verdict.DOUBTFUL)]
)
def test_compares_clocks(apart: float, verdict: Verdict) -> None:
    headers = httpx.Headers({"Date": formatdate(NOW + apart, usegmt=True)})
    (found,) = compare_clocks(headers, NOW)
    assert found.verdict is verdict
    assert not list(compare_clocks(httpx.Headers(), NOW))


@pytest.mark.parametrize(
    ("environ", "lines", "verdict", "source"),
    [
        ({}, "", Verdict.DOUBTFUL, "without a key"),
        ({"WANDB_API_KEY": SECRET}, "", Verdict.RIGHT, "key from WANDB_API_KEY"),
        ({}, f"machine api.wandb.ai login user password {SECRET}", Verdict.RIGHT, "netrc"),
        (
            {},
            f"machine api.forge.coreweave.com login user password {SECRET}",
            Verdict.RIGHT,
            "netrc",
        ),
        ({}, f"machine other.example login user password {SECRET}", Verdict.DOUBTFUL, "without"),
        (
            {"WANDB_BASE_URL": "https://wandb.example:8443"},
            f"machine wandb.example:8443 login user password {SECRET}",
            Verdict.RIGHT,
            "netrc",
        ),
        (
            {"WANDB_BASE_URL": "https://wandb.example:8443"},
            f"machine wandb.example login user password {SECRET}",
            Verdict.DOUBTFUL,
            "without",
        ),
        ({}, "machine", Verdict.DOUBTFUL, "without"),
    ],
)
def test_finds_the_key_of_wandb(
    tmp_path: Path, environ: dict[str, str], lines: str, verdict: Verdict, source: str
) -> None:
    pytest.importorskip("wandb")
    (tmp_path / "netrc").write_text(lines)
    (tmp_path / "netrc").chmod(0o600)

    found = machine.check_wandb(
        {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc"), **environ}
    )

    assert found.verdict is verdict
    assert source in found.message
    assert SECRET not in str(found)


def test_looks_at_the_machine(tmp_path: Path) -> None:
    assert sys.executable in machine.check_python().message
    assert "GiB free" in machine.check_disk(tmp_path / "not" / "yet").message
    assert check_binaries(Settings(data_dir=tmp_path)).verdict is Verdict.RIGHT
    off = machine.check_sandbox(Settings(user_code="off"))
    assert (off.verdict, "ASKTELL_USER_CODE" in off.message) == (Verdict.RIGHT, True)
    assert machine.check_torch().verdict is machine.check_flytekit().verdict is Verdict.RIGHT


@pytest.mark.parametrize(
    ("findings", "worst"),
    [
        ([], Verdict.RIGHT),
        ([right("a", "b"), doubtful("a", "b")], Verdict.DOUBTFUL),
        ([wrong("a", "b"), doubtful("a", "b")], Verdict.WRONG),
    ],
)
def test_the_worst_counts(findings: list[Finding], worst: Verdict) -> None:
    assert find_worst(findings) is worst


def test_a_folder_that_cannot_be_looked_at_is_wrong(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 300)
    for found in (check_data_dir(folder), check_database(Settings(data_dir=folder))):
        assert found.verdict is Verdict.WRONG
        assert "cannot be looked at (File name too long)" in found.message


def test_a_folder_that_cannot_be_locked_starts_no_server(tmp_path: Path) -> None:
    (tmp_path / "server.lock").mkdir()
    with pytest.raises(CannotStart, match="cannot be used"), hold_data_dir(tmp_path):
        pass


async def test_a_setting_that_is_wrong_leaves_the_server_to_be_looked_at(
    app: ASGIApp, tmp_path: Path
) -> None:
    async with serve_app(app) as url:
        found = await examine(
            url,
            status=1,
            token="short",
            ASKTELL_DATA_DIR=str(tmp_path),
        )

    assert "ASKTELL_TOKEN: It needs at least 16 characters" in found["settings"]["message"]
    assert (found["server"]["verdict"], found["token"]["verdict"]) == ("right", "wrong")
