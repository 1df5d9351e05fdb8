"""Reading the transaction log of a run, whole or while it grows."""

import struct
import tempfile
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wandb.proto import wandb_internal_pb2 as pb

from service.schedulers.executors.wandb.local.run_log import RunLogReader

DATA = Path(__file__).parent / "data"
HEADER = b":W&B\xe1\xbe\x00"
BLOCK_BYTES = 32 * 1024
PIECE_HEADER_BYTES = 7


def build_log(payloads: Sequence[bytes]) -> bytes:
    """A log as the description of the format has it, written apart from the reader."""
    log = bytearray(HEADER)
    for payload in payloads:
        begun = False
        while True:
            room = BLOCK_BYTES - len(log) % BLOCK_BYTES
            if room < PIECE_HEADER_BYTES:
                log += bytes(room)
                continue
            piece = payload[: room - PIECE_HEADER_BYTES]
            payload = payload[len(piece) :]
            kind = {(False, False): 1, (False, True): 2, (True, True): 3, (True, False): 4}[
                (begun, bool(payload))
            ]
            crc = zlib.crc32(bytes((kind,)) + piece)
            log += struct.pack("<IHB", crc, len(piece), kind) + piece
            begun = True
            if not payload:
                break
    return bytes(log)


def build_record(number: int, size: int = 0) -> bytes:
    record = pb.Record(num=number)
    record.output_raw.line = "x" * size
    return record.SerializeToString()


def read_numbers(reader: RunLogReader, limit_bytes: int | None = None) -> list[int]:
    return [record.num for record in reader.read(limit_bytes=limit_bytes)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run-x.wandb"


@pytest.mark.parametrize(
    ("name", "records"), [("many_kinds", 32), ("long_and_preempted", 42), ("killed", 9)]
)
def test_recorded_log(name: str, records: int):
    reader = RunLogReader(str(DATA / f"{name}.wandb"))

    assert read_numbers(reader) == list(range(1, records + 1))
    assert read_numbers(reader) == []
    assert reader.trouble is None


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(
        st.one_of(
            st.integers(0, 200),
            # So that pieces end at the border of a block, or some bytes before it.
            st.integers(BLOCK_BYTES - 60, BLOCK_BYTES + 20),
            st.just(3 * BLOCK_BYTES),
        ),
        max_size=6,
    ),
    cuts=st.lists(st.floats(0, 1), max_size=6),
)
def test_any_split_gives_the_same_records(sizes: list[int], cuts: list[float]):
    log = build_log([build_record(number, size) for number, size in enumerate(sizes)])
    ends = sorted({0, len(log), *(int(cut * len(log)) for cut in cuts)})
    numbers = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run-x.wandb"
        reader = RunLogReader(str(path))
        for start, end in pairwise(ends):
            with path.open("ab") as stream:
                stream.write(log[start:end])
            numbers += read_numbers(reader)

    assert numbers == list(range(len(sizes)))
    assert reader.trouble is None


@pytest.mark.parametrize("left", range(PIECE_HEADER_BYTES + 3))
def test_record_that_ends_just_before_the_border_of_a_block(path: Path, left: int):
    room = BLOCK_BYTES - len(HEADER) - PIECE_HEADER_BYTES - left
    overhead = len(build_record(1, room)) - room
    log = build_log([build_record(1, room - overhead), build_record(2), build_record(3)])
    path.write_bytes(log)

    # The second one begins before the border only if its header fits.
    assert log[BLOCK_BYTES - left :].startswith(bytes(left)) == (left < PIECE_HEADER_BYTES)
    assert read_numbers(RunLogReader(str(path))) == [1, 2, 3]


def test_log_that_grows_byte_by_byte(path: Path):
    log = (DATA / "killed.wandb").read_bytes()
    reader = RunLogReader(str(path))
    numbers = []
    for end in range(len(log) + 1):
        path.write_bytes(log[:end])
        numbers += read_numbers(reader)

    assert numbers == list(range(1, 10))


def test_log_that_is_not_there_yet(path: Path):
    reader = RunLogReader(str(path))

    assert read_numbers(reader) == []
    path.write_bytes(b"")
    assert read_numbers(reader) == []
    path.write_bytes(build_log([build_record(5)]))
    assert read_numbers(reader) == [5]
    assert reader.trouble is None


@pytest.mark.parametrize("content", [b"{}", b":W&B\xe1\xbe\x01" + bytes(100), bytes(100)])
def test_file_of_another_format(path: Path, content: bytes):
    path.write_bytes(content)
    reader = RunLogReader(str(path))

    assert read_numbers(reader) == []
    assert reader.trouble is not None
    assert "format" in reader.trouble


def test_what_is_damaged_at_the_end_is_waited_for(path: Path):
    log = build_log([build_record(0), build_record(1, 100)])
    reader = RunLogReader(str(path))
    path.write_bytes(log[:-50] + bytes(50))

    assert read_numbers(reader) == [0]
    assert reader.trouble is None
    path.write_bytes(log)
    assert read_numbers(reader) == [1]


@pytest.mark.parametrize("damage", [b"\xff", bytes(20), b"\xff" * 20])
def test_damage_costs_the_rest_of_its_block(path: Path, damage: bytes):
    # Two hundred records of some 330 bytes are three blocks.
    log = bytearray(build_log([build_record(number, 320) for number in range(200)]))
    log[1000 : 1000 + len(damage)] = damage
    path.write_bytes(log)
    reader = RunLogReader(str(path))

    numbers = read_numbers(reader)

    assert numbers[:2] == [0, 1]
    assert numbers[2:] == list(range(numbers[2], 200))
    assert 96 <= numbers[2] <= 100
    assert reader.trouble is not None
    assert "damaged" in reader.trouble


def test_damaged_record_is_not_pieced_together(path: Path):
    # Without its middle piece of 181 * 181 bytes it would still be a record.
    part = build_record(7, 173)
    assert (len(part), BLOCK_BYTES - PIECE_HEADER_BYTES) == (181, 181 * 181)
    log = bytearray(build_log([part * 400, build_record(8)]))
    log[BLOCK_BYTES + 100] ^= 0xFF
    path.write_bytes(log)

    assert read_numbers(RunLogReader(str(path))) == [8]


def test_record_that_cannot_be_understood_is_passed_over(path: Path):
    path.write_bytes(build_log([build_record(0), b"\xff\xff\xff", build_record(2)]))
    reader = RunLogReader(str(path))

    assert read_numbers(reader) == [0, 2]
    assert reader.trouble is not None


def test_limit(path: Path):
    path.write_bytes(build_log([build_record(number, 1000) for number in range(10)]))
    reader = RunLogReader(str(path))

    assert read_numbers(reader, 2500) == [0, 1, 2]
    assert reader.is_behind
    assert read_numbers(reader, 100_000) == [3, 4, 5, 6, 7, 8, 9]
    assert not reader.is_behind
