"""What is left to say on W&B is said once W&B listens, by whichever life of the worker."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.schedulers.executors.wandb.local.repairs import Repairs
from service.schedulers.executors.wandb.runs.runs import RunPath
from service.schedulers.pace import Pace
from tests.integration.process_bench import wait_until
from tests.log_lines import open_log
from tests.memory_wandb import MemoryRun, MemoryWandb

ATTEMPT_ID = "k3v9x2ab-0-1"
PATH = RunPath("acme", "mnist", ATTEMPT_ID)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FAST = Pace(first_pause_seconds=0.001, longest_pause_seconds=0.002)


class Bench:
    """A folder of repairs, and W&B."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "repairs"
        self.wandb = MemoryWandb()
        self.run = self.wandb.runs[PATH.external_ref] = MemoryRun()
        self.now = NOW
        self.repairs = self.open()

    def open(self) -> Repairs:
        """Returns those of another life of the worker."""
        return Repairs(self.folder, self.wandb.api, clock=lambda: self.now, pace=FAST)

    def note(
        self, *, exit_code: int = 1, is_stopped: bool = False, may_go_on: bool = False
    ) -> None:
        self.repairs.note(
            ATTEMPT_ID, PATH, exit_code=exit_code, is_stopped=is_stopped, may_go_on=may_go_on
        )

    def list_files(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_nothing_is_to_do_at_first(bench: Bench):
    assert await bench.repairs.work_off()
    assert bench.wandb.calls == []


async def test_run_without_an_end_gets_one(bench: Bench):
    bench.note(exit_code=7)

    assert await bench.repairs.work_off()

    assert (bench.run.state, bench.run.exit_code) == ("failed", 7)
    assert bench.list_files() == []
    assert await bench.repairs.work_off()
    assert bench.wandb.calls == ["end_run"]


async def test_run_that_was_stopped_is_killed(bench: Bench):
    bench.note(exit_code=255, is_stopped=True)

    assert await bench.repairs.work_off()

    assert bench.run.state == "killed"


@pytest.mark.parametrize(("is_stopped", "state"), [(False, "failed"), (True, "killed")])
async def test_run_that_wandb_calls_crashed_by_now_gets_its_end(
    bench: Bench, is_stopped: bool, state: str
):
    bench.run.state = "crashed"
    bench.note(exit_code=255, is_stopped=is_stopped)

    with open_log() as log:
        assert await bench.repairs.work_off()
        repaired = log.read_last("run.repaired")

    assert (bench.run.state, bench.run.exit_code) == (state, 255)
    assert repaired["run"] == PATH.external_ref


async def test_run_that_has_an_end_is_not_called_repaired(bench: Bench):
    bench.run.end(0)
    bench.note()

    with open_log() as log:
        assert await bench.repairs.work_off()
        (left,) = log.read_lines()

    assert (bench.run.state, bench.list_files()) == ("finished", [])
    assert (left["event"], left["run"]) == ("run.not_repaired", PATH.external_ref)
    assert left["reason"] == "It has an end there already."


async def test_it_waits_for_wandb_also_in_the_next_life(bench: Bench):
    bench.wandb.is_away = True
    bench.note()

    assert not await bench.repairs.work_off()
    assert not await bench.open().work_off()
    bench.wandb.is_away = False
    assert await bench.open().work_off()

    assert bench.run.state == "failed"


async def test_it_goes_on_until_wandb_is_back(bench: Bench):
    bench.wandb.is_away = True
    running = asyncio.create_task(bench.repairs.run())
    bench.note()
    bench.repairs.wake()
    await wait_until(lambda: bench.wandb.calls.count("end_run") >= 3)
    bench.wandb.is_away = False
    await wait_until(lambda: bench.run.state == "failed")

    bench.run.state = "running"
    bench.note()
    bench.repairs.wake()
    await wait_until(lambda: bench.run.state == "failed")
    running.cancel()


async def test_run_that_the_next_attempt_may_go_on_with_is_ended_after_minutes(bench: Bench):
    bench.note(exit_code=1, may_go_on=True)

    bench.now += timedelta(minutes=9)
    assert not await bench.repairs.work_off()
    assert bench.wandb.calls == []
    bench.run.state = "crashed"
    bench.now += timedelta(minutes=2)
    assert await bench.open().work_off()

    assert (bench.run.state, bench.list_files()) == ("failed", [])


async def test_run_that_an_attempt_elsewhere_goes_on_with_is_left_alone(bench: Bench):
    bench.note(may_go_on=True)

    bench.now += timedelta(minutes=11)
    with open_log() as log:
        assert await bench.repairs.work_off()
        (left,) = log.read_lines()

    assert (bench.run.state, bench.list_files()) == ("running", [])
    assert left["event"] == "run.not_repaired"
    assert left["reason"] == "W&B hears of it: another attempt goes on with it."


async def test_what_is_left_to_say_of_a_run_that_goes_on_is_dropped(bench: Bench):
    other = RunPath("acme", "mnist", "k3v9x2ab-1-1")
    bench.repairs.drop(PATH)
    (bench.folder / "k3v9x2ab-2-1.json").mkdir(parents=True)
    bench.note(may_go_on=True)
    bench.repairs.note(other.run_id, other, exit_code=1, is_stopped=False)

    bench.repairs.drop(PATH)

    assert sorted(bench.list_files()) == [f"{other.run_id}.json", "k3v9x2ab-2-1.json"]


async def test_what_an_older_worker_noted_is_done(bench: Bench):
    bench.note(exit_code=7)
    (path,) = bench.folder.iterdir()
    record = json.loads(path.read_text())
    del record["may_go_on"]
    path.write_text(json.dumps(record))

    assert await bench.repairs.work_off()

    assert (bench.run.state, bench.run.exit_code) == ("failed", 7)


async def test_what_wandb_does_not_take_is_dropped(bench: Bench):
    bench.wandb.runs.clear()
    bench.note()

    with open_log() as log:
        assert await bench.repairs.work_off()
        dropped = log.read_last("run.not_repaired")

    assert bench.list_files() == []
    assert dropped["run"] == PATH.external_ref
    assert "There is no run" in dropped["reason"]


async def test_refused_key_drops_nothing(bench: Bench):
    bench.wandb.refusal = "W&B does not know the API key."
    bench.note()

    assert not await bench.repairs.work_off()
    bench.wandb.refusal = None
    assert await bench.repairs.work_off()

    assert bench.run.state == "failed"


async def test_what_goes_wrong_with_one_stays_with_it(bench: Bench):
    (bench.folder / "k3v9x2ab-1-1.json").mkdir(parents=True)
    bench.note()

    with open_log() as log:
        assert not await bench.repairs.work_off()
        failed = log.read_last("repair.failed")

    assert bench.run.state == "failed"
    assert failed["attempt_id"] == "k3v9x2ab-1-1"


async def test_folder_that_cannot_be_read_is_tried_again(bench: Bench):
    bench.folder.write_text("")

    assert not await bench.repairs.work_off()


async def test_after_a_week_it_is_dropped(bench: Bench):
    bench.wandb.is_away = True
    bench.note()

    bench.now += timedelta(days=6, hours=23)
    assert not await bench.repairs.work_off()
    bench.now += timedelta(hours=2)
    with open_log() as log:
        assert await bench.repairs.work_off()
        dropped = log.read_last("run.not_repaired")

    assert bench.list_files() == []
    assert dropped["reason"] == "W&B does not answer."


async def test_one_that_fails_keeps_no_other_from_being_done(bench: Bench):
    other = RunPath("acme", "mnist", "k3v9x2ab-1-1")
    bench.wandb.runs[other.external_ref] = MemoryRun()
    del bench.wandb.runs[PATH.external_ref]
    bench.note()
    bench.repairs.note(other.run_id, other, exit_code=1, is_stopped=False)

    assert await bench.repairs.work_off()

    assert bench.wandb.runs[other.external_ref].state == "failed"


async def test_one_that_wandb_does_not_take_is_tried_seldom(bench: Bench):
    other = RunPath("acme", "mnist", "k3v9x2ab-1-1")
    bench.wandb.runs[other.external_ref] = MemoryRun()
    bench.wandb.not_taken = {PATH.run_id}
    bench.note()
    bench.repairs.note(other.run_id, other, exit_code=1, is_stopped=False)

    # The first failure ends a round: others have calls to make.
    assert not await bench.repairs.work_off()
    assert bench.wandb.calls == ["end_run"]
    assert not await bench.repairs.work_off()
    assert bench.wandb.runs[other.external_ref].state == "failed"
    bench.wandb.calls.clear()
    for _ in range(600):
        bench.now += timedelta(seconds=0.01)
        assert not await bench.repairs.work_off()
    assert 0 < len(bench.wandb.calls) < 200

    bench.wandb.not_taken = set()
    bench.now += timedelta(minutes=10)
    assert await bench.repairs.work_off()
    assert bench.run.state == "failed"


async def test_worker_that_ends_says_what_it_noted_last(bench: Bench):
    running = asyncio.create_task(bench.repairs.run())
    await asyncio.sleep(0)
    bench.note()
    bench.repairs.wake()
    running.cancel()

    await asyncio.wait([running])

    assert (bench.run.state, bench.list_files()) == ("failed", [])


async def test_what_is_no_repair_is_left_alone(bench: Bench):
    bench.note()
    (bench.folder / "k3v9x2ab-2-1.json").write_text('{"external_ref": 5')
    (bench.folder / ".k3v9x2ab-3-1.json-1f2e").write_text("")
    odd = (bench.folder / f"{ATTEMPT_ID}.json").read_text().replace(NOW.isoformat(), "yesterday")
    (bench.folder / "k3v9x2ab-4-1.json").write_text(odd)
    (bench.folder / "notes.txt").write_text("mine")

    assert await bench.repairs.work_off()

    assert bench.run.state == "failed"
    assert len(bench.list_files()) == 4
