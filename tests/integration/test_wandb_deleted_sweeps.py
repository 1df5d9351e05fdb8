"""A run names the sweep on W&B only while that is there: else it could not begin."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.schedulers.executors.base import Watch
from tests.contracts.executor_contract import watch_until
from tests.integration.wandb_bench import WandbBench, build_launch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[WandbBench]:
    bench = WandbBench(tmp_path)
    yield bench
    bench.close()


@pytest.mark.parametrize("is_there", [True, False])
async def test_run_names_its_sweep_only_if_that_is_there(bench: WandbBench, is_there: bool):
    bench.wandb.sweeps = {"x7k2p1qz"} if is_there else set()
    launch = replace(build_launch(), mirror_ref="acme/mnist/x7k2p1qz")
    await bench.executor.launch(launch)
    await watch_until(bench.executor, Watch(launch), lambda seen: b"last words" in seen.log)

    assert bench.read_environment().get("WANDB_SWEEP_ID") == ("x7k2p1qz" if is_there else None)
    assert bench.wandb.calls.count("read_sweep_states") == 1
