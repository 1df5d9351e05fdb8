"""Attempts as processes that are W&B runs, with logs that wandb might have written."""

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import (
    ErrorKind,
    Launch,
    MetricRow,
    StopKind,
    Watch,
)
from service.schedulers.executors.connection.connection import (
    SystemAway,
    SystemBusy,
    SystemRefused,
)
from service.schedulers.executors.process.executor import ProcessExecutor, ProcessSettings
from tests.integration.process_bench import wait_until
from tests.integration.wandb_bench import (
    ATTEMPT_ID,
    PATH,
    WandbBench,
    build_launch,
    open_executor,
)
from tests.memory_wandb import MemoryWandb

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")

OFFLINE_REF = f"offline/mnist/{ATTEMPT_ID}"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[WandbBench]:
    bench = WandbBench(tmp_path)
    yield bench
    bench.close()


# Where a run is recorded.


async def test_run_is_online_where_wandb_answers(bench: WandbBench):
    reference = await bench.executor.launch(build_launch())
    seen = await bench.see(lambda seen: b"last words" in seen.log)
    environment = bench.read_environment()

    assert reference == PATH
    # Its program has not begun a run.
    assert bench.executor.url(reference) is None
    assert (seen.is_running, seen.note) == (True, None)
    assert environment["WANDB_MODE"] == "online"
    assert environment["WANDB_ENTITY"] == "acme"
    assert environment["WANDB_RUN_ID"] == ATTEMPT_ID
    assert json.loads(environment["WANDB_CONFIG"])["lr"] == 0.1
    assert environment["WANDB_DIR"] == str(bench.attempt / "runs")
    assert (bench.attempt / "runs").is_dir()


async def test_run_is_offline_where_it_is_wanted(bench: WandbBench):
    await bench.start(mode="offline")

    assert bench.wandb.calls == []
    assert await bench.executor.launch(bench.launch) == OFFLINE_REF
    assert bench.executor.url(OFFLINE_REF) is None


async def test_run_is_offline_while_wandb_is_away_and_says_so(bench: WandbBench):
    bench.wandb.is_away = True
    await bench.start()

    note = (await bench.see(lambda seen: seen.is_running)).note

    assert bench.read_environment()["WANDB_MODE"] == "offline"
    assert note is not None
    assert "W&B does not answer." in note
    assert f"wandb sync --no-skip-online {bench.folder}/wandb/*run-*-{ATTEMPT_ID}" in note


@pytest.mark.parametrize(("is_away", "reference"), [(False, PATH), (True, OFFLINE_REF)])
async def test_where_it_is_recorded_is_decided_once(
    bench: WandbBench, is_away: bool, reference: str
):
    bench.wandb.is_away = is_away
    assert await bench.executor.launch(build_launch()) == reference
    bench.wandb.is_away = not is_away

    assert await bench.open().launch(build_launch()) == reference


async def test_known_account_does_not_make_an_absent_wandb_present(bench: WandbBench):
    other = replace(build_launch(), attempt_id="k3v9x2ab-1-1", run_id="k3v9x2ab-1-1")
    assert await bench.executor.launch(build_launch()) == PATH
    bench.wandb.is_away = True

    assert await bench.executor.launch(other) == "offline/mnist/k3v9x2ab-1-1"
    recording = json.loads((bench.attempt.parent / "k3v9x2ab-1-1" / "wandb.json").read_text())
    assert recording["entity"] == "acme"


async def test_too_many_calls_are_no_reason_to_record_offline(bench: WandbBench):
    class BusyWandb(MemoryWandb):
        async def call(self, operation: str, *_: Any, **__: Any) -> Any:
            raise SystemBusy(f"Too many calls, {operation} is not made.")

    executor = open_executor(bench.folder, BusyWandb().api)

    with pytest.raises(SystemBusy) as raised:
        await executor.launch(bench.launch)

    assert executor.classify(raised.value) is ErrorKind.TRANSIENT
    assert not bench.attempt.exists()
    assert (await bench.start()).state == "running"


async def test_refused_key_is_waited_for(bench: WandbBench):
    bench.wandb.refusal = "Run `wandb login`."

    with pytest.raises(SystemRefused) as failure:
        await bench.executor.launch(build_launch())

    assert str(failure.value) == (
        "W&B refuses this worker: Run `wandb login`. `mode: offline` needs no key."
    )
    assert bench.executor.classify(failure.value) is ErrorKind.TRANSIENT
    assert await bench.executor.list_left_over(()) == []

    bench.wandb.refusal = None
    assert await bench.executor.launch(build_launch()) == PATH


