"""The real SDK without W&B: what the environment makes of a program, and what it leaves."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from service.schedulers.executors.base import Launch, MetricRow
from service.schedulers.executors.wandb.local.environment import build_run_environment
from service.schedulers.executors.wandb.local.following import RunFollower, RunSeen
from service.schedulers.executors.wandb.local.places import RunPlace
from service.schedulers.executors.wandb.runs.run_metrics import RunMetrics

RUN_ID = "k3v9x2ab-12-1"
SECRET = "a-secret-that-is-in-no-file"
SECONDS = 60.0
LAUNCH = Launch(
    attempt_id=RUN_ID,
    run_id=RUN_ID,
    study="digits",
    trial=12,
    attempt=1,
    # Too long for one variable.
    params={"lr": 0.1, "net": {"width": 8}, "text": "x" * 250_000},
    arguments={"project": "digits", "entity": "acme", "tags": ["a, b", "c"]},
    environment={"ASKTELL_TOKEN": SECRET},
)

STUBBORN = """
import json, os, sys, wandb
run = wandb.init(
    project="mine", id="mine", config={"lr": 9, "net": {"width": 1, "depth": 2}, "text": ""}
)
run.config.lr = 10
run.log({"val": {"loss": 2.0}})
run.log({"val": {"loss": float("nan")}})
seen = {"config": run.config.as_dict(), "names": [run.id, run.project, run.group, run.name]}
json.dump(seen | {"tags": run.tags, "job_type": run.job_type}, open("seen.json", "w"))
print("logged", flush=True)
sys.stdin.read()
run.log({"val": {"loss": 1.0}})
"""

TWICE = """
import wandb
for loss in (2.0, 1.0):
    with wandb.init() as run:
        run.log({"val": {"loss": loss}})
"""


@pytest.fixture
def start(
    tmp_path: Path, offline_environment: dict[str, str]
) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts programs as attempts; those that a test leaves behind are ended."""
    programs: list[subprocess.Popen[bytes]] = []
    environment = build_run_environment(
        LAUNCH, offline_environment, folder=str(tmp_path), is_online=False
    )

    def start(program: str) -> subprocess.Popen[bytes]:
        programs.append(_start(program, tmp_path, environment))
        return programs[-1]

    yield start
    for program in programs:
        program.kill()
        program.communicate()


@pytest.fixture
def follower(tmp_path: Path) -> RunFollower:
    metrics = RunMetrics(("val.loss",), ("minimize",), value="best")
    return RunFollower(RunPlace(str(tmp_path / "wandb")), RUN_ID, metrics)


async def test_unchanged_program(
    start: Callable[[str], subprocess.Popen[bytes]], follower: RunFollower, tmp_path: Path
):
    program = start(STUBBORN)

    seen = await wait_for(follower, lambda seen: len(seen.rows) == 2)
    assert (seen.has_run, seen.exit_code, seen.is_offline) == (True, None, True)
    program.communicate(timeout=SECONDS)
    seen = follower.look()

    assert (program.returncode, seen.exit_code) == (0, 0)
    assert seen.rows[::2] == [MetricRow(0, {"val.loss": 2.0}), MetricRow(2, {"val.loss": 1.0})]
    assert seen.values == {"val.loss": 1.0}
    told = json.loads((tmp_path / "seen.json").read_text())
    config = told["config"]
    assert (config["lr"], config["net"]) == (0.1, {"width": 8, "depth": 2})
    assert len(config["text"]) == 250_000
    assert config["asktell"] == {"study": "digits", "trial": 12, "attempt": 1}
    assert told["names"] == [RUN_ID, "digits", "digits", "trial-12"]
    assert (told["tags"], told["job_type"]) == (["a b", "c"], "trial")
    assert SECRET.encode() not in b"".join(read_files(tmp_path / "wandb"))


async def test_program_that_begins_its_run_twice(
    start: Callable[[str], subprocess.Popen[bytes]], follower: RunFollower
):
    program = start(TWICE)
    program.communicate(timeout=SECONDS)

    seen = follower.look()

    assert [row.values["val.loss"] for row in seen.rows] == [2.0, 1.0]
    assert (len(seen.folders), seen.exit_code) == (2, 0)


async def wait_for(follower: RunFollower, is_there: Callable[[RunSeen], bool]) -> RunSeen:
    async with asyncio.timeout(SECONDS):
        while True:
            seen = follower.look()
            if is_there(seen):
                return seen
            await asyncio.sleep(0.1)


def read_files(folder: Path) -> Iterator[bytes]:
    return (path.read_bytes() for path in folder.rglob("*") if path.is_file())


def _start(program: str, folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=folder,
        env={"PATH": os.defpath, "HOME": str(folder), **environment},
        stdin=subprocess.PIPE,
    )
