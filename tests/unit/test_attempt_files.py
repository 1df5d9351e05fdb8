"""The files of an attempt: its log, its metric rows, its records."""

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import Launch, Sighting, Watch
from service.schedulers.executors.process import folders
from service.schedulers.executors.process.collecting import Row
from service.schedulers.executors.process.executor import ProcessExecutor, ProcessSettings
from service.schedulers.executors.process.launching import explain
from service.schedulers.executors.process.log_files import LogWriter, read_log
from service.schedulers.executors.process.metric_files import (
    FIRST,
    MAX_ROWS,
    MetricWriter,
    Position,
    read_rows,
)
from service.schedulers.executors.process.processes import read_boot_id

EVERYTHING = 10**9
ONE, OTHER = "k3v9x2ab-0-1", "k3v9x2ab-1-1"
EXITED = {
    "kind": "exited",
    "exit_code": 0,
    "signal": None,
    "message": None,
    "values": {"loss": 0.5},
}


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path)


def read_all(folder: str, offset: int = 0) -> tuple[int, bytes]:
    return read_log(folder, offset, limit=EVERYTHING, max_behind=EVERYTHING)


def test_log_keeps_the_end_in_two_files(folder: str):
    log = LogWriter(folder, max_file_bytes=10)
    log.write(b"0123456789abcdefghij")
    assert read_all(folder) == (0, b"0123456789abcdefghij")

    log.write(b"k")

    assert sorted(os.listdir(folder)) == ["log.10", "log.20"]
    assert read_all(folder) == (10, b"abcdefghijk")


def test_log_is_read_from_any_offset_across_files(folder: str):
    LogWriter(folder, max_file_bytes=10).write(b"0123456789abcdefghijklm")

    assert read_all(folder, 15) == (15, b"fghijklm")
    assert read_log(folder, 18, limit=4, max_behind=EVERYTHING) == (18, b"ijkl")
    assert read_all(folder, 23) == (23, b"")
    assert read_all(folder, 99) == (23, b"")


def test_reader_far_behind_skips_ahead(folder: str):
    LogWriter(folder, max_file_bytes=100).write(b"x" * 50 + b"y" * 10)

    assert read_log(folder, 0, limit=4, max_behind=10) == (50, b"yyyy")
    assert read_log(folder, 55, limit=4, max_behind=10) == (55, b"yyyy")


def test_files_of_others_are_no_log(folder: str):
    LogWriter(folder).write(b"0123456789")
    for name in ("log.txt", "log.", "log.007", "log.5x", "log.-5", "log.\N{SUPERSCRIPT TWO}"):
        Path(folder, name).write_text("x")
    Path(folder, "log.99").mkdir()

    assert read_all(folder) == (0, b"0123456789")


def test_no_log_yet(folder: str):
    assert read_all(folder) == (0, b"")


def test_rows_are_read_from_a_number_on(folder: str):
    rows = [Row(step, {"loss": step / 4}) for step in range(5)]
    MetricWriter(folder).write(rows)

    read, position = read_rows(folder, 2, limit=2)

    assert (read, position.row) == (rows[2:4], 2)
    assert read_rows(folder, 4, near=position)[0] == rows[4:]
    assert read_rows(folder, 1, near=position)[0] == rows[1:]
    assert read_rows(folder, 9)[0] == []


def test_row_that_is_being_written_is_not_read(folder: str):
    MetricWriter(folder).write([Row(0, {"loss": 1.0})])
    with open(os.path.join(folder, folders.METRICS), "a") as stream:
        stream.write('{"step": 1, "val')

    assert read_rows(folder, 0)[0] == [Row(0, {"loss": 1.0})]


def test_rows_that_wait_are_read_without_those_before_them(folder: str):
    rows = [Row(step, {"loss": step / 4}) for step in range(5)]
    MetricWriter(folder).write(rows)
    _, position = read_rows(folder, 3)
    path = Path(folder, folders.METRICS)
    path.write_bytes(b" " * position.offset + path.read_bytes()[position.offset :])

    # What comes before cannot be read any more, and nothing of it is.
    again, later = read_rows(folder, 3, near=position)

    assert again == rows[3:]
    assert later == position


@pytest.mark.parametrize(
    "line",
    [
        b"no JSON",
        b"7",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"step": 1}',
        b'{"step": "1", "values": {"loss": 1.0}}',
        b'{"step": 1, "values": {"loss": "low"}}',
        b'{"step": 1, "values": [1.0]}',
    ],
)
def test_broken_line_is_no_row(folder: str, line: bytes):
    rows = [Row(step, {"loss": step / 4}) for step in range(3)]
    writer = MetricWriter(folder)
    writer.write(rows[:1])
    with open(os.path.join(folder, folders.METRICS), "ab") as stream:
        stream.write(line + b"\n")
    writer.write(rows[1:])

    read, position = read_rows(folder, 1)

    assert read == rows[1:]
    assert read_rows(folder, 2, near=position)[0] == rows[2:]


def test_no_rows_yet(folder: str):
    assert read_rows(folder, 0, near=Position(3, 99)) == ([], FIRST)


