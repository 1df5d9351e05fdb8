"""From the command of a sweep to the arguments of a program, as W&B's agent makes them.

The forms are those of wandb 0.31, `create_sweep_command` and `create_sweep_command_args`, with two
differences: where its agent drops what it does not know, this refuses it; and a nested parameter
becomes a flag of its dotted name, where its agent prints the group as a Python dict.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.domain.commands import (
    DEFAULT_COMMAND,
    VARIABLE_MACRO,
    count_prefix,
    find_macro,
    find_macro_problem,
    find_program_problem,
)
from service.schedulers.executors.base import LaunchRefused


@dataclass(frozen=True, slots=True)
class Command:
    """What is executed.

    Attributes:
        argv: All of it.
        position: Of the program in it, which `env` and an interpreter may stand before.
        is_interpreted: An interpreter does.
        args_json: To be written to the file that it names, if it names it.
    """

    argv: tuple[str, ...]
    position: int
    is_interpreted: bool
    args_json: str | None

    @property
    def program(self) -> str:
        return self.argv[self.position]


@dataclass(frozen=True, slots=True)
class CommandContext:
    """What macros stand for, besides the params.

    Attributes:
        program: Of the sweep, if it names one.
        interpreter: What `${interpreter}` is on this machine.
        environment: The program's; `${envvar:NAME}` sees no other.
        args_file: Path of the file that `${args_json_file}` names.
    """

    program: str | None
    interpreter: str
    environment: Mapping[str, str]
    args_file: str


def build_command(
    command: Sequence[Any] | None, params: Mapping[str, Any], context: CommandContext
) -> Command:
    """Returns the command with its macros replaced.

    A macro is replaced where it is a whole word, `${envvar:NAME}` anywhere; a variable that is not
    set stands for its own name.

    Raises:
        LaunchRefused: A macro cannot be replaced, or there is nothing to execute.
    """
    words = [str(word) for word in (command or DEFAULT_COMMAND)]
    _check(words, context.program)
    macros = _build_macros(params, context)
    argv: list[str] = []
    for word in words:
        argv += _expand(word, macros, context)
    position = count_prefix(words)
    if position == len(argv):
        raise LaunchRefused("The command names no program. Give the sweep a `program`.")
    return Command(
        tuple(argv),
        position,
        is_interpreted="${interpreter}" in words[:position],
        args_json=macros["args_json"][0] if "${args_json_file}" in words else None,
    )


def _check(words: Sequence[str], program: str | None) -> None:
    problems = [find_program_problem(words, program), *map(find_macro_problem, words)]
    if problem := next(filter(None, problems), None):
        raise LaunchRefused(problem)


def _build_macros(params: Mapping[str, Any], context: CommandContext) -> dict[str, list[str]]:
    flat = dict(_flatten(params))
    flags = [f"{name}={value}" for name, value in flat.items()]
    return {
        "env": ["/usr/bin/env"],
        "interpreter": [context.interpreter],
        "program": [] if context.program is None else [context.program],
        "args": [f"--{flag}" for flag in flags],
        "args_no_equals": [word for k, v in flat.items() for word in (f"--{k}", str(v))],
        "args_no_hyphens": flags,
        "args_no_boolean_flags": _build_boolean_flags(flat),
        "args_append_hydra": [f"+{flag}" for flag in flags],
        "args_override_hydra": [f"++{flag}" for flag in flags],
        "args_json": [json.dumps(dict(params))],
        "args_json_file": [context.args_file],
        # A dict there, of which the names end up in the command.
        "args_dict": list(params),
    }


def _flatten(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Params of groups by dotted names, as Hydra has them and as they were declared."""
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _build_boolean_flags(params: Mapping[str, Any]) -> list[str]:
    return [
        f"--{name}" if value is True else f"--{name}={value}"
        for name, value in params.items()
        if value is not False
    ]


def _expand(word: str, macros: Mapping[str, list[str]], context: CommandContext) -> list[str]:
    name = find_macro(word)
    if name is not None:
        return macros[name]
    variables = context.environment
    return [VARIABLE_MACRO.sub(lambda match: variables.get(match[1], match[1]), word)]
