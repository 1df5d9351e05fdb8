"""Runs that are where their programs want them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.schedulers.executors.process import folders
from service.schedulers.executors.process.marks import MARK, build_mark
from service.schedulers.executors.wandb.local.kept_runs import KeptRuns
from service.schedulers.executors.wandb.local.places import (
    PlaceSearch,
    RunPlace,
    find_left,
    read_place,
)

RUN_ID = "k3v9x2ab-12-1"
RUN = f"run-20260102_030405-{RUN_ID}"
_HOLD = "import sys; stream = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


@pytest.fixture
def attempt(tmp_path: Path) -> str:
    """The folder of an attempt whose program was started in the folder `theirs`."""
    folder = str(tmp_path / "attempts" / "k3v9x2ab-12-2")
    folders.make_folder(folder)
    folders.write_record(folder, folders.PLAN, {"directory": str(tmp_path / "theirs")})
    folders.mark(folder, folders.STARTED)
    return folder


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Of a run in that folder."""
    return plant(tmp_path / "theirs" / "wandb" / RUN)


@contextmanager
def open_log(attempt: str, log: Path) -> Iterator[None]:
    """Has a process of the attempt have it open."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(log)],
        env={MARK: build_mark(attempt)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    try:
        yield
    finally:
        process.communicate()


def plant(run_folder: Path) -> Path:
    run_folder.mkdir(parents=True)
    log = run_folder / f"run-{RUN_ID}.wandb"
    log.touch()
    return log


def age(log: Path) -> None:
    """Has it be of an earlier attempt."""
    os.utime(log, (1.0, 1.0))


def test_run_is_where_the_worker_wants_it_as_long_as_nothing_else_is_known(attempt: str) -> None:
    assert read_place(attempt) == RunPlace(f"{attempt}/runs/wandb")


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
def test_run_is_found_by_its_open_log(attempt: str, log: Path) -> None:
    now = [0.0]
    search = PlaceSearch(lambda: now[0])
    assert not search.find(attempt, RUN_ID)
    with open_log(attempt, log):
        # Processes are searched twice a second at most.
        assert not search.find(attempt, RUN_ID)
        now[0] = 0.5

        assert not search.find(f"{attempt}0", RUN_ID)
        assert not search.find(attempt, "k3v9x2ab-12-3")
        assert search.find(attempt, RUN_ID)
    assert read_place(attempt) == RunPlace(str(log.parent.parent), RUN)


def test_run_that_is_over_is_found_where_the_program_was_started(attempt: str, log: Path) -> None:
    age(plant(log.parent.parent / f"run-20260102_030404-{RUN_ID}"))

    assert find_left(attempt, RUN_ID)
    assert read_place(attempt) == RunPlace(str(log.parent.parent), RUN)


def test_run_of_an_earlier_attempt_is_not_found(attempt: str, log: Path) -> None:
    age(log)

    assert not find_left(attempt, RUN_ID)
    assert not find_left(attempt, "k3v9x2ab-12-3")


def test_folder_of_the_program_may_be_anything(attempt: str, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("")

    assert not find_left(attempt, RUN_ID)


def test_command_names_the_folder_that_has_the_runs(attempt: str, tmp_path: Path) -> None:
    kept = KeptRuns(tmp_path / "kept")
    own, theirs = f"{attempt}/runs/wandb/{RUN}", f"{tmp_path}/theirs/wandb/{RUN}"

    for folders_of_run in ([], [own]):
        assert kept.describe_sync(RUN_ID, attempt, folders_of_run) == (
            f"wandb sync --no-skip-online {tmp_path}/kept/*run-*-{RUN_ID}"
        )
    assert kept.describe_sync(RUN_ID, attempt, [theirs, f"{theirs}-1"]) == (
        f"wandb sync --no-skip-online {tmp_path}/theirs/wandb/*run-*-{RUN_ID} "
        f"{tmp_path}/theirs/wandb/*run-*-{RUN_ID}-[0-9]*"
    )