def test_rows_have_a_limit(folder: str):
    writer = MetricWriter(folder)
    for _ in range(3):
        writer.write([Row(0, {})] * (MAX_ROWS // 2 + 1))

    assert len(read_rows(folder, 0)[0]) == MAX_ROWS


def test_folder_and_files_are_for_their_owner_only(folder: str):
    attempt = os.path.join(folder, "attempt")
    folders.make_folder(attempt)
    folders.make_folder(attempt)
    folders.write_record(attempt, folders.PLAN, {"a": 1})
    folders.create_lasting_record(attempt, folders.STARTED, {})
    LogWriter(attempt)
    MetricWriter(attempt)

    assert os.stat(attempt).st_mode & 0o777 == 0o700
    for name in os.listdir(attempt):
        assert os.stat(os.path.join(attempt, name)).st_mode & 0o777 == 0o600, name


def test_record_that_must_not_be_there(folder: str):
    folders.create_lasting_record(folder, folders.STARTED, {"pid": 1})

    with pytest.raises(FileExistsError):
        folders.create_lasting_record(folder, folders.STARTED, {"pid": 2})
    assert folders.read_record(folder, folders.STARTED) == {"pid": 1}


@pytest.mark.parametrize("text", ["", '{"session": 1', "7", "[" * 100_000])
def test_record_that_broke_off_is_none(folder: str, text: str):
    Path(folder, folders.STARTED).write_text(text)

    assert folders.read_record(folder, folders.STARTED) is None


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """A worker's folder with two attempts that have ended."""
    for attempt_id in (ONE, OTHER):
        attempt = str(tmp_path / "attempts" / attempt_id)
        folders.make_folder(attempt)
        folders.create_lasting_record(attempt, folders.STARTED, {"boot_id": read_boot_id()})
        LogWriter(attempt)
        MetricWriter(attempt).write([Row(0, {"loss": 0.5})])
        folders.write_lasting_record(attempt, folders.EXIT, EXITED)
    return tmp_path


def build_executor(workdir: Path) -> ProcessExecutor:
    return ProcessExecutor(
        ProcessSettings(workdir=workdir, host="here", allowed=["*"], environment={})
    )


async def poll(executor: ProcessExecutor) -> Mapping[str, Sighting]:
    return await executor.poll([Watch(Launch(name)) for name in (ONE, OTHER)])


async def test_broken_folder_hides_no_other_attempt(workdir: Path):
    executor = build_executor(workdir)
    (workdir / "attempts" / ONE / folders.METRICS).unlink()
    (workdir / "attempts" / ONE / folders.METRICS).mkdir()
    (workdir / "attempts" / OTHER / "log.txt").write_text("mine")

    with capture_logs() as logs:
        seen = [await poll(executor) for _ in range(3)]

    assert [list(sightings) for sightings in seen] == [[OTHER]] * 3
    assert [log["event"] for log in logs] == ["attempt.unreadable"]
    assert logs[0]["attempt_id"] == ONE


async def test_folder_that_stays_broken_has_vanished_once_nobody_is_at_work(workdir: Path):
    executor = build_executor(workdir)
    attempt = workdir / "attempts" / ONE
    (attempt / folders.EXIT).unlink()
    (attempt / folders.METRICS).unlink()
    (attempt / folders.METRICS).mkdir()

    with folders.try_lock(str(attempt)):
        for _ in range(200):
            assert ONE not in await poll(executor)
    ending = (await poll(executor))[ONE].ending

    assert ending is not None
    assert ending.kind is EndingKind.VANISHED
    assert "cannot be read" in (ending.message or "")


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "finished"},
        {"exit_code": "0"},
        {"signal": [9]},
        {"message": 7},
        {"values": None},
        {"values": {"loss": "low"}},
    ],
)
async def test_end_that_no_supervisor_wrote_is_none(workdir: Path, change: Mapping[str, Any]):
    executor = build_executor(workdir)
    attempt = str(workdir / "attempts" / ONE)
    folders.write_record(attempt, folders.EXIT, {**EXITED, **change})

    with folders.try_lock(attempt):
        assert (await poll(executor))[ONE].ending is None
    seen = await poll(executor)

    assert seen[ONE].ending == Ending(
        EndingKind.VANISHED, message="Its supervisor was killed.", values={"loss": 0.5}
    )
    assert seen[OTHER].ending == Ending(EndingKind.EXITED, exit_code=0, values={"loss": 0.5})


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, r"The disk that /w is on is full\. Make room there\."),
        (errno.EROFS, "cannot write to /w: .*Read-only file system"),
        (errno.EACCES, "cannot write to /w: .*Permission denied"),
    ],
)
def test_trouble_that_does_not_pass_is_explained(number: int, message: str):
    assert re.search(message, explain(OSError(number, os.strerror(number)), "/w") or "")


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EMFILE, errno.ENOENT, errno.ETIMEDOUT])
def test_trouble_that_passes_stands_for_itself(number: int):
    assert explain(OSError(number, os.strerror(number)), "/w") is None


def test_missing_python_of_the_worker_is_named():
    error = OSError(errno.ENOENT, "No such file or directory")

    assert "/gone/python" in (explain(error, "/w", python="/gone/python") or "")


async def test_launch_that_cannot_write_says_where(tmp_path: Path):
    (tmp_path / "attempts").write_text("")
    (tmp_path / "train.py").write_text("")
    executor = build_executor(tmp_path)

    with pytest.raises(OSError, match=f"cannot write to {tmp_path}"):
        await executor.launch(Launch(ONE, arguments={"program": "train.py"}))


def test_lock_has_one_holder(folder: str):
    folders.make_folder(folder)

    with folders.try_lock(folder) as was_free, folders.try_lock(folder) as was_free_again:
        assert (was_free, was_free_again) == (True, False)
    with folders.try_lock(folder) as was_free:
        assert was_free


def test_ringing_for_nobody_does_nothing(folder: str):
    folders.ring(folder)
    folders.make_folder(folder)
    for _ in range(3):
        folders.ring(folder)
