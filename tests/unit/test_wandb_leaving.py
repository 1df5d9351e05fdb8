"""What is seen to before the folder of an attempt that was a run goes."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.schedulers.executors.process import folders
from service.schedulers.executors.wandb.local.attempt_files import (
    CUT_SHORT,
    FLAGGED,
    STOPPING,
    Recording,
    write_recording,
)
from service.schedulers.executors.wandb.local.kept_runs import KeptRuns
from service.schedulers.executors.wandb.local.leaving import Leaving
from service.schedulers.executors.wandb.local.repairs import Repairs
from service.schedulers.pace import Pace
from tests.memory_wandb import MemoryRun, MemoryWandb
from tests.run_logs import RunLogWriter

ATTEMPT_ID = "k3v9x2ab-0-1"
RUN = f"run-20260102_030405-{ATTEMPT_ID}"
SIGINT, SIGTERM = 2, 15


class Bench:
    """The folder of an attempt that has ended, and W&B, where its run has not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        self.is_preempted = False
        self.attempt = folder / ATTEMPT_ID
        folders.make_folder(str(self.attempt))
        self.wandb = MemoryWandb()
        self.run = self.wandb.runs[f"acme/mnist/{ATTEMPT_ID}"] = MemoryRun()
        self.log = RunLogWriter(self.attempt / "runs", ATTEMPT_ID, is_online=True)
        self.repairs = Repairs(
            folder / "repairs", self.wandb.api, clock=lambda: self.now, pace=Pace()
        )
        self.leaving = Leaving(
            KeptRuns(folder / "kept"),
            self.repairs,
            was_preempted=lambda _: self.is_preempted,
            probe=lambda _: None,
        )
        write_recording(
            str(self.attempt), Recording("mnist", ATTEMPT_ID, is_online=True, entity="acme")
        )

    def end(self, marks: Iterable[str] = (), **record: Any) -> None:
        for name in marks:
            folders.mark(str(self.attempt), name)
        folders.write_lasting_record(
            str(self.attempt), folders.EXIT, {"kind": "exited", "signal": None, **record}
        )

    async def leave(self) -> None:
        """Leaves the folder, and says what is to be said."""
        self.leaving.leave(ATTEMPT_ID, str(self.attempt))
        assert await self.repairs.work_off()

    def list_kept(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("kept/*"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_run_that_has_said_and_sent_its_end_needs_nothing(bench: Bench):
    bench.log.end(0)
    bench.end(exit_code=0)

    await bench.leave()

    assert bench.wandb.calls == bench.list_kept() == []


async def test_stop_that_wandb_knows_of_needs_nothing(bench: Bench):
    bench.log.end(255)
    bench.end([STOPPING, FLAGGED, folders.STOP], signal=SIGINT)

    await bench.leave()

    assert bench.wandb.calls == bench.list_kept() == []


async def test_stop_that_wandb_was_not_told_is_told(bench: Bench):
    bench.log.end(255)
    bench.end([STOPPING, folders.STOP], signal=SIGINT)

    await bench.leave()

    assert (bench.run.state, bench.run.exit_code) == ("killed", 255)
    assert bench.list_kept() == []


@pytest.mark.parametrize("marks", [[STOPPING, folders.STOP], [STOPPING, FLAGGED, folders.STOP]])
async def test_stop_in_the_middle_of_an_upload_is_told_and_kept(bench: Bench, marks: list[str]):
    bench.log.end(255)
    bench.end(marks, signal=SIGTERM)

    await bench.leave()

    assert (bench.run.state, bench.run.exit_code) == ("killed", 255)
    assert bench.list_kept() == [RUN]


@pytest.mark.parametrize(("exit_code", "state"), [(0, "finished"), (3, "failed")])
async def test_upload_that_was_cut_short_has_the_end_of_its_run(
    bench: Bench, exit_code: int, state: str
):
    bench.log.end(exit_code)
    bench.end([CUT_SHORT, folders.STOP], signal=SIGINT)

    await bench.leave()

    assert (bench.run.state, bench.run.exit_code) == (state, exit_code)
    assert bench.list_kept() == [RUN]


async def test_run_that_its_program_made_offline_is_kept_and_not_told(bench: Bench):
    RunLogWriter(bench.attempt / "runs", ATTEMPT_ID).end(1)
    bench.end([STOPPING, folders.STOP], signal=SIGTERM)

    await bench.leave()

    assert (bench.wandb.calls, bench.list_kept()) == ([], [f"offline-{RUN}"])


async def test_part_that_is_offline_is_kept(bench: Bench):
    RunLogWriter(bench.attempt / "runs", ATTEMPT_ID).end(0)
    bench.log.end(0)
    bench.end(exit_code=0)

    await bench.leave()

    assert (bench.wandb.calls, bench.list_kept()) == ([], [f"offline-{RUN}", RUN])


async def test_run_in_a_folder_of_its_program_is_told_and_stays(bench: Bench):
    folders.write_record(str(bench.attempt), folders.PLAN, {"directory": str(bench.folder)})
    folders.mark(str(bench.attempt), folders.STARTED)
    log = RunLogWriter(bench.folder, ATTEMPT_ID, is_online=True)
    log.begin()
    bench.end(signal=9)

    await bench.leave()

    assert (bench.run.state, bench.run.exit_code) == ("failed", 1)
    assert bench.list_kept() == []
    assert log.folder.is_dir()


async def test_run_without_an_end_is_told_and_kept(bench: Bench):
    bench.log.begin()
    bench.end(exit_code=0)

    await bench.leave()

    assert (bench.run.state, bench.run.exit_code) == ("failed", 1)
    assert bench.list_kept() == [RUN]


async def test_run_whose_worker_killed_it_for_its_own_sake_waits_for_the_next_attempt(
    bench: Bench,
):
    bench.is_preempted = True
    bench.log.begin()
    bench.end([folders.STOP, folders.KILL], signal=9)

    bench.leaving.leave(ATTEMPT_ID, str(bench.attempt))
    assert not await bench.repairs.work_off()
    assert (bench.run.state, bench.wandb.calls) == ("running", [])
    bench.run.state = "crashed"
    bench.now += timedelta(minutes=11)
    assert await bench.repairs.work_off()

    assert (bench.run.state, bench.run.exit_code) == ("failed", 1)


async def test_run_that_ended_as_its_worker_wanted_it_to_go_on_needs_nothing(bench: Bench):
    bench.is_preempted = True
    bench.log.end(255)
    bench.end([folders.STOP], signal=SIGINT)

    await bench.leave()

    assert bench.wandb.calls == bench.list_kept() == []


async def test_what_cannot_be_read_is_kept_as_it_is(bench: Bench):
    (bench.attempt / "runs" / "wandb").write_text("no folder")
    bench.end(exit_code=1)

    for _ in range(9):
        with pytest.raises(NotADirectoryError):
            bench.leaving.leave(ATTEMPT_ID, str(bench.attempt))
    await bench.leave()

    assert (bench.run.state, bench.run.exit_code) == ("failed", 1)
    assert bench.list_kept() == [f"{ATTEMPT_ID}-runs"]
    assert (bench.folder / "kept" / f"{ATTEMPT_ID}-runs" / "wandb").read_text() == "no folder"


async def test_reading_that_fails_for_a_while_changes_nothing(bench: Bench):
    wandb = bench.attempt / "runs" / "wandb"
    wandb.write_text("no folder")
    bench.end(exit_code=0)
    with pytest.raises(NotADirectoryError):
        bench.leaving.leave(ATTEMPT_ID, str(bench.attempt))
    wandb.unlink()
    bench.log.end(0)

    await bench.leave()

    assert bench.wandb.calls == bench.list_kept() == []
