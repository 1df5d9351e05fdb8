"""What a child says, checked completely before anything is made of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from service.domain.limits import MAX_NAME_LENGTH
from service.domain.studies import Component
from service.sandbox.errors import FileFailed
from service.sandbox.files import CustomPart, Description, SearchSpaceRun, UserFile, WaitingTrial
from service.search_space import describe, find_number_problem, flatten, list_json_problems
from service.search_space.scalars import find_text_problem

_MAX_DEPTH = 16
_MAX_SHOWN = 1000
_DIRECTIONS = ("minimize", "maximize")


def read_run(message: Mapping[str, Any], params: Mapping[str, Any], output: str) -> SearchSpaceRun:
    """Return what a run gave, from its last message.

    Raises:
        FileFailed: The message is not what the sandbox's own code sends.
    """
    constraints = _read_named(message.get("constraints"), "Constraint")
    for name, value in constraints.items():
        if problem := find_number_problem(value):
            raise FileFailed(f"Constraint {name}: {problem}")
    return SearchSpaceRun(
        params=dict(params),
        config=_read_config(message.get("config")),
        user_attrs=_read_named(message.get("user_attrs"), "User attribute"),
        constraints={key: float(value) for key, value in constraints.items()},
        output=make_printable(output),
    )


def read_description(message: Mapping[str, Any], file: UserFile, output: str) -> Description:
    """Return what a file defines, from the child's last message.

    Raises:
        FileFailed: What it gives cannot be kept, also what its search space gave for once, or the
            message is not what the sandbox's own code sends.
    """
    functions = _read_texts(message.get("functions"))
    if not set(functions) <= _list_names(file):
        _refuse()
    if (run := message.get("run")) is not None:
        read_run(_check_object(run), {}, output)
    return Description(
        functions=functions,
        has_search_space=message.get("has_search_space") is True,
        sampler=_read_part(message.get("sampler")),
        pruner=_read_part(message.get("pruner")),
        directions=_read_directions(message.get("directions")),
        metric_names=_read_texts(message.get("metric_names", [])),
        user_attrs=_read_named(message.get("user_attrs", {}), "The study's user attribute"),
        enqueued=tuple(map(_read_waiting, _read_list(message.get("enqueued", [])))),
        has_terminator=message.get("has_terminator") is True,
        notes=_read_texts(message.get("notes", [])),
        output=make_printable(output),
    )


def read_failure(message: Mapping[str, Any]) -> FileFailed:
    """Return the error for a file that raised or that is not what it should be."""
    kind, line = message.get("type"), message.get("line")
    text = _read_text(message.get("message"))
    if kind is not None:
        text = f"{_read_text(kind)}: {text}" if text else _read_text(kind)
    return FileFailed(f"Line {line}: {text}" if isinstance(line, int) else text)


def make_printable(text: str) -> str:
    """Return text as any client and Postgres can take it, and never long."""
    shown = text[:_MAX_SHOWN].replace("\0", "\\x00")
    return shown.encode(errors="backslashreplace").decode()


def check_json(value: Any, depth: int = 0) -> Any:
    """Return `value` if it is JSON that can be stored.

    Raises:
        FileFailed: It is nested too deeply, or has text or numbers that Postgres cannot store.
    """
    if depth > _MAX_DEPTH:
        raise FileFailed(f"It gave a value that is nested more than {_MAX_DEPTH} deep.")
    match value:
        case str() | float():
            _check_scalar(value)
        case list():
            for item in value:
                check_json(item, depth + 1)
        case dict():
            for key, item in value.items():
                _check_scalar(key)
                check_json(item, depth + 1)
    return value


def _check_scalar(value: str | float) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise FileFailed("It gave a number that is not finite.")
    elif problem := find_text_problem(value):
        raise FileFailed(f"It gave text that cannot be kept. {problem}")


def _list_names(file: UserFile) -> set[str]:
    names = {file.objective, file.sampler, file.pruner, file.study}
    return names | {name for name in (file.search_space, file.optimizer) if name}


def _read_named(value: Any, what: str) -> dict[str, Any]:
    found = _read_mapping(value)
    for name in found:
        if not 1 <= len(name) <= MAX_NAME_LENGTH:
            raise FileFailed(
                f"{what} {describe(name)}: its name has {len(name)} characters; 1 to "
                f"{MAX_NAME_LENGTH} can be kept."
            )
    return found


def _read_waiting(document: Any) -> WaitingTrial:
    found = _check_object(document)
    return WaitingTrial(
        _read_mapping(found.get("params")),
        _read_named(found.get("user_attrs"), "User attribute of an enqueued trial:"),
    )


def _read_config(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    config = _read_mapping(value)
    for path, problem in list_json_problems(config, "What it returned"):
        raise FileFailed(f"{path}: {problem}")
    seen: set[str] = set()
    for name, _ in flatten(config):
        if name in seen:
            raise FileFailed(f"It returned two values for {describe(name)}; leave one out.")
        seen.add(name)
    return config


def _read_part(document: Any) -> Component | CustomPart | None:
    if document is None:
        return None
    found = _read_mapping(document)
    kind = make_printable(_read_text(found.get("type")))
    if "custom" in found:
        return CustomPart(kind, make_printable(_read_text(found["custom"])))
    if not kind.isidentifier():
        _refuse()
    return Component(kind, _read_mapping(found.get("args")))


def _read_directions(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    directions = _read_texts(value)
    if not directions or not set(directions) <= set(_DIRECTIONS):
        _refuse()
    return directions


def _read_mapping(value: Any) -> dict[str, Any]:
    check_json(found := _check_object(value))
    return found


def _check_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse()
    return value


def _read_list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        _refuse()
    return value


def _read_texts(value: Any) -> tuple[str, ...]:
    return tuple(make_printable(_read_text(item)) for item in _read_list(value))


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        _refuse()
    return value


def _refuse() -> NoReturn:
    raise FileFailed("It answered with something that no file can say.")
