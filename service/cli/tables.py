"""Tables for people: folded to a terminal's width, never cut on a pipe."""

from collections.abc import Iterable

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.cli.formats import to_line

# A pipe has no width, and a table is only as wide as what is in it.
_PIPE_WIDTH = 1_000_000


def open_console() -> Console:
    """Where people read: as wide as the terminal, or as anything that is written."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)


def print_line(text: str) -> None:
    """Print a line as it is, whatever brackets and colons it has."""
    open_console().print(text, markup=False, emoji=False, highlight=False)


def print_table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print rows of texts, which may come from anywhere: each is one line of a cell."""
    table = Table(box=SIMPLE_HEAD, show_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(Text(to_line(cell)) for cell in row))
    console = open_console()
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    # Cells are filled up to the width of their column, which nobody sees on a pipe.
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
