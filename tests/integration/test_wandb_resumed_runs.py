"""Attempts that go on with the run of a preempted one, whose log holds their own part only."""

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.domain.attempts import EndingKind
from service.schedulers.executors.base import MetricRow
from service.schedulers.executors.process.executor import ATTEMPTS_OF_RUNS
from tests.integration.wandb_bench import ATTEMPT_ID, PATH, WandbBench, build_launch
from tests.memory_wandb import MemoryRun
from tests.run_logs import RunLogWriter
from tests.wandb_backend.run_records import HISTORY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")

NEXT_ID = "k3v9x2ab-0-2"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[WandbBench]:
    bench = WandbBench(tmp_path)
    yield bench
    bench.close()


def plant_run(bench: WandbBench, *losses: float, **summary: Any) -> MemoryRun:
    """Has W&B have the part of an earlier attempt."""
    run = bench.wandb.runs[PATH] = MemoryRun(state="preempted", summary=summary)
    rows = ({"_step": step, "loss": loss} for step, loss in enumerate(losses))
    run.write_lines(HISTORY, 0, [json.dumps(row) for row in rows])
    return run


def keep_log(bench: WandbBench, *losses: float) -> None:
    """Leaves the part of an earlier attempt where this worker keeps what W&B lacks."""
    log = RunLogWriter(bench.folder, ATTEMPT_ID)
    for step, loss in enumerate(losses):
        log.log({"loss": loss}, step=step)
    log.end(1)


async def go_on(bench: WandbBench, *, is_away: bool = False, **arguments: Any) -> None:
    """Launches the attempt that goes on.

    Args:
        is_away: W&B is, from when the attempt has been launched.
    """
    bench.launch = replace(build_launch(**arguments), attempt_id=NEXT_ID, attempt=2)
    await bench.executor.launch(bench.launch)
    bench.wandb.is_away = is_away
    await bench.see(lambda seen: b"last words" in seen.log)
    is_online = bench.read_environment()["WANDB_MODE"] == "online"
    runs = bench.folder / ATTEMPTS_OF_RUNS / NEXT_ID / "runs"
    bench.log = RunLogWriter(runs, ATTEMPT_ID, is_online=is_online)
    bench.log.begin()


def finish(bench: WandbBench) -> None:
    bench.log.end(0)
    bench.exit(0)


@pytest.mark.parametrize(("value", "expected"), [("last", 0.5), ("best", 0.1)])
async def test_earlier_rows_have_values_and_are_no_reports(
    bench: WandbBench, value: str, expected: float
):
    plant_run(bench, 0.1, 0.3)
    await go_on(bench, value=value)
    bench.log.log({"loss": 0.5}, step=2)
    finish(bench)

    seen = await bench.see(lambda seen: seen.ending is not None)

    assert seen.ending is not None
    assert (seen.ending.kind, seen.ending.values) == (EndingKind.EXITED, {"loss": expected})
    assert seen.rows == [MetricRow(2, {"loss": 0.5})]


@pytest.mark.parametrize("value", ["last", "best", "summary"])
async def test_nothing_more_is_logged(bench: WandbBench, value: str):
    plant_run(bench, 0.3, 0.1, loss=0.1)
    await go_on(bench, value=value)
    finish(bench)

    ending = await bench.see_end()

    assert (ending.kind, ending.exit_code, ending.values) == (EndingKind.EXITED, 0, {"loss": 0.1})


async def test_the_following_waits_for_nothing_and_the_end_until_it_is_known(bench: WandbBench):
    plant_run(bench, 0.1)
    await go_on(bench, value="best", is_away=True)
    bench.log.log({"loss": 0.5}, step=1)
    await bench.see(lambda seen: len(seen.rows) == 1)
    finish(bench)
    bench.wandb.is_away = False

    assert (await bench.see_end()).values == {"loss": 0.1}


async def test_the_end_does_not_wait_for_ever(bench: WandbBench):
    bench.executor = bench.open(question_seconds=0.1)
    plant_run(bench, 0.1)
    await go_on(bench, value="best", is_away=True)
    bench.log.log({"loss": 0.5}, step=1)
    finish(bench)

    ending = await bench.see_end()

    assert (ending.kind, ending.values) == (EndingKind.EXITED, {"loss": 0.5})
    bench.wandb.is_away = False
    assert await bench.see_end() == ending


async def test_failure_waits_for_nothing(bench: WandbBench):
    plant_run(bench, 0.1)
    await go_on(bench, is_away=True)
    bench.exit(1)

    async with asyncio.timeout(10):
        assert (await bench.see_end()).exit_code == 1


@pytest.mark.parametrize("mode", ["online", "offline"])
async def test_earlier_part_that_this_worker_has_kept(bench: WandbBench, mode: str):
    keep_log(bench, 0.1, 0.3)
    await go_on(bench, value="best", mode=mode)
    bench.log.log({"loss": 0.5}, step=0)
    finish(bench)

    seen = await bench.see(lambda seen: seen.ending is not None)

    assert seen.ending is not None
    assert seen.ending.values == {"loss": 0.1}
    assert seen.rows == [MetricRow(0, {"loss": 0.5})]
    assert ("find_runs" in bench.wandb.calls) == (mode == "online")


async def test_what_is_kept_is_more_than_what_was_uploaded(bench: WandbBench):
    plant_run(bench, 0.5)
    keep_log(bench, 0.5, 0.3)
    await go_on(bench)
    finish(bench)

    assert (await bench.see_end()).values == {"loss": 0.3}


async def test_run_that_is_offline_as_wandb_was_away(bench: WandbBench):
    plant_run(bench, 0.1)
    bench.wandb.is_away = True
    await go_on(bench, value="best", is_away=True)
    bench.log.log({"loss": 0.5}, step=0)
    finish(bench)
    bench.wandb.is_away = False

    assert (await bench.see_end()).values == {"loss": 0.1}


async def test_first_attempt_asks_for_nothing(bench: WandbBench):
    await bench.start()
    bench.log.log({"loss": 0.5}, step=0)
    finish(bench)

    assert (await bench.see_end()).values == {"loss": 0.5}
    assert "find_runs" not in bench.wandb.calls
