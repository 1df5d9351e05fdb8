"""Launches while W&B answers only that it is asked too often."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.schedulers.executors.base import ErrorKind, Unanswered
from service.schedulers.executors.connection.connection import CallThrottled, SystemThrottled
from tests.integration.wandb_bench import ATTEMPT_ID, PATH, WandbBench, open_executor
from tests.memory_wandb import MemoryWandb

SAID = "W&B at wandb.example is asked too often: HTTP 429"


class ThrottledWandb(MemoryWandb):
    """Says so as long as a test wants."""

    is_throttled = True

    async def call(self, operation: str, *args: Any, **kwargs: Any) -> Any:
        if self.is_throttled:
            raise CallThrottled(SAID)
        return await super().call(operation, *args, **kwargs)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[WandbBench]:
    bench = WandbBench(tmp_path)
    yield bench
    bench.close()


async def test_a_launch_waits_for_a_while(bench: WandbBench) -> None:
    wandb = ThrottledWandb()
    executor = open_executor(bench.folder, wandb.api)
    for _ in range(3):
        with pytest.raises(SystemThrottled, match="HTTP 429") as raised:
            await executor.launch(bench.launch)
        assert executor.classify(raised.value) is ErrorKind.TRANSIENT
        # It was only asked whose the key is.
        assert not isinstance(raised.value, Unanswered)
    wandb.is_throttled = False

    assert await executor.launch(bench.launch) == PATH


async def test_it_is_recorded_offline_after_that_and_says_why(bench: WandbBench) -> None:
    api = ThrottledWandb().api
    bench.executor = open_executor(bench.folder, api, throttled_seconds=0.0)

    assert await bench.executor.launch(bench.launch) == f"offline/mnist/{ATTEMPT_ID}"

    note = (await bench.see(lambda seen: seen.is_running)).note
    assert note is not None
    assert note.startswith(f"Recorded offline. {SAID} To upload it")


async def test_a_known_account_does_not_launch_into_a_throttle(bench: WandbBench) -> None:
    wandb = ThrottledWandb()
    wandb.is_throttled = False
    executor = open_executor(bench.folder, wandb.api)
    assert await executor.launch(bench.launch) == PATH
    wandb.is_throttled = True

    other = replace(bench.launch, attempt_id="k3v9x2ab-1-1", run_id="k3v9x2ab-1-1")
    with pytest.raises(SystemThrottled, match="HTTP 429"):
        await executor.launch(other)
