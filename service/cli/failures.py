"""How commands fail: one sentence on standard error and exit code 1, never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from service.domain.errors import AsktellError
from service.storage.embedded import EmbeddedPostgresError


class CannotStart(Exception):
    """A command cannot do its work; the message says what to change."""


@contextmanager
def explain_failures() -> Iterator[None]:
    """Turn foreseen failures into a sentence for the person at the terminal."""
    try:
        yield
    except (AsktellError, EmbeddedPostgresError, CannotStart) as error:
        _fail(str(error))


def _fail(message: str) -> None:
    typer.echo(f"asktell: {message}", err=True)
    raise typer.Exit(1)
