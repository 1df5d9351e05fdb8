"""Commands of sweeps: their macros, and what can never be launched.

The macros are those of wandb 0.31, `create_sweep_command` and `create_sweep_command_args`.
"""

import re
from collections.abc import Sequence

from service.domain.arguments import did_you_mean

DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")
MACROS = (
    "env",
    "interpreter",
    "program",
    "args",
    "args_no_equals",
    "args_no_hyphens",
    "args_no_boolean_flags",
    "args_json",
    "args_json_file",
    "args_dict",
    "args_append_hydra",
    "args_override_hydra",
)
"""Each is an item of its own. Besides them `${envvar:NAME}` may stand anywhere in an item."""

VARIABLE_MACRO = re.compile(r"\$\{envvar:([A-Z0-9_]+)\}", re.ASCII)
_MACRO = re.compile(r"\$\{([^{}]*)\}")
_PREFIX = ("${env}", "${interpreter}")
_PROGRAM = "${program}"
# Addresses, of proxies too, may have a password in them.
_SECRETS = frozenset(
    {
        *("ASKTELL_TOKEN", "WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_X_EXTRA_HTTP_HEADERS"),
        *("WANDB_HTTP_PROXY", "WANDB_HTTPS_PROXY", "WANDB_X_PROXIES", "HTTP_PROXY", "HTTPS_PROXY"),
    }
)


def find_macro_problem(item: str) -> str | None:
    """Returns why an item of a command can never be expanded, or None.

    What is no macro in the middle of an item, such as `${HOME}` in a script for a shell, is left
    to whoever the item is for.
    """
    for match in _MACRO.finditer(item):
        if problem := _find_problem(match[0], match[1], is_alone=match[0] == item):
            return problem
    return None


def find_program_problem(command: Sequence[str] | None, program: str | None) -> str | None:
    """Returns why a command, or the default one, has nothing to launch, or None."""
    words = tuple(command or DEFAULT_COMMAND)
    if _PROGRAM in words and program is None:
        return f"Say what to launch: a program, or a command without {_PROGRAM}."
    program_words = words[count_prefix(words) :]
    if not program_words or not program_words[0]:
        return "The command names no program; add ${program}, or the program itself."
    return None


def count_prefix(words: Sequence[str]) -> int:
    """Returns how many words at the beginning of a command only lead to its program."""
    count = 0
    for macro in _PREFIX:
        if tuple(words[count : count + 1]) == (macro,):
            count += 1
    return count


def find_macro(item: str) -> str | None:
    """Returns the name of the macro that an item is, or None if it is none."""
    match = _MACRO.fullmatch(item)
    return match[1] if match and match[1] in MACROS else None


def _find_problem(macro: str, name: str, *, is_alone: bool) -> str | None:
    if name.startswith("envvar:"):
        return _find_variable_problem(macro)
    if name in MACROS:
        if is_alone:
            return None
        return f"{macro} is expanded only as an item of its own, not as a part of one."
    if is_alone:
        return f"There is no macro {macro}.{did_you_mean(name, MACROS)}"
    return None


def _find_variable_problem(macro: str) -> str | None:
    match = VARIABLE_MACRO.fullmatch(macro)
    if match is None:
        return f"{macro} names no variable in capitals; write ${{envvar:NAME}}."
    if match[1] in _SECRETS:
        return (
            f"Everybody on the machine can see the arguments of a program, {macro} too; "
            f"it finds {match[1]} in its environment."
        )
    return None
