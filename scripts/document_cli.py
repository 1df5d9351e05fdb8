"""Writes docs/cli.md, the reference of the command line, from the command line itself."""

import inspect
import typing
from collections.abc import Iterator
from enum import EnumType
from pathlib import Path
from typing import Any, Literal

import typer

from service.cli.main import app

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"

# Said once, at the beginning.
COMMON = {"--json", "--url", "--data-dir", "--help", "--install-completion", "--show-completion"}

# Says no more than the name of the argument.
_PLAIN = ("The study.", "The sweep.")
_WORDS = {int: "N", float: "X", Path: "PATH"}

BEGINNING = """\
# The command line

`scripts/document_cli.py` writes this page from the commands themselves; `asktell COMMAND --help`
says the same.

All commands come with the distribution `asktell-server`. Those that talk to a server find the one
of this machine and user by themselves; `ASKTELL_URL` and `ASKTELL_TOKEN` name another one. `--url`
wins over the former; `--data-dir` is the folder that a server on this machine keeps, which has its
address, while it runs, and its token, which goes to no other server.

`--json` prints one JSON document on standard output and nothing else there: what the
[API](api.md) answers, where a command is one call of it. What goes wrong is a sentence on standard
error. Tables fit themselves to a terminal; on a pipe no line is cut or folded. `asktell
--install-completion` teaches your shell to complete commands and options.

| exit code | meaning |
| --- | --- |
| 0 | It is done. |
| 1 | It failed: no server or database answers, the token opens nothing, the study is not there or \
its state forbids it. The same words may do better later. |
| 2 | Wrong use: an unknown option or command, a value or setting that cannot be, options that \
exclude each other, a file that is not there, a sweep file with a mistake. |
| 3 | `ask` alone: the study will have no more trials. |
| 4 | `ask` alone: there is no trial for now. |
| 130 | Ctrl-C, but for `serve` and `worker`, which it ends in order. |

A shell script needs nothing else to run trials:

```sh
asktell study create shell --direction maximize --trials 20 --pruner MedianPruner \\
  --space '{"lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": true}}'
while trial=$(asktell ask shell --args); do
  eval "set -- $trial"; number=$1 attempt=$2; shift 2     # "$@" is --lr=… now
  if [ "$(asktell report shell $number 0 0.5 --attempt $attempt)" = prune ]; then
    asktell tell shell $number --state PRUNED --attempt $attempt
  else
    asktell tell shell $number 0.9 --attempt $attempt
  fi
done
asktell study best shell
```
"""


def render() -> str:
    """The whole page."""
    command = typer.main.get_command(app)
    return "\n".join([BEGINNING, *_render_group("asktell", command)]).rstrip() + "\n"


def _render_group(name: str, group: Any) -> Iterator[str]:
    for word, command in group.commands.items():
        inner = f"{name} {word}"
        if hasattr(command, "commands"):
            yield f"## {inner}\n\n{_tidy(command.help)}\n"
            yield from _render_group(inner, command)
        else:
            yield from _render_command(inner, command, level="###" if " " in name else "##")


def _render_command(name: str, command: Any, level: str) -> Iterator[str]:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if _is_option(each)]
    types = typing.get_type_hints(command.callback)
    usage = " ".join([name, *map(_describe_argument, arguments)])
    yield f"{level} `{usage}`\n\n{_tidy(command.help)}\n"
    rows = [(f"`{_name_argument(each)}`", each.help) for each in arguments]
    rows += [(_describe_option(each, types[each.name]), each.help) for each in options]
    rows = [f"| {left} | {_escape(right)} |" for left, right in rows if right not in _PLAIN]
    if rows:
        yield "\n".join(["| | |", "| --- | --- |", *rows, ""])


def _is_option(parameter: Any) -> bool:
    return parameter.param_type_name == "option" and not COMMON & set(parameter.opts)


def _describe_argument(argument: Any) -> str:
    name = _name_argument(argument)
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _name_argument(argument: Any) -> str:
    return argument.metavar or argument.name.upper() + ("..." if argument.nargs == -1 else "")


def _describe_option(option: Any, type_hint: Any) -> str:
    names = ", ".join(option.opts)
    value = "" if option.is_flag else f" {option.metavar or _describe_type(type_hint)}"
    return f"`{_escape(names + value)}`"


def _describe_type(type_hint: Any) -> str:
    """A word for the values of a type, of what is in it if it is a list or may be None."""
    inner = [each for each in typing.get_args(type_hint) if each is not type(None)]
    if typing.get_origin(type_hint) is Literal:
        return "|".join(map(str, inner))
    if inner:
        return _describe_type(inner[0])
    if isinstance(type_hint, EnumType):
        return "|".join(str(each.value) for each in type_hint)
    return _WORDS.get(type_hint, "TEXT")


def _tidy(text: str | None) -> str:
    return inspect.cleandoc(text or "").strip()


def _escape(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