async def test_resumed_run_has_the_name_of_the_preempted_one(bench: WandbBench):
    bench.launch = replace(build_launch(), attempt_id="k3v9x2ab-0-2", attempt=2)

    assert await bench.executor.launch(bench.launch) == PATH
    await bench.see(lambda seen: b"last words" in seen.log)
    assert bench.read_environment()["WANDB_RESUME"] == "allow"


# What is seen of it.


async def test_metrics_are_those_of_the_run_and_not_what_is_printed(bench: WandbBench):
    await bench.start(value="best")
    for step, loss in enumerate((0.5, 0.25, 0.75)):
        bench.log.log({"loss": loss}, step=step * 10)

    rows = (await bench.see(lambda seen: len(seen.rows) == 3)).rows
    bench.log.end(0)
    bench.exit(0)

    assert list(rows) == [
        MetricRow(0, {"loss": 0.5}),
        MetricRow(10, {"loss": 0.25}),
        MetricRow(20, {"loss": 0.75}),
    ]
    assert await bench.see_end() == Ending(EndingKind.EXITED, exit_code=0, values={"loss": 0.25})


async def test_run_without_an_end_has_failed(bench: WandbBench):
    await bench.start()
    bench.log.log({"loss": 0.5}, step=0)
    bench.exit(0)

    ending = await bench.see_end()

    assert (ending.kind, ending.exit_code, ending.values) == (EndingKind.FAILED, 0, {"loss": 0.5})


async def test_program_without_a_run_just_ends(bench: WandbBench):
    await bench.executor.launch(bench.launch)
    bench.exit(0)

    assert await bench.see_end() == Ending(EndingKind.EXITED, exit_code=0, values={})
    await bench.forget()
    assert bench.list_repairs() == bench.list_kept() == []


async def test_failed_program_says_its_last_words(bench: WandbBench):
    await bench.start()
    bench.log.end(1)
    bench.exit(3)

    ending = await bench.see_end()

    assert (ending.exit_code, ending.message) == (3, "last words")


async def test_run_with_a_damaged_log_says_so(bench: WandbBench):
    await bench.start()
    with (bench.log.folder / f"run-{ATTEMPT_ID}.wandb").open("ab") as stream:
        stream.write(b"?" * 40_000)
    bench.exit(0)

    ending = await bench.see_end()

    assert (ending.kind, ending.message) == (
        EndingKind.FAILED,
        "Its W&B run has no end that could be read from its log. It is damaged at byte 7; some of "
        "it is missing.",
    )


async def test_time_limit(bench: WandbBench):
    run = await bench.start(timeout_seconds=0.2)
    bench.log.log({"loss": 0.5}, step=0)

    ending = await bench.see_end()
    await bench.forget()

    assert (ending.kind, ending.values) == (EndingKind.TIMED_OUT, {"loss": 0.5})
    assert not run.is_stopped
    assert len(bench.list_repairs()) == 1


# How it is ended.


async def test_stop_is_flagged_first(bench: WandbBench):
    run = await bench.start()

    await bench.stop()
    await bench.stop()
    ending = await bench.see_end()

    assert run.is_stopped
    assert bench.wandb.calls.count("flag_stops") == 1
    # Not a person's doing, though W&B shows it as stopped.
    assert (ending.kind, ending.signal) == (EndingKind.EXITED, 2)
    assert "find_runs" not in bench.wandb.calls


async def test_stop_does_not_wait_for_wandb(bench: WandbBench):
    run = await bench.start()
    bench.wandb.is_away = True

    await bench.stop()
    ending = await bench.see_end()
    await bench.forget()
    bench.wandb.is_away = False
    with bench.tending():
        await wait_until(lambda: run.state != "running")

    assert ending.signal == 2
    assert run.state == "killed"


async def test_what_is_killed_is_flagged_afterwards(bench: WandbBench):
    run = await bench.start()

    await bench.stop(StopKind.AT_ONCE)
    await bench.see_end()
    assert "flag_stops" not in bench.wandb.calls
    await bench.forget()

    with bench.tending():
        await wait_until(lambda: run.state == "killed")


async def test_run_that_another_attempt_goes_on_with_is_left_as_it_is(bench: WandbBench):
    run = await bench.start()
    bench.preempted.add(ATTEMPT_ID)

    await bench.stop()
    await bench.see_end()
    await bench.forget()
    assert bench.list_repairs() == [f"{ATTEMPT_ID}.json"]
    await bench.executor.launch(replace(build_launch(), attempt_id="k3v9x2ab-0-2", attempt=2))

    assert (run.state, run.is_stopped) == ("running", False)
    assert bench.list_repairs() == []


