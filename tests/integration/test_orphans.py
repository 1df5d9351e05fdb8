"""A worker that has lost an executor ends what that has left running, before all else."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli.worker_executors import open_executors
from service.schedulers.executors.base import Launch, StopKind, Watch
from service.schedulers.executors.process.executor import (
    ATTEMPTS,
    ATTEMPTS_OF_RUNS,
    ProcessExecutor,
    ProcessSettings,
)
from service.schedulers.executors.process.marks import kill_marked
from service.schedulers.workdir import Workdir, open_workdir
from service.settings import WorkerSettings
from tests.contracts.executor_contract import watch_until
from tests.log_lines import open_log

ATTEMPT_ID, OTHER_ID = "k3v9x2ab-0-1", "k3v9x2ab-1-1"
FOLDERS = {"process": ATTEMPTS, "wandb": ATTEMPTS_OF_RUNS}


@pytest.fixture
def workdir(tmp_path: Path) -> Iterator[Workdir]:
    with open_workdir(tmp_path) as opened:
        yield opened
    for folder in FOLDERS.values():
        for attempt_id in (ATTEMPT_ID, OTHER_ID):
            kill_marked(str(tmp_path / folder / attempt_id))


@pytest.mark.parametrize(("had", "has"), [("wandb", "process"), ("process", "wandb")])
async def test_what_runs_of_an_executor_that_is_gone_is_killed(
    workdir: Workdir, had: str, has: str
) -> None:
    earlier = await launch(workdir, had, ATTEMPT_ID)
    kept = await launch(workdir, has, OTHER_ID)

    with open_log() as log:
        async with open_executors(WorkerSettings(executors=(has,)), workdir):
            assert not await is_running(earlier, ATTEMPT_ID)
            assert await is_running(kept, OTHER_ID)
        assert log.read_last("attempt.orphaned")["attempt_id"] == ATTEMPT_ID

    assert (workdir.path / FOLDERS[had] / ATTEMPT_ID).is_dir()
    assert workdir.was_preempted(ATTEMPT_ID)
    assert not workdir.was_preempted(OTHER_ID)


async def test_what_has_ended_by_itself_counts_as_that(workdir: Workdir) -> None:
    earlier = await launch(workdir, "wandb", ATTEMPT_ID)
    await earlier.stop(Launch(ATTEMPT_ID), StopKind.AT_ONCE)
    await watch_until(earlier, Watch(Launch(ATTEMPT_ID)), lambda seen: seen.ending is not None)

    async with open_executors(WorkerSettings(executors=("process",)), workdir):
        assert not workdir.was_preempted(ATTEMPT_ID)


async def launch(workdir: Workdir, executor_name: str, attempt_id: str) -> ProcessExecutor:
    """Starts a program that runs on, as an earlier life of the worker."""
    settings = ProcessSettings(
        workdir=workdir.path,
        host="here",
        allowed=("*",),
        environment=os.environ,
        interpreter=sys.executable,
        attempts=FOLDERS[executor_name],
    )
    executor = ProcessExecutor(settings)
    await executor.launch(Launch(attempt_id, arguments={"command": ["sleep", "600"]}))
    await watch_until(executor, Watch(Launch(attempt_id)), lambda seen: seen.is_running)
    return executor


async def is_running(executor: ProcessExecutor, attempt_id: str) -> bool:
    seen = (await executor.poll([Watch(Launch(attempt_id))]))[attempt_id]
    return seen.is_running
