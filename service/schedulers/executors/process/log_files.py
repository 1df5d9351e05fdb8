"""What a program has printed: two files at most, named after the offset at which they begin."""

import os
import re
from contextlib import suppress

MAX_FILE_BYTES = 8 * 1024 * 1024
_PREFIX = "log."
# Programs may have put files of other names beside them.
_NAME = re.compile(r"log\.(0|[1-9][0-9]*)")
_FILES = 2


class LogWriter:
    """Keeps the end of a stream; the bytes have the offsets of the whole stream."""

    def __init__(self, folder: str, *, max_file_bytes: int = MAX_FILE_BYTES) -> None:
        self._folder = folder
        self._max_file_bytes = max_file_bytes
        self._file = _create(folder, 0)
        self._starts = [0]
        self._end = 0

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            room = self._starts[-1] + self._max_file_bytes - self._end
            if room == 0:
                self._begin_next()
                continue
            written = os.write(self._file, view[:room])
            self._end += written
            view = view[written:]

    def _begin_next(self) -> None:
        os.close(self._file)
        self._file = _create(self._folder, self._end)
        self._starts.append(self._end)
        if len(self._starts) > _FILES:
            with suppress(FileNotFoundError):
                os.unlink(_name(self._folder, self._starts.pop(0)))


def read_log(folder: str, offset: int, *, limit: int, max_behind: int) -> tuple[int, bytes]:
    """Reads what was printed from `offset` on, `limit` bytes of it.

    Returns:
        The offset of the first byte, and the bytes. The offset is larger than asked for if that
        part is gone, or if there would be more than `max_behind` to catch up with.
    """
    while True:
        starts = _list_starts(folder)
        if not starts:
            return 0, b""
        # A file that is gone by now was the oldest: what follows it is there.
        with suppress(FileNotFoundError):
            end = starts[-1] + os.stat(_name(folder, starts[-1])).st_size
            first = min(max(offset, starts[0], end - max_behind), end)
            return first, _read_from(folder, starts, first, limit)


def _list_starts(folder: str) -> list[int]:
    with os.scandir(folder) as entries:
        matches = [_NAME.fullmatch(entry.name) for entry in entries if entry.is_file()]
    return sorted(int(match[1]) for match in matches if match)


def _read_from(folder: str, starts: list[int], offset: int, limit: int) -> bytes:
    pieces = []
    for index, start in enumerate(starts):
        next_start = starts[index + 1] if index + 1 < len(starts) else None
        if limit and offset >= start and (next_start is None or offset < next_start):
            with open(_name(folder, start), "rb") as stream:
                stream.seek(offset - start)
                pieces.append(stream.read(limit))
            offset += len(pieces[-1])
            limit -= len(pieces[-1])
    return b"".join(pieces)


def _create(folder: str, start: int) -> int:
    return os.open(_name(folder, start), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _name(folder: str, start: int) -> str:
    return os.path.join(folder, f"{_PREFIX}{start}")