async def test_program_that_says_it_is_preempted(bench: WandbBench):
    await bench.start()
    bench.log.mark_preempting()
    bench.exit(1)

    assert (await bench.see_end()).kind is EndingKind.PREEMPTED
    await bench.forget()
    assert bench.list_repairs() == []


# What is left of it.


async def test_killed_run_is_repaired_and_kept(bench: WandbBench):
    run = await bench.start()
    bench.log.log({"loss": 0.5}, step=0)
    ending = await bench.kill()
    note = (await bench.see(lambda seen: seen.ending is not None)).note

    await bench.forget()

    assert ending.signal == 9
    assert note is not None
    assert f"wandb sync --no-skip-online {bench.folder}/wandb/*run-*-{ATTEMPT_ID}" in note
    assert bench.list_kept() == [f"run-20260102_030405-{ATTEMPT_ID}"]
    assert not bench.attempt.exists()
    with bench.tending():
        await wait_until(lambda: run.state != "running")
        await wait_until(lambda: bench.list_repairs() == [])
    assert (run.state, run.exit_code) == ("failed", 1)


async def test_finished_run_leaves_nothing(bench: WandbBench):
    await bench.start()
    bench.log.end(0)
    bench.exit(0)
    await bench.see_end()

    await bench.forget()

    assert bench.list_kept() == bench.list_repairs() == []
    assert not bench.attempt.exists()


async def test_offline_run_is_kept_and_needs_no_repair(bench: WandbBench):
    await bench.start(mode="offline")
    await bench.kill()

    await bench.forget()

    assert bench.list_kept() == [f"offline-run-20260102_030405-{ATTEMPT_ID}"]
    assert bench.list_repairs() == []


async def test_upload_to_nobody_is_cut_short(bench: WandbBench):
    await bench.start(stop_seconds=0.2)
    bench.log.end(0)
    bench.log.log({"loss": 0.5}, step=0)
    bench.wandb.is_away = True

    with bench.tending():
        seen = await bench.see(lambda seen: seen.ending is not None)
    await bench.forget()

    assert seen.ending == Ending(EndingKind.EXITED, exit_code=0, values={"loss": 0.5})
    assert seen.note is not None
    assert "wandb sync" in seen.note
    assert bench.list_kept() == [f"run-20260102_030405-{ATTEMPT_ID}"]


async def test_program_that_works_on_after_its_run_is_not_cut_short(bench: WandbBench):
    await bench.start()
    bench.log.end(0)
    core_log = bench.log.folder / "logs" / "debug-internal.log"
    core_log.parent.mkdir()
    core_log.write_text('"complete":true\nfilestream: request sent\n')
    bench.wandb.is_away = True

    with bench.tending():
        for _ in range(20):
            assert (await bench.see(lambda seen: seen.is_running)).ending is None
            await asyncio.sleep(0.02)

    assert bench.wandb.calls.count("find_account") == 1


async def test_attempts_of_other_executors_are_not_its_own(bench: WandbBench):
    plain = ProcessExecutor(
        ProcessSettings(workdir=bench.folder, host="here", allowed=["*"], environment={})
    )
    await bench.start()

    assert await plain.list_left_over(()) == []
    assert await bench.executor.list_left_over(()) == [ATTEMPT_ID]
    # As a worker clears what is left over: by every executor that it has.
    await plain.stop(Launch(ATTEMPT_ID), StopKind.AT_ONCE)
    await plain.forget(Launch(ATTEMPT_ID))
    assert (await bench.see(lambda seen: b"last words" in seen.log)).is_running


async def test_left_over_is_ended_and_repaired_by_its_name_alone(bench: WandbBench):
    run = await bench.start()
    nameless = Launch(ATTEMPT_ID)
    bench.executor = bench.open()

    await bench.executor.stop(nameless, StopKind.AT_ONCE)
    await wait_until((bench.attempt / "exit.json").exists)
    seen = (await bench.executor.poll([Watch(nameless)]))[ATTEMPT_ID]
    await bench.executor.forget(nameless)
    with bench.tending():
        await wait_until(lambda: run.state == "killed")

    assert seen.ending is not None
    assert not bench.attempt.exists()


async def test_trouble_with_wandb_passes_and_other_trouble_stays(bench: WandbBench):
    assert bench.executor.classify(SystemAway()) is ErrorKind.TRANSIENT
    assert bench.executor.classify(ValueError()) is ErrorKind.PERMANENT
