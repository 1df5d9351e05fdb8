"""What a file says about the program to launch."""

from collections.abc import Mapping
from typing import Any

from service.domain.commands import find_macro_problem, find_program_problem
from service.sweep_files.documents import Path
from service.sweep_files.draft import Draft


def check_program(draft: Draft, launch: Mapping[str, Any], path: Path) -> None:
    """Checks `program` and `command` in a part of the file: one of them says what to launch."""
    command = launch.get("command")
    if command is not None and not _is_list_of_texts(command):
        draft.refuse(
            (*path, "command"),
            "A command is a list of its words, such as "
            "[python, train.py, --fast]; for a line of shell write [sh, -c, …].",
        )
        return
    for index, item in enumerate(command or ()):
        if problem := find_macro_problem(item):
            draft.refuse((*path, "command", index), problem)
    if problem := find_program_problem(command, launch.get("program")):
        draft.refuse((*path, "program" if command is None else "command"), problem)


def _is_list_of_texts(command: Any) -> bool:
    return isinstance(command, list) and bool(command) and all(isinstance(i, str) for i in command)
