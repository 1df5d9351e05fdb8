"""Postgres' log, kept in bounds."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_MAX_BYTES = 5_000_000


def open_log(log_file: Path) -> BinaryIO:
    """Open `log_file` for appending, readable for its owner only."""
    return os.fdopen(os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def trim_log(log_file: Path) -> None:
    """Move a log that has grown too large to `NAME.1`, while its writer keeps it open."""
    # A log that cannot be trimmed is no reason to stop the server that writes it.
    with suppress(OSError):
        if log_file.stat().st_size > _MAX_BYTES:
            shutil.copy2(log_file, log_file.with_name(f"{log_file.name}.1"))
            os.truncate(log_file, 0)


def read_tail(log_file: Path, lines: int) -> str:
    """Return the last lines of the log."""
    return "\n".join(log_file.read_text(errors="replace").splitlines()[-lines:])
