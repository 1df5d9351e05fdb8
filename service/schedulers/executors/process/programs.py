"""Which programs a worker runs, and whether they are there.

What is judged is the file that the command names after `${env}` and `${interpreter}`, with its
symbolic links resolved, just before it is started. A program that may run may do anything its
account may; so may whoever can change its file.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from service.schedulers.executors.base import LaunchRefused
from service.schedulers.executors.process.commands import Command

_ANYTHING = "*"
_GLOB_CHARACTERS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class AllowedPrograms:
    """Patterns for the paths of programs; `*` stands for any characters, `/` among them.

    A pattern that is only `*` also allows what is no file, as `python -m train` or `python -c`.
    """

    patterns: tuple[str, ...]

    @classmethod
    def from_patterns(cls, patterns: Sequence[str]) -> "AllowedPrograms":
        """Resolves symbolic links in the folders that patterns begin with."""
        return cls(tuple(_resolve_beginning(pattern) for pattern in patterns))

    @property
    def are_all(self) -> bool:
        return _ANYTHING in self.patterns

    def include(self, program: Path) -> bool:
        return any(fnmatchcase(str(program), pattern) for pattern in self.patterns)


def check_program(
    command: Command,
    *,
    directory: Path,
    search_path: str,
    allowed: AllowedPrograms,
    outputs: Sequence[Path],
) -> None:
    """Makes sure that the command can be executed here, and may be.

    Args:
        outputs: Folders of what programs have printed, from which nothing is executed.

    Raises:
        LaunchRefused: No.
    """
    if not directory.is_dir():
        raise LaunchRefused(f"The working directory {directory} is no folder of this machine.")
    if _is_no_file(command):
        if not allowed.are_all:
            raise LaunchRefused(_explain_no_file(command))
        return
    program = _find_program(command, directory, search_path)
    if any(program.is_relative_to(folder.resolve()) for folder in outputs):
        raise LaunchRefused(
            f"{command.program} ({program}) is in the folder of an attempt or a run. What is there "
            "was printed by a program, and is none; have a program in another folder."
        )
    if not allowed.include(program):
        raise LaunchRefused(_explain_refusal(command, program))
    if not command.is_interpreted and not os.access(program, os.X_OK):
        raise LaunchRefused(
            f"{command.program}: permission denied. Make it executable (chmod +x), or write "
            "${interpreter} before it."
        )


def _is_no_file(command: Command) -> bool:
    """An option of `env` or of the interpreter, or a variable that `env` is to set."""
    return command.position > 0 and (
        command.program.startswith("-") or ("=" in command.program and not command.is_interpreted)
    )


def _find_program(command: Command, directory: Path, search_path: str) -> Path:
    """An interpreter takes its script from the working directory, the system looks along PATH."""
    word = command.program
    if command.is_interpreted or "/" in word:
        found = directory / word
        if not found.exists():
            raise LaunchRefused(f"{word}: no such file in {directory}.")
        return found.resolve()
    for entry in search_path.split(os.pathsep):
        found = directory / entry / word
        if found.is_file() and os.access(found, os.X_OK):
            return found.resolve()
    raise LaunchRefused(f"{word}: no such program on PATH. A script here is ./{word}.")


def _explain_no_file(command: Command) -> str:
    return (
        f"The command runs {command.program!r}, which is no file that a worker could compare with "
        "its patterns. Only a worker started with --allow-program '*' runs it."
    )


def _explain_refusal(command: Command, program: Path) -> str:
    hint = " or write ${interpreter} in its place" if program.name.startswith("python") else ""
    return (
        f"{command.program} ({program}) is not among the programs that this worker runs. Start "
        f"the worker with --allow-program '{program}'{hint}."
    )


def _resolve_beginning(pattern: str) -> str:
    literal = next(
        (pattern[:index] for index, char in enumerate(pattern) if char in _GLOB_CHARACTERS),
        pattern,
    )
    folder = literal.rpartition("/")[0]
    return os.path.realpath(folder) + pattern[len(folder) :] if folder else pattern
