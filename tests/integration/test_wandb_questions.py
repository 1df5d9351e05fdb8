"""W&B is asked whose doing an end was, and nothing else waits for its answer."""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from service.domain.attempts import EndingKind
from service.schedulers.executors.base import Watch
from service.schedulers.executors.connection.connection import SystemBusy, SystemSilent
from tests.integration.process_bench import wait_until
from tests.integration.wandb_bench import ATTEMPT_ID, WandbBench
from tests.memory_wandb import MemoryWandb

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")


class SlowWandb(MemoryWandb):
    """Answers questions about runs only while it may.

    Attributes:
        troubles: What the next questions and stops fail by.
    """

    def __init__(self) -> None:
        super().__init__()
        self.troubles: list[Exception] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def call(
        self, operation: str, arguments: Mapping[str, Any], *, deadline_seconds: float
    ) -> Any:
        answer = await super().call(operation, arguments, deadline_seconds=deadline_seconds)
        if operation in ("find_runs", "flag_stops") and self.troubles:
            raise self.troubles.pop(0)
        if operation == "find_runs":
            await self.may_answer.wait()
        return answer


@pytest.fixture
def wandb() -> SlowWandb:
    return SlowWandb()


@pytest.fixture
def bench(tmp_path: Path, wandb: SlowWandb) -> Iterator[WandbBench]:
    bench = WandbBench(tmp_path)
    bench.wandb = wandb
    bench.executor = bench.open()
    yield bench
    bench.close()


@pytest.mark.parametrize(
    ("is_away", "kind"), [(False, EndingKind.CANCELLED), (True, EndingKind.EXITED)]
)
async def test_persons_stop_is_found_out_if_wandb_answers(
    bench: WandbBench, is_away: bool, kind: EndingKind
):
    run = await bench.start()
    run.is_stopped, run.state = True, "killed"
    bench.log.end(255)
    bench.wandb.is_away = is_away
    bench.exit(130)

    assert (await bench.see_end()).kind is kind
    # It is asked once.
    bench.wandb.is_away = not is_away
    assert (await bench.see_end()).kind is kind
    assert bench.wandb.calls.count("find_runs") == 1


async def test_question_is_asked_again_while_wandb_answers_others(
    bench: WandbBench, wandb: SlowWandb
):
    wandb.troubles = [SystemBusy("Too many calls."), SystemSilent("No answer within 3 s.")]
    run = await bench.start()
    run.is_stopped, run.state = True, "killed"
    bench.log.end(255)
    bench.exit(130)

    assert (await bench.see_end()).kind is EndingKind.CANCELLED
    assert wandb.calls.count("find_runs") == 3


@pytest.mark.parametrize(
    ("trouble", "calls"), [(SystemBusy("Too many calls."), 2), (SystemSilent("No answer."), 1)]
)
async def test_stop_waits_for_wandb_while_it_answers_others(
    bench: WandbBench, wandb: SlowWandb, trouble: Exception, calls: int
):
    await bench.start()
    wandb.troubles = [trouble]

    await bench.stop()

    assert wandb.calls.count("flag_stops") == calls
    assert (bench.attempt / "wandb.flagged").exists() is (calls == 2)
    assert (await bench.see_end()).signal == 2


async def test_failed_run_is_nobodys_doing(bench: WandbBench):
    run = await bench.start()
    run.state = "failed"
    bench.log.end(1)
    bench.exit(1)

    assert (await bench.see_end()).kind is EndingKind.EXITED


async def test_look_does_not_wait_for_the_answer(bench: WandbBench, wandb: SlowWandb):
    wandb.may_answer.clear()
    run = await bench.start()
    run.is_stopped, run.state = True, "killed"
    bench.log.end(255)
    bench.exit(130)
    await wait_until((bench.attempt / "exit.json").exists)

    seen = {ATTEMPT_ID: None}
    while "find_runs" not in wandb.calls:
        seen = dict(await bench.executor.poll([Watch(bench.launch)]))
    assert seen == {}
    wandb.may_answer.set()

    assert (await bench.see_end()).kind is EndingKind.CANCELLED
    assert wandb.calls.count("find_runs") == 1


async def test_attempt_may_be_forgotten_before_the_answer(bench: WandbBench, wandb: SlowWandb):
    wandb.may_answer.clear()
    await bench.start()
    bench.log.end(255)
    bench.exit(130)
    await wait_until((bench.attempt / "exit.json").exists)
    await bench.executor.poll([Watch(bench.launch)])

    await bench.forget()
    # Others may wait for the same answer.
    wandb.may_answer.set()

    await wait_until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
