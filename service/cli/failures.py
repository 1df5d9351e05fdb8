"""How commands fail: one sentence on standard error and an exit code, never a traceback."""

import errno
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import asktell
import typer
from asktell._texts import find_flaw
from typer.core import TyperGroup

from service.cli.hints import CommandLine, describe_refusal, typed
from service.domain.errors import AsktellError, Invalid

EXIT_FAILED = 1
EXIT_WRONG_USE = 2

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

# Not every version of typer has a public name for it.
_USAGE_ERROR: Any = typer.BadParameter.__base__


class CannotStart(Exception):
    """A command cannot do its work; the message says what to change."""


class WrongUse(CannotStart):
    """A command was typed that can never do anything; the message says what to type."""


@contextmanager
def explain_failures() -> Iterator[None]:
    """Turn foreseen failures into a sentence for the person at the terminal."""
    try:
        _check_values()
        yield
    except Exception as error:
        if not _is_foreseen(error):
            raise
        leave(error, EXIT_WRONG_USE if _is_wrong_use(error) else EXIT_FAILED)


def leave(error: Exception, status: int) -> NoReturn:
    """Say what went wrong and end the command with this exit code."""
    typer.echo(f"asktell: {_describe(error)}", err=True)
    raise typer.Exit(status) from error


class Commands(TyperGroup):
    """All commands, whose output may go to a file on a disk that is full."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        """Runs one of them, and ends the process."""
        typed.set(CommandLine(self, tuple(sys.argv[1:] if args is None else args)))
        try:
            return super().main(args, *rest, **options)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            typer.echo(f"asktell: The output cannot be written: {error.strerror}.", err=True)
            # What is left of it would be written again, and fail again, when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_FAILED)

    def invoke(self, ctx: Any) -> Any:
        """Runs one of them, and says how a value is typed that was taken for an option."""
        try:
            return super().invoke(ctx)
        except _USAGE_ERROR as error:
            word = _find_value(getattr(error, "option_name", None))
            if word is not None:
                error.message += f"; a value like {word} goes after --"
            raise


def _find_value(option: str | None) -> str | None:
    """The word whose first two letters were read as an option."""
    words = typed.get().words
    return next((word for word in words if word[:2] == option and len(word) > 2), None)


def _check_values() -> None:
    """Refuses values that no request can carry, which their types allow."""
    line = typed.get(None)
    for called, value in line.list_values() if line is not None else ():
        if isinstance(value, str) and find_flaw(value) is not None:
            raise WrongUse(f"{called} is not text in UTF-8: {value!r}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise WrongUse(f"{called} is a finite number, not {value}.")


def _is_foreseen(error: Exception) -> bool:
    if isinstance(error, AsktellError | CannotStart | asktell.AsktellError):
        return True
    # Loading Postgres' driver takes a while, which commands that need none need not wait for.
    from service.storage.embedded import EmbeddedPostgresError

    return isinstance(error, EmbeddedPostgresError)


def _is_wrong_use(error: Exception) -> bool:
    """Whether the same words can never do better, as opposed to the state that things are in."""
    return isinstance(error, WrongUse | Invalid | asktell.InvalidError)


def _describe(error: Exception) -> str:
    if isinstance(error, asktell.ApiError):
        return describe_refusal(error)
    if not isinstance(error, Invalid):
        return str(error)
    parts = [part for part in error.errors if part.message not in str(error)]
    return "".join([str(error), *(f"\n  {part.field}: {part.message}" for part in parts)])
