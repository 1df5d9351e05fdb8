"""The process behind a worker's connection to W&B, without the worker."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from service.schedulers.executors.connection.connection import SystemRefused
from service.schedulers.executors.wandb.connection.system import describe_wandb
from service.schedulers.executors.wandb.runs.run_api import WandbApi
from tests.this_machine import is_alive
from tests.wandb.connection_use import (
    build_worker_environment,
    list_descendants,
    open_connection,
    read_commands,
)
from tests.wandb_backend import Backend

LONG_ENOUGH = 60.0


def test_nothing_outlives_a_worker_that_was_killed(backend: Backend, tmp_path: Path) -> None:
    system = describe_wandb(build_worker_environment(backend, tmp_path))
    folder = tmp_path / "its-own"
    folder.mkdir()
    with subprocess.Popen(
        system.command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**system.environment, "WANDB_DIR": str(folder)},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"ready": True}
        services = list_descendants(process.pid)
        assert any("wandb-core" in command for command in read_commands(services))
        # Even from the middle of a call.
        with backend.hang():
            request = {"id": 1, "operation": "find_account", "arguments": {}, "seconds": 30.0}
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.close()
            assert process.wait(LONG_ENOUGH) == 0
    wait_for_end(services)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise ModuleNotFoundError(name='wandb')", "wandb is not installed"),
        ("import asktell_nothing", "cannot be imported: No module named 'asktell_nothing'."),
        ("raise ImportError('too old')", "cannot be imported: too old."),
    ],
)
def test_without_wandb_it_says_what_is_missing(tmp_path: Path, source: str, words: str) -> None:
    (tmp_path / "wandb.py").write_text(source)
    system = describe_wandb({**os.environ, "PYTHONPATH": f"{tmp_path}:{Path.cwd()}"})

    process = subprocess.run(
        system.command, stdout=subprocess.PIPE, env=dict(system.environment), check=False
    )

    assert words in json.loads(process.stdout)["refused"]


@pytest.mark.parametrize(
    ("name", "setting", "words"),
    [
        ("WANDB_HTTPS_PROXY", "http://user:hun ter2@127.0.0.1:1", "non-URL code point"),
        ("WANDB_BASE_URL", "http://[::1", "invalid IPv6 address"),
        ("WANDB_BASE_URL", "http://user:hunter2/x@wandb.example", "invalid port number"),
        ("WANDB_BASE_URL", "https://user:hunter2@app.wandb.ai", "://user:…@app.wandb.ai is not a"),
        ("WANDB_PROJECT", "a/b", "Invalid project name 'a/b'"),
    ],
)
async def test_a_setting_that_wandb_does_not_accept_is_refused_in_words(
    tmp_path: Path, name: str, setting: str, words: str
) -> None:
    worker = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), name: setting}
    connection = open_connection(worker)
    try:
        with pytest.raises(SystemRefused, match="wandb does not accept") as refusal:
            await WandbApi(connection).find_account()
    finally:
        await connection.close()
    told = str(refusal.value)
    assert words in told
    if name != "WANDB_PROJECT":
        assert name in told
    assert "hunter2" not in told
    assert "ter2" not in told
    assert "pydantic" not in told


def wait_for_end(pids: list[int]) -> None:
    deadline = time.monotonic() + LONG_ENOUGH
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)
