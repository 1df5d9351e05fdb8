"""Refusals of the server as they are told to somebody who typed a command.

What the server answers is for programs: it names requests and fields. Where a command or an option
does the same, that is named instead.
"""

from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import asktell


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What somebody typed.

    Attributes:
        command: `asktell`, with all its commands.
        words: Those after it.
    """

    command: Any
    words: tuple[str, ...]

    def begins(self, command: str) -> bool:
        """Whether it is that command, or one of that group."""
        wanted = command.split()
        return list(self.words[: len(wanted)]) == wanted

    def has_option(self, option: str) -> bool:
        return any(word == option or word.startswith(f"{option}=") for word in self.words)

    def find_subject(self) -> str | None:
        """The study, sweep or token that it is about."""
        values = self._parse().params
        found: str | None = values.get("name") or values.get("study")
        return found

    def list_values(self) -> Iterator[tuple[str, Any]]:
        """The values of all arguments and options, by what help calls them."""
        context = self._parse()
        for param in context.command.params:
            called = param.name.upper() if param.param_type_name == "argument" else param.opts[0]
            given = context.params.get(param.name)
            values = given if isinstance(given, list | tuple) else [given]
            yield from ((called, value) for value in values)

    def _parse(self) -> Any:
        command, words = self.command, list(self.words)
        while words and words[0] in getattr(command, "commands", ()):
            command = command.commands[words.pop(0)]
        return command.make_context("asktell", words, resilient_parsing=True)


typed: ContextVar[CommandLine] = ContextVar("typed")
"""The command that is being run."""


@dataclass(frozen=True, slots=True)
class _Hint:
    """What to do about a refusal.

    Attributes:
        text: Where it has {name}, that is the study, sweep or token that was typed.
        is_all: It says what the server's words say, which are left out then.
        only_for: The command that it is for; empty for every one.
        not_for: A command that it is no advice for.
        without: An option that was not typed.
        field: What is wrong in the request, itself or a part of it.
    """

    text: str
    is_all: bool = False
    only_for: str = ""
    not_for: str = ""
    without: str = ""
    field: str = ""


_HINTS: dict[str, _Hint | tuple[_Hint, ...]] = {
    "already-told": _Hint("`asktell ask` starts a new one."),
    "attempt-not-found": _Hint(
        "Sweep {name} has no such attempt; `asktell sweep show` lists the newest.", is_all=True
    ),
    "body-too-large": _Hint(
        "This is more than the server takes at once; its ASKTELL_BODY_LIMIT_BYTES says how much.",
        is_all=True,
    ),
    "invalid-request": _Hint(
        "One condition per --where; repeat it for several, which must all hold.",
        only_for="study trials",
        field="where",
    ),
    "no-best-trial": _Hint(
        "No trial of {name} is complete yet; `asktell study trials` lists how they do.",
        is_all=True,
    ),
    "not-authenticated": _Hint(
        "The server does not take the token: it is wrong, was revoked or has expired. Set "
        "ASKTELL_TOKEN to a good one; `asktell serve` says where the server's own lies, `asktell "
        "token create` makes others.",
        is_all=True,
    ),
    "not-own-attempt": _Hint(
        "The token is that of another attempt; leave --attempt out.", is_all=True
    ),
    "parallelism-reached": _Hint(
        "As many trials of {name} run as its parallelism allows. Ask again when one has ended, "
        "or wait for that with --wait-seconds.",
        is_all=True,
        only_for="ask",
    ),
    "study-exists": (
        _Hint(
            "There is a study {name} already. --load uses it, if it was created alike; "
            "`asktell study adopt` takes it in, if plain Optuna made it. Else choose another name.",
            is_all=True,
            only_for="study create",
            without="--load",
        ),
        _Hint(
            "There is a study of this name already; --name gives this sweep another one.",
            is_all=True,
            only_for="sweep run",
        ),
        _Hint(
            "`asktell study show` shows what it is, `asktell study set` changes its limits.",
            only_for="study create",
        ),
    ),
    "study-finished": _Hint(
        "`asktell study resume` goes on after a stop; `asktell study set` changes the limits."
    ),
    "study-in-use": _Hint(
        "`asktell study stop` stops it; --force is what fails them.", only_for="study release"
    ),
    "study-not-found": _Hint(
        "There is no study {name} here. `asktell study ls` lists those there are; `asktell study "
        "adopt` takes in one that plain Optuna made in the server's database.",
        is_all=True,
        not_for="study adopt",
    ),
    "study-paused": _Hint("`asktell study resume` does that."),
    "sweep-not-found": _Hint(
        "There is no sweep {name} here. `asktell sweep ls` lists those there are; a study whose "
        "trials no worker launches is none, see `asktell study ls`.",
        is_all=True,
    ),
    "token-exists": _Hint("`asktell token revoke` revokes it."),
    "token-not-found": _Hint(
        "There is no token of the name {name}; `asktell token ls` lists them.", is_all=True
    ),
    "trial-not-found": _Hint(
        "Study {name} has no such trial; `asktell study trials` lists those it has.", is_all=True
    ),
}
"""By the code of the problem; of several for one code, the first that fits counts."""

_OPTIONS = {
    "max_trials": "--trials",
    "objectives": "--objective",
    "q": "--name",
    "user_attrs": "--attr",
}
"""By the field of a request; others have the name of their field."""


def describe_refusal(error: asktell.ApiError) -> str:
    """What the server refused, and what to type instead."""
    line = typed.get(None)
    if line is None:
        return str(error)
    hint = next((each for each in _list_hints(error.code) if _fits(each, error, line)), None)
    if hint is None:
        return _describe_said(error, line)
    text = hint.text.format(name=repr(line.find_subject()))
    return f"{text} [{error.code}]" if hint.is_all else f"{_describe_said(error, line)}\n  {text}"


def _list_hints(code: str) -> Sequence[_Hint]:
    found = _HINTS.get(code, ())
    return (found,) if isinstance(found, _Hint) else found


def _fits(hint: _Hint, error: asktell.ApiError, line: CommandLine) -> bool:
    if hint.field and hint.field not in {part.field.split(".")[0] for part in error.errors}:
        return False
    if hint.without and line.has_option(hint.without):
        return False
    if hint.not_for and line.begins(hint.not_for):
        return False
    return line.begins(hint.only_for)


def _describe_said(error: asktell.ApiError, line: CommandLine) -> str:
    named = [_name_option(part.field, line) for part in error.errors]
    if any(named):
        # The message says the first of them, by its field.
        words = [
            f"{name or part.field}: {_end(part.message)}"
            for name, part in zip(named, error.errors, strict=True)
        ]
        return "\n  ".join([f"{words[0]} [{error.code}]", *words[1:]])
    # The message may say the first thing that is wrong itself.
    parts = [part for part in error.errors if part.message not in error.message]
    words = [f"{part.field}: {part.message}" for part in parts]
    return "\n  ".join([f"{error.message} [{error.code}]", *words])


def _name_option(field: str, line: CommandLine) -> str | None:
    """The option that was typed for a field; with what is in its value, if it is a part of that."""
    parts = field.split(".")
    for place, part in enumerate(parts, start=1):
        option = _OPTIONS.get(part, f"--{part.replace('_', '-')}")
        if line.has_option(option):
            inner = ".".join(each for each in parts[place:] if not each.isdecimal())
            return f"{option} {inner}".strip()
    return None


def _end(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", ")")) else f"{sentence}."
