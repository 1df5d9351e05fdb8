"""The files of an attempt: its log, its metric rows, its records."""

import os
from pathlib import Path

import pytest

from service.schedulers.executors.process import folders
from service.schedulers.executors.process.collecting import Row
from service.schedulers.executors.process.log_files import LogWriter, read_log
from service.schedulers.executors.process.metric_files import (
    FIRST,
    MAX_ROWS,
    MetricWriter,
    Position,
    read_rows,
)

EVERYTHING = 10**9


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


def test_no_log_yet(folder: str):
    assert read_all(folder) == (0, b"")


def test_rows_are_read_from_a_number_on(folder: str):
    rows = [Row(step, {"loss": step / 4}) for step in range(5)]
    MetricWriter(folder).write(rows)

    read, position = read_rows(folder, 2, limit=2)

    assert (read, position.row) == (rows[2:4], 4)
    assert read_rows(folder, 4, near=position)[0] == rows[4:]
    assert read_rows(folder, 1, near=position)[0] == rows[1:]
    assert read_rows(folder, 9)[0] == []


def test_row_that_is_being_written_is_not_read(folder: str):
    MetricWriter(folder).write([Row(0, {"loss": 1.0})])
    with open(os.path.join(folder, folders.METRICS), "a") as stream:
        stream.write('{"step": 1, "val')

    assert read_rows(folder, 0)[0] == [Row(0, {"loss": 1.0})]


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


@pytest.mark.parametrize("text", ["", '{"session": 1', "7"])
def test_record_that_broke_off_is_none(folder: str, text: str):
    Path(folder, folders.STARTED).write_text(text)

    assert folders.read_record(folder, folders.STARTED) is None


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
