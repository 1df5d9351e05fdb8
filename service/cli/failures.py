"""How commands fail: one sentence on standard error and exit code 1, never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import asktell
import typer

from service.domain.errors import AsktellError, Invalid
from service.storage.embedded import EmbeddedPostgresError


class CannotStart(Exception):
    """A command cannot do its work; the message says what to change."""


@contextmanager
def explain_failures() -> Iterator[None]:
    """Turn foreseen failures into a sentence for the person at the terminal."""
    try:
        yield
    except (
        AsktellError,
        EmbeddedPostgresError,
        CannotStart,
        asktell.AsktellError,
    ) as error:
        _fail(_describe(error))


def _describe(error: Exception) -> str:
    # The SDK's errors say all that themselves.
    parts = error.errors if isinstance(error, Invalid) else ()
    return "".join([str(error), *(f"\n  {part.field}: {part.message}" for part in parts)])


def _fail(message: str) -> None:
    typer.echo(f"asktell: {message}", err=True)
    raise typer.Exit(1)
