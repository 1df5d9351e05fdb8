"""W&B in memory does to runs what the real operations do; tests/wandb has the same for those."""

import pytest

from service.schedulers.executors.wandb.runs.runs import RunPath
from tests.memory_wandb import MemoryRun, MemoryWandb

PATH = RunPath("acme", "mnist", "k3v9x2ab-0-1")


@pytest.mark.parametrize(
    ("state", "exit_code", "becomes"),
    [
        ("running", 1, "failed"),
        ("running", 0, "finished"),
        ("pending", 1, "failed"),
        ("preempting", 1, "preempted"),
        ("crashed", 1, "failed"),
        ("crashed", 0, "finished"),
    ],
)
async def test_a_run_without_an_end_gets_one(state: str, exit_code: int, becomes: str) -> None:
    wandb = MemoryWandb()
    run = wandb.runs[PATH.external_ref] = MemoryRun(state=state)

    assert await wandb.api.end_run(PATH, exit_code)
    assert run.state == becomes
    assert not await wandb.api.end_run(PATH, exit_code)


@pytest.mark.parametrize("state", ["finished", "failed", "killed", "preempted"])
async def test_a_run_that_has_ended_is_left_alone(state: str) -> None:
    wandb = MemoryWandb()
    run = wandb.runs[PATH.external_ref] = MemoryRun(state=state)

    await wandb.api.flag_stop(PATH)
    assert not await wandb.api.end_run(PATH, 1)
    assert (run.state, run.is_stopped) == (state, False)


@pytest.mark.parametrize("state", ["running", "crashed"])
async def test_a_run_that_was_to_stop_is_killed_by_its_end(state: str) -> None:
    wandb = MemoryWandb()
    run = wandb.runs[PATH.external_ref] = MemoryRun(state=state)

    await wandb.api.flag_stop(PATH)
    assert await wandb.api.end_run(PATH, 255)
    assert run.state == "killed"
