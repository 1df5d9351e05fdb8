"""The macros of W&B's `command`."""

import re

from service.domain.arguments import did_you_mean

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

_MACRO = re.compile(r"\$\{([^{}]*)\}")
_VARIABLE = re.compile(r"envvar:[A-Z0-9_]+", re.ASCII)


def find_macro_problem(item: str) -> str | None:
    """Returns why an item of a command can never be expanded, or None.

    What is no macro in the middle of an item, such as `${HOME}` in a script for a shell, is left
    to whoever the item is for.
    """
    for match in _MACRO.finditer(item):
        if problem := _find_problem(match[1], is_alone=match[0] == item):
            return problem
    return None


def _find_problem(name: str, *, is_alone: bool) -> str | None:
    if name.startswith("envvar:"):
        if _VARIABLE.fullmatch(name):
            return None
        return f"${{{name}}} names no variable in capitals; write ${{envvar:NAME}}."
    if name in MACROS:
        if is_alone:
            return None
        return f"${{{name}}} is expanded only as an item of its own, not as a part of one."
    if is_alone:
        return f"There is no macro ${{{name}}}.{did_you_mean(name, MACROS)}"
    return None
