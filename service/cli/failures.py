"""How commands fail: one sentence on standard error and exit code 1, never a traceback."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asktell
import typer
from typer.core import TyperGroup

from service.domain.errors import AsktellError, Invalid

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class CannotStart(Exception):
    """A command cannot do its work; the message says what to change."""


@contextmanager
def explain_failures() -> Iterator[None]:
    """Turn foreseen failures into a sentence for the person at the terminal."""
    try:
        yield
    except Exception as error:
        if not _is_foreseen(error):
            raise
        _fail(_describe(error))


class Commands(TyperGroup):
    """All commands, whose output may go to a file on a disk that is full."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Runs one of them, and ends the process."""
        try:
            return super().main(*args, **options)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            typer.echo(f"asktell: The output cannot be written: {error.strerror}.", err=True)
            # What is left of it would be written again, and fail again, when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)


def _is_foreseen(error: Exception) -> bool:
    if isinstance(error, AsktellError | CannotStart | asktell.AsktellError):
        return True
    # Loading Postgres' driver takes a while, which commands that need none need not wait for.
    from service.storage.embedded import EmbeddedPostgresError

    return isinstance(error, EmbeddedPostgresError)


def _describe(error: Exception) -> str:
    if not isinstance(error, Invalid | asktell.ApiError):
        return str(error)
    words = str(error) if isinstance(error, Invalid) else f"{error.message} [{error.code}]"
    # The message may say the first thing that is wrong itself.
    parts = [part for part in error.errors if part.message not in words]
    return "".join([words, *(f"\n  {part.field}: {part.message}" for part in parts)])


def _fail(message: str) -> None:
    typer.echo(f"asktell: {message}", err=True)
    raise typer.Exit(1)
