"""Reading what the process logs, as the machine that collects it does."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

from service.observability import configure_logging


class Log:
    """What was logged since the last look."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    def read_text(self) -> str:
        text = self._stream.getvalue()
        self._stream.seek(0)
        self._stream.truncate()
        return text

    def read_last(self, event: str) -> dict[str, Any]:
        return [line for line in self.read_lines() if line["event"] == event][-1]

    def read_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.read_text().splitlines()]


@contextmanager
def open_log(style: str = "json") -> Iterator[Log]:
    """Logs everything to where the test can read it; afterwards, as before."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    # The stream is ours: pytest closes its own between a fixture and the test.
    stream = io.StringIO()
    with redirect_stderr(stream):
        configure_logging(level="debug", style=style)
    try:
        yield Log(stream)
    finally:
        root.handlers[:], root.level = before
