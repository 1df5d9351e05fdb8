"""The `asktell` commands as real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from service import __version__
from service.storage.database import Database

ASKTELL = (sys.executable, "-m", "service.cli.main")
START_SECONDS = 60
TOKEN = "a-token-for-tests-0123456789"


def build_environment(**settings: str) -> dict[str, str]:
    inherited = {key: v for key, v in os.environ.items() if not key.startswith("ASKTELL_")}
    settings = {"worker": "0", **settings}
    return {**inherited, **{f"ASKTELL_{key.upper()}": v for key, v in settings.items()}}


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ASKTELL, *arguments],
        env=build_environment(**settings),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


@contextmanager
def serve(data_dir: Path, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*ASKTELL, "serve", "--port", "0", *arguments],
        env=build_environment(data_dir=str(data_dir), **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for_address(process: subprocess.Popen[str], data_dir: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while not (data_dir / "address").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return (data_dir / "address").read_text().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_told_to_stop(
    database: Database, tmp_path: Path, number: signal.Signals
) -> None:
    with serve(tmp_path, database_url=database.url) as process:
        url = wait_for_address(process, tmp_path)
        token = (tmp_path / "token").read_text().strip()
        assert httpx.get(f"{url}/readyz").status_code == 200
        bearer = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{url}/studies", headers=bearer).json()["studies"] == []

        link = run("login-link", "--json", data_dir=str(tmp_path))
        assert link.returncode == 0, link.stderr
        with httpx.Client() as browser:
            assert browser.get(json.loads(link.stdout)["url"]).status_code == 303
            assert browser.get(f"{url}/studies").status_code == 200

        process.send_signal(number)
        output, _ = process.communicate(timeout=START_SECONDS)

    assert process.returncode == 0, output
    assert f"{url}/login/" in output
    assert str(tmp_path / "token") in output
    assert token not in output
    assert "Traceback" not in output
    assert not (tmp_path / "address").exists()


def test_refuses_an_unmigrated_database_until_it_is_upgraded(
    empty_database: Database, tmp_path: Path
) -> None:
    settings = {"data_dir": str(tmp_path), "port": "0", "database_url": empty_database.url}
    for command in (("serve",), ("db", "check")):
        refused = run(*command, **settings)
        assert refused.returncode == 1
        assert "asktell db upgrade" in refused.stderr
        assert "Traceback" not in refused.stderr

    upgraded = run("db", "upgrade", **settings)

    assert upgraded.returncode == 0, upgraded.stderr
    checked = run("db", "check", "--json", **settings)
    assert (checked.returncode, checked.stdout) == (0, '{"is_current": true}\n')


def test_serve_migrates_when_asked(empty_database: Database, tmp_path: Path) -> None:
    with serve(tmp_path, "--migrate", database_url=empty_database.url) as process:
        url = wait_for_address(process, tmp_path)
        assert httpx.get(f"{url}/readyz").status_code == 200


def test_runs_a_postgres_of_its_own(open_folder: Path) -> None:
    data_dir = open_folder
    study = {"name": "kept", "direction": "minimize"}
    for expected_status in (201, 200):
        with serve(data_dir) as process:
            url = wait_for_address(process, data_dir)
            bearer = {"Authorization": f"Bearer {(data_dir / 'token').read_text().strip()}"}
            made = httpx.post(f"{url}/studies", json={**study, "if_exists": "load"}, headers=bearer)
            process.terminate()
            output, _ = process.communicate(timeout=START_SECONDS)
        assert made.status_code == expected_status, made.text
        assert process.returncode == 0, output


@pytest.mark.parametrize(
    ("settings", "status", "word"),
    [
        ({"database_url": "postgres://u:hidden@@@/x?y"}, 2, "ASKTELL_DATABASE_URL"),
        ({"database_url": "mysql://u:hidden@h/x"}, 2, "ASKTELL_DATABASE_URL"),
        ({"database_url": "postgres://u:hidden@127.0.0.1:1/x"}, 1, "ASKTELL_DATABASE_URL"),
        ({"port": "hidden"}, 2, "ASKTELL_PORT"),
        ({"token": "hidden"}, 2, "ASKTELL_TOKEN"),
    ],
)
def test_explains_what_stands_in_the_way(
    tmp_path: Path, settings: dict[str, str], status: int, word: str
) -> None:
    failed = run("serve", **{"port": "0", "data_dir": str(tmp_path), **settings})

    assert failed.returncode == status
    assert word in failed.stderr
    assert "hidden" not in failed.stderr
    assert "Traceback" not in failed.stderr


def test_needs_a_server_for_a_login_link(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    no_server = run("login-link", data_dir=str(tmp_path))
    elsewhere = run("login-link", url="http://127.0.0.1:1", token=TOKEN)

    assert (no_server.returncode, elsewhere.returncode) == (1, 1)
    assert "asktell serve" in no_server.stderr
    assert "http://127.0.0.1:1" in elsewhere.stderr
    assert TOKEN not in no_server.stderr + elsewhere.stderr


@pytest.mark.parametrize("words", [("--version",), ("doctor",)])
def test_a_full_disk_leaves_a_sentence(tmp_path: Path, words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        failed = subprocess.run(
            [*ASKTELL, *words],
            env=build_environment(data_dir=str(tmp_path)),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert failed.returncode == 1
    assert failed.stderr == "asktell: The output cannot be written: No space left on device.\n"


def test_shows_its_version() -> None:
    assert run("--version").stdout == f"asktell {__version__}\n"


def test_two_servers_on_one_data_directory_are_refused(database: Database, tmp_path: Path) -> None:
    settings = {"database_url": database.url, "dashboard": "false"}
    with serve(tmp_path, **settings) as first:
        url = wait_for_address(first, tmp_path)
        second = run("serve", "--port", "0", data_dir=str(tmp_path), **settings)
        assert second.returncode == 1
        assert "Another server" in second.stderr
        assert httpx.get(f"{url}/readyz").status_code == 200
        assert (tmp_path / "address").exists()


def test_replays_a_study_beside_its_server_and_without(open_folder: Path) -> None:
    with serve(open_folder) as process:
        url = wait_for_address(process, open_folder)
        bearer = {"Authorization": f"Bearer {(open_folder / 'token').read_text().strip()}"}
        with httpx.Client(base_url=url, headers=bearer) as client:
            ask_for_trials(client, count=3)
        beside = run("study", "replay", "s", data_dir=str(open_folder))
        checked = run("db", "check", data_dir=str(open_folder))
        process.terminate()
        output, _ = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 0, output
    without = run("study", "replay", "s", "--json", data_dir=str(open_folder))

    assert checked.returncode == 0, checked.stderr
    assert beside.returncode == 0, beside.stderr
    assert (
        beside.stdout == "Study 's' repeats exactly: 3 trials, 3 values that its sampler chose.\n"
    )
    assert without.returncode == 0, without.stderr
    agreed = {"study": "s", "trials": 3, "values": 3, "difference": None}
    assert json.loads(without.stdout) == agreed


def test_shows_where_a_study_does_not_repeat(database: Database, tmp_path: Path) -> None:
    settings = {"data_dir": str(tmp_path), "database_url": database.url}
    with serve(tmp_path, database_url=database.url, token=TOKEN) as process:
        url = wait_for_address(process, tmp_path)
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=url, headers=bearer) as client:
            x = ask_for_trials(client, count=2)[1]
    with psycopg.connect(database.conninfo) as connection:
        connection.execute("UPDATE trial_params SET param_value = 0.5 WHERE param_value = %s", [x])

    told = run("study", "replay", "s", **settings)
    as_json = run("study", "replay", "s", "--json", **settings)
    unknown = run("study", "replay", "nowhere", **settings)

    assert (told.returncode, as_json.returncode, unknown.returncode) == (1, 1, 1)
    assert f"trial 1: 'x' is 0.5, derived anew it is {x}." in told.stdout
    difference = {"trial": 1, "param": "x", "stored": 0.5, "derived": x}
    assert json.loads(as_json.stdout)["difference"] == difference
    assert "'nowhere'" in unknown.stderr
    assert "Traceback" not in told.stderr + unknown.stderr


def ask_for_trials(client: httpx.Client, *, count: int) -> list[float]:
    space = {"x": {"type": "float", "low": 0, "high": 1}}
    study = {"name": "s", "direction": "minimize", "space": space, "seed": 7}
    assert client.post("/studies", json=study).status_code == 201
    asked = client.post("/studies/s/ask", json={"count": count})
    assert asked.status_code == 200, asked.text
    return [trial["params"]["x"] for trial in asked.json()["trials"]]
