"""Arguments that come as JSON, checked against the signature of what they will construct."""

import inspect
import math
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from service.domain.errors import FieldError
from service.domain.studies import Component

MAX_DEPTH = 8
"""How many components may stand inside one another."""

_EMPTY: Mapping[str, Any] = types.MappingProxyType({})
_MAX_SHOWN = 1000
_NOUNS = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
    dict: "an object",
    type(None): "null",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The values that make sense for a number, both ends included."""

    low: float
    high: float = math.inf


@dataclass(frozen=True, slots=True)
class ArgumentRules:
    """What a constructor's signature does not say about its arguments.

    Attributes:
        refused: Arguments that nobody may give, with the sentence that says what to do instead.
        limits: Ranges of numeric arguments.
        checked_elsewhere: Arguments whose values the caller checks, such as nested components.
    """

    refused: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    limits: Mapping[str, Limits] = field(default_factory=lambda: _EMPTY)
    checked_elsewhere: Collection[str] = ()


def check_arguments(
    constructor: Callable[..., Any], args: Mapping[str, Any], rules: ArgumentRules
) -> list[FieldError]:
    """Return what is wrong with `args` as keyword arguments of `constructor`; empty if nothing.

    Names are checked against the signature, values against its annotations (numbers, booleans,
    strings, objects, null). An annotation that names anything else, a function say, admits no
    JSON value. Fields are argument names.
    """
    parameters = _parameters(constructor)
    known = [name for name in parameters if name not in rules.refused]
    missing = [
        FieldError(name, "This argument is required.")
        for name, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty and name not in args
    ]
    found = (
        (
            str(name),
            _find_problem(constructor, parameters.get(name), str(name), value, rules, known),
        )
        for name, value in args.items()
    )
    return missing + [FieldError(name, problem) for name, problem in found if problem]


def list_defaults(constructor: Callable[..., Any]) -> dict[str, Any]:
    """Return the defaults of `constructor` that say something: those that are not None."""
    return {
        name: parameter.default
        for name, parameter in _parameters(constructor).items()
        if parameter.default is not inspect.Parameter.empty and parameter.default is not None
    }


def parse_component(document: Any) -> Component | str:
    """Return the component that `{"type": …, "args": {…}}` describes, or what is wrong with it."""
    if not isinstance(document, Mapping) or not isinstance(document.get("type"), str):
        return 'This must be an object such as {"type": "RandomSampler", "args": {}}.'
    unknown = [key for key in document if key not in ("type", "args")]
    if unknown:
        return f'"{unknown[0]}" is not known here; put arguments into "args".'
    args = document.get("args")
    if args is not None and not isinstance(args, Mapping):
        return '"args" must be an object of arguments by name.'
    return Component(document["type"], args or {})


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean "…"?` with the known name nearest to `name`, or an empty string."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    folded = name.casefold()
    longer = [candidate for candidate in by_folded if folded and candidate.startswith(folded)]
    nearest = longer or get_close_matches(folded[:200], list(by_folded), n=1)
    return f' Did you mean "{by_folded[nearest[0]]}"?' if nearest else ""


def make_printable(errors: Iterable[FieldError]) -> list[FieldError]:
    """Return the errors as any client can read them: no broken Unicode, no endless names."""
    return [FieldError(_printable(e.field), _printable(e.message)) for e in errors]


def _printable(text: str) -> str:
    return text[:_MAX_SHOWN].encode(errors="backslashreplace").decode()


def _parameters(constructor: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(constructor).parameters


def _find_problem(
    constructor: Callable[..., Any],
    parameter: inspect.Parameter | None,
    name: str,
    value: Any,
    rules: ArgumentRules,
    known: Collection[str],
) -> str | None:
    if name in rules.refused:
        return rules.refused[name]
    if parameter is None:
        takes = f"It takes: {', '.join(known)}." if known else "It takes no arguments."
        return f'There is no argument "{name}".{did_you_mean(name, known)} {takes}'
    if name in rules.checked_elsewhere:
        return None
    return _find_type_problem(_annotation(constructor, parameter), value) or _find_limit_problem(
        rules.limits.get(name), value
    )


def _annotation(constructor: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """Resolve one annotation; None if it names what is imported for type checkers only."""
    holder = types.SimpleNamespace(__annotations__={"it": parameter.annotation})
    function = inspect.unwrap(getattr(constructor, "__init__", constructor))
    try:
        return typing.get_type_hints(holder, function.__globals__)["it"]
    except NameError:
        return None


def _find_type_problem(annotation: Any, value: Any) -> str | None:
    options = _json_options(annotation)
    if any(_accepts(option, value) for option in options):
        return None
    nouns = [_NOUNS[option] for option in options if option is not type(None)]
    if not nouns:
        return "This argument takes a Python object, which cannot be given here; leave it out."
    if type(None) in options:
        nouns.append("null")
    return f"This must be {' or '.join(nouns)}, not {value!r:.80}."


def _json_options(annotation: Any) -> list[type]:
    if annotation is None:
        return [type(None)]
    members = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    origins = [typing.get_origin(member) or member for member in members]
    return [origin for origin in origins if origin in _NOUNS]


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _accepts(option: type, value: Any) -> bool:
    if isinstance(value, bool):
        return option is bool
    if option is float:
        return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    if option is dict:
        return isinstance(value, Mapping)
    return isinstance(value, option)


def _find_limit_problem(limits: Limits | None, value: Any) -> str | None:
    if limits is None or not isinstance(value, int | float) or limits.low <= value <= limits.high:
        return None
    at_most = "" if limits.high == math.inf else f" and at most {limits.high:g}"
    return f"This must be at least {limits.low:g}{at_most}, not {value!r:.80}."
