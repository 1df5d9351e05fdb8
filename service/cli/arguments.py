"""Values of options: numbers, NAME=VALUE, and JSON that may lie in a file."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from asktell._texts import check_texts

from service.cli.failures import CannotStart, WrongUse
from service.domain.errors import InvalidSweepFile


def leave_out_none(**values: Any) -> dict[str, Any]:
    """Those that were given."""
    return {name: value for name, value in values.items() if value is not None}


def parse_number(text: str, what: str) -> float | str:
    """A number as the API takes it, which has no JSON form for NaN and infinities.

    Raises:
        WrongUse: It is none.
    """
    try:
        number = float(text)
    except ValueError:
        raise WrongUse(f"{what} is a number, not {text!r}.") from None
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number


def parse_pairs(pairs: Iterable[str], option: str) -> dict[str, Any]:
    """NAME=VALUE as a JSON object: a value that is JSON is that, any other one is text.

    Raises:
        WrongUse: One has no name or no value, or one that no server keeps, or a name is there
            twice.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise WrongUse(f"{option} takes NAME=VALUE, such as lr=0.01, not {pair!r}.")
        if name in values:
            raise WrongUse(f"{option} has {name!r} twice.")
        values[name] = _parse_value(text, name)
    return values


def parse_document(given: str, option: str) -> dict[str, Any]:
    """A JSON object that is given itself, or the path of a JSON or YAML file with one.

    Raises:
        WrongUse: It is no such object, or there is no such file.
    """
    content = _read_content(given, option)
    if not isinstance(content, dict):
        raise WrongUse(f"{option} takes a JSON object, or the path of a file with one.")
    return content


def parse_component(given: str, option: str) -> dict[str, Any]:
    """A sampler or pruner: the name of its class alone, or as `parse_document` has it.

    Raises:
        WrongUse: It is neither.
    """
    return {"type": given} if given.isidentifier() else parse_document(given, option)


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        WrongUse: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise WrongUse(f"{path} is not a text in UTF-8.") from None
    except OSError as error:
        raise WrongUse(f"{path} cannot be read ({error.strerror}).") from error


def write_text(path: Path, text: str) -> None:
    """Write a file.

    Raises:
        CannotStart: It cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotStart(f"{path} cannot be written ({error.strerror}).") from error


def _parse_value(text: str, name: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_parse_finite)
    except ValueError:
        return text
    try:
        check_texts(value, f"the value of {name!r}")
    except ValueError as error:
        raise WrongUse(str(error)) from None
    return value


def _parse_finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise WrongUse(f"Numbers lie between -1.8e308 and 1.8e308, and {text} does not.")
    return number


def _read_content(given: str, option: str) -> Any:
    # YAML's reader is for the few that need it.
    from service.sweep_files.documents import read_document
    from service.sweep_files.problems import Problems

    text = given if given.lstrip().startswith("{") else read_text(Path(given))
    problems = Problems()
    try:
        read = read_document(text, keeps_text=lambda _path: False, problems=problems)
        problems.check()
    except InvalidSweepFile as error:
        found = "".join(f"\n  {each.field}: {each.message}" for each in error.errors)
        raise WrongUse(f"{option} cannot be used:{found}") from error
    return read.content


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
