"""Reads the transaction log of a run while wandb writes it.

wandb-core records everything a program logs in `run-ID.wandb`, online and offline. The file is a
header of seven bytes and blocks of 32 KiB as in LevelDB's log format (its doc/log_format.md), with
the crc32 of zlib and without masks; what is in them are `Record`s of wandb_internal.proto.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from service.schedulers.executors.wandb.local.run_records import Record, parse_record

_HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
_BLOCK_BYTES = 32 * 1024
_PIECE_HEADER = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_KINDS = frozenset({_WHOLE, _FIRST, _MIDDLE, _LAST})


class _Piece(NamedTuple):
    kind: int
    data: bytes


class RunLogReader:
    """Reads a log record by record, from where it came to the last time.

    A record without an end is waited for. A damaged one is, too, while nothing follows the block
    that it is in: it may still be being written. After that the rest of its block is passed over.

    Attributes:
        is_behind: Whether the last reading stopped at its limit.
        trouble: What of the file could not be read, for people.
    """

    def __init__(self, path: str) -> None:
        self.is_behind = False
        self.trouble: str | None = None
        self._path = path
        self._position = 0
        # Of a record in several pieces, those that were read.
        self._begun: list[bytes] | None = None

    @property
    def position(self) -> int:
        """How many bytes were read."""
        return self._position

    def read(self, *, limit_bytes: int | None = None) -> Iterator[Record]:
        """Yields the records that have become complete; nothing if there is no such file yet.

        Args:
            limit_bytes: After how many bytes to stop, at the next end of a record.
        """
        self.is_behind = False
        end = None if limit_bytes is None else self._position + limit_bytes
        try:
            stream = open(self._path, "rb")  # noqa: SIM115 (closed just below)
        except FileNotFoundError:
            return
        with stream:
            # First: what was missing when it was read may be there a moment later.
            size = os.fstat(stream.fileno()).st_size
            if not self._find_place(stream):
                return
            while (piece := self._read_piece(stream, size)) is not None:
                record = self._join(piece)
                if record is not None:
                    yield record
                if end is not None and self._position >= end:
                    self.is_behind = True
                    return

    def _find_place(self, stream: BinaryIO) -> bool:
        if self._position > 0:
            stream.seek(self._position)
            return True
        header = stream.read(len(_HEADER))
        if header == _HEADER:
            self._position = len(_HEADER)
            return True
        if not _HEADER.startswith(header):
            self.trouble = "It is not in the format that this version of Asktell can read."
        return False

    def _read_piece(self, stream: BinaryIO, file_size: int) -> _Piece | None:
        """None if no more is complete."""
        while True:
            left = self._skip_filling(stream)
            header = stream.read(_PIECE_HEADER.size)
            if len(header) < _PIECE_HEADER.size:
                return None
            crc, length, kind = _PIECE_HEADER.unpack(header)
            data = stream.read(length)
            is_whole = kind in _KINDS and len(data) == length
            if is_whole and zlib.crc32(data, zlib.crc32(bytes((kind,)))) == crc:
                self._position += _PIECE_HEADER.size + length
                return _Piece(kind, data)
            next_block = self._position + left
            # Only if another one follows, for then this one is no longer written.
            if file_size <= next_block:
                return None
            self._skip_to(stream, next_block)

    def _skip_filling(self, stream: BinaryIO) -> int:
        """Passes over the end of a block that no piece fits in; returns what is left of it."""
        left = _BLOCK_BYTES - self._position % _BLOCK_BYTES
        if left >= _PIECE_HEADER.size:
            return left
        self._position += left
        stream.seek(self._position)
        return _BLOCK_BYTES

    def _skip_to(self, stream: BinaryIO, position: int) -> None:
        self.trouble = f"It is damaged at byte {self._position}; some of it is missing."
        self._begun = None
        self._position = position
        stream.seek(position)

    def _join(self, piece: _Piece) -> Record | None:
        """None until the record is whole, and for a piece whose beginning was passed over."""
        if piece.kind in (_WHOLE, _FIRST):
            self._begun = []
        if self._begun is None:
            return None
        self._begun.append(piece.data)
        if piece.kind in (_FIRST, _MIDDLE):
            return None
        data, self._begun = b"".join(self._begun), None
        record = parse_record(data)
        if record is None:
            self.trouble = f"A record before byte {self._position} cannot be understood."
        return record
