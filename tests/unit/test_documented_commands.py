"""Commands of `asktell` that the documentation shows are commands that there are."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from service.cli.main import app
from tests.docs.blocks import PAGES, ROOT, read_blocks

_SHOWING = ("sh", "console", "ini")
_COMMAND = re.compile(r"(?:^|[\s/])asktell ([a-z].*)")
# With a subcommand, so that sentences about `asktell` itself are none.
_INLINE = re.compile(r"`(asktell [a-z][^`]*)`")


def find_commands(page: Path) -> Iterator[list[str]]:
    """The words of each command, in blocks and within sentences."""
    for block in read_blocks(page):
        for line in block.text.replace("\\\n", " ").splitlines():
            if block.kind in _SHOWING and (match := _COMMAND.search(line.partition(" #")[0])):
                yield shlex.split(match[1])
    for command in _INLINE.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
        yield command.split()[1:]


def find_problem(words: list[str]) -> str | None:
    """What the command line does not know of it."""
    command: Any = typer.main.get_command(app)
    for word in words:
        if not isinstance(command, TyperGroup):
            break
        inner = None if word.startswith("-") else command.commands.get(word.split("|")[0])
        if inner is None and not word.startswith("-"):
            return f"{word} in {' '.join(words)}"
        command = inner or command
    options = {name for parameter in command.params for name in parameter.opts}
    unknown = [
        word
        for word in words
        if word.startswith("--") and word.partition("=")[0] not in options | {"--help"}
    ]
    return f"{unknown[0]} in {' '.join(words)}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_are_known(page: Path) -> None:
    problems = [problem for words in find_commands(page) if (problem := find_problem(words))]
    assert problems == []


def test_the_readme_shows_some() -> None:
    assert ["sweep", "run", "examples/digits/sweep.yaml"] in find_commands(ROOT / "README.md")


@pytest.mark.parametrize("line", ["sweep walk", "sweep run --trails 3", "serf"])
def test_an_unknown_one_is_found(line: str) -> None:
    assert find_problem(line.split()) is not None
