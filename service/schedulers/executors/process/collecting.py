"""Finds metrics in what a program prints.

A metric is `name=value` anywhere in a line, as Katib's collector for standard output reads it:
spaces around the sign are fine, the value is a number, nan or inf, other names are ignored. The
step is the `step=` of the same line, or whatever name the sweep gives for it.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

MAX_LINE_BYTES = 65_536
"""What is longer is cut."""

_MAX_STEP = 2**31 - 1
_NUMBER = rb"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|(?i:nan|infinity|inf))"
# What may not stand before a name, because it would be part of another one: `val_accuracy`.
_NAME_CHARACTERS = rb"\w./|\x80-\xff-"
_ENDS = re.compile(rb"[\r\n]")
_COLOURS = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]")


class Row(NamedTuple):
    """The metrics of one line."""

    step: int
    values: dict[str, float]


class Collector:
    """Reads output piece by piece, in little memory however long its lines are.

    Attributes:
        values: The last value of each metric so far.
        last_line: The last line that was not blank, of whatever is complete.
    """

    def __init__(self, metrics: Sequence[str], step_metric: str | None = None) -> None:
        self.values: dict[str, float] = {}
        self.last_line = b""
        self._step_name = (step_metric or "step").encode()
        self._metrics = {name.encode(): name for name in metrics}
        self._pattern = _build_pattern({*self._metrics, self._step_name})
        self._begun = b""
        self._is_cut = False
        self._last_step = -1

    def feed(self, piece: bytes) -> Iterator[Row]:
        """Yields the rows of the lines that `piece` completes; the last line waits for its end."""
        end = max(piece.rfind(b"\n"), piece.rfind(b"\r")) + 1
        if end:
            whole = self._begun + piece[:end]
            self._begun = b""
            yield from self._read_lines(whole)
            self._is_cut = False
        self._keep(piece[end:])

    def finish(self) -> Iterator[Row]:
        """Yields the row of a last line without an end."""
        rest, self._begun = self._begun, b""
        yield from self._read_lines(rest)

    def _keep(self, piece: bytes) -> None:
        room = MAX_LINE_BYTES - len(self._begun)
        self._begun += piece[:room]
        self._is_cut = self._is_cut or len(piece) > room

    def _read_lines(self, text: bytes) -> Iterator[Row]:
        self._remember_last(text[-MAX_LINE_BYTES:])
        # Most output is none of ours, and there may be a lot of it.
        if not any(name in text for name in self._metrics):
            return
        is_cut = self._is_cut
        for line in split_lines(text):
            if b"=" in line and (row := self._read_line(_trim(line, is_cut=is_cut))) is not None:
                yield row
            is_cut = False

    def _read_line(self, line: bytes) -> Row | None:
        found = dict(self._pattern.findall(strip_colours(line)))
        values = {
            self._metrics[name]: float(text)
            for name, text in found.items()
            if name in self._metrics
        }
        if not values:
            return None
        self.values.update(values)
        step = None if self._step_name in self._metrics else found.get(self._step_name)
        self._last_step = _to_step(step, default=self._last_step + 1)
        return Row(self._last_step, values)

    def _remember_last(self, text: bytes) -> None:
        for line in reversed(split_lines(text)):
            if line.strip():
                self.last_line = line
                return


def split_lines(text: bytes) -> list[bytes]:
    """Returns the lines, and what a progress bar has overwritten as lines of their own."""
    return _ENDS.split(text)


def strip_colours(line: bytes) -> bytes:
    """Returns what a terminal would show of a line."""
    return _COLOURS.sub(b"", line) if b"\x1b" in line else line


def _build_pattern(names: set[bytes]) -> re.Pattern[bytes]:
    words = b"|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(
        rb"(?<![" + _NAME_CHARACTERS + rb"])(" + words + rb")\s*=\s*(" + _NUMBER + rb")(?!\w|\.\d)"
    )


def _trim(line: bytes, *, is_cut: bool) -> bytes:
    """The last word of a cut line may be half of one: `0.9` of `0.93`."""
    if not is_cut and len(line) <= MAX_LINE_BYTES:
        return line
    kept = line[:MAX_LINE_BYTES]
    return kept[: max(kept.rfind(space) for space in (b" ", b"\t")) + 1]


def _to_step(text: bytes | None, *, default: int) -> int:
    number = math.nan if text is None else float(text)
    is_step = 0 <= number <= _MAX_STEP and number == int(number)
    # Rows without a step are counted, and a count that passes the largest step stays there.
    return int(number) if is_step else min(default, _MAX_STEP)
