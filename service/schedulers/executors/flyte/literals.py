"""Parameters as inputs of Flyte, by the types of its interfaces, and outputs as numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from itertools import chain
from typing import Any, get_type_hints

from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.type_engine import TypeEngine
from flytekit.models.literals import Literal, LiteralMap
from flytekit.models.types import LiteralType, SimpleType
from flytekit.types.pickle.pickle import FlytePickleTransformer

_NUMBERS = (SimpleType.FLOAT, SimpleType.INTEGER)
_PICKLED = FlytePickleTransformer.PYTHON_PICKLE_FORMAT
_MAX_SHOWN = 80


class Unfit(Exception):
    """A value that an input does not take; the message says so, for people."""


def build_literals(
    values: Mapping[str, Any], inputs: Mapping[str, LiteralType]
) -> dict[str, Literal]:
    """Inputs from JSON values.

    Args:
        inputs: Holds every name of `values`.

    Raises:
        Unfit: One of them cannot be an input of that type.
    """
    return {name: build_literal(name, value, inputs[name]) for name, value in values.items()}


def build_literal(name: str, value: Any, wanted: LiteralType) -> Literal:
    """One input; a whole number may be a float, and a float that is whole an integer."""
    try:
        return _convert(_fit(value, wanted), wanted)
    except Exception as error:
        # flytekit's transformers raise whatever they come across.
        raise Unfit(
            f"The input {name!r} is of type {describe_type(wanted)}; {_show(value)} is not."
        ) from error


def read_number(literal: Literal | None) -> float | None:
    """The number that an output is; None if there is none. NaN and infinities are numbers."""
    primitive = literal.scalar.primitive if literal is not None and literal.scalar else None
    if primitive is None:
        return None
    for number in (primitive.float_value, primitive.integer):
        if number is not None:
            return float(number)
    return None


def read_numbers(outputs: LiteralMap, names: Mapping[str, str]) -> dict[str, float]:
    """Those outputs that are numbers, by what they are called here."""
    numbers = {ours: read_number(outputs.literals.get(name)) for ours, name in names.items()}
    return {ours: number for ours, number in numbers.items() if number is not None}


def is_number(kind: LiteralType) -> bool:
    """Whether outputs of this type can be the value of a trial."""
    return kind.simple in _NUMBERS


def describe_type(kind: LiteralType) -> str:
    """A type as Python writes it: `float`, `list[int]`, `str | None`; an enumeration's values."""
    if kind.collection_type is not None:
        return f"list[{describe_type(kind.collection_type)}]"
    if kind.map_value_type is not None:
        return f"dict[str, {describe_type(kind.map_value_type)}]"
    if kind.union_type is not None:
        return " | ".join(describe_type(each) for each in kind.union_type.variants)
    if kind.enum_type is not None:
        return " | ".join(map(repr, kind.enum_type.values))
    if kind.simple == SimpleType.NONE:
        return "None"
    try:
        found = TypeEngine.guess_python_type(kind)
    except ValueError:
        return "unknown"
    return str(getattr(found, "__name__", found))


def _convert(value: Any, wanted: LiteralType) -> Literal:
    if not _is_elsewhere(value, wanted):
        raise ValueError("Nothing takes it, or flytekit would put it where only this machine is.")
    context = FlyteContextManager.current_context()
    hint = TypeEngine.guess_python_type(wanted)
    literal = TypeEngine.to_literal(context, value, hint, wanted)
    # Integers of more than 64 bits are found out only here.
    literal.to_flyte_idl()
    return literal


def _is_elsewhere(value: Any, wanted: LiteralType) -> bool:
    """Whether nothing of this machine is in it, also within lists and the like."""
    match value:
        case _ if wanted.blob is not None:
            return wanted.blob.format != _PICKLED and _is_far(value)
        case _ if wanted.union_type is not None:
            return any(_takes(value, each) for each in wanted.union_type.variants)
        case list() if wanted.collection_type is not None:
            return all(_is_elsewhere(each, wanted.collection_type) for each in value)
        case dict() if wanted.map_value_type is not None:
            return all(_is_elsewhere(each, wanted.map_value_type) for each in value.values())
        case _:
            return True


def _is_far(value: Any) -> bool:
    return isinstance(value, str) and "://" in value and not value.startswith("file:")


def _fit(value: Any, wanted: LiteralType) -> Any:
    """The number that is wanted for a number that is as good, within lists and the like too."""
    match value:
        case _ if wanted.union_type is not None:
            return _fit_any(value, wanted.union_type.variants)
        case list() if wanted.collection_type is not None:
            return [_fit(each, wanted.collection_type) for each in value]
        case dict() if wanted.map_value_type is not None:
            return {key: _fit(each, wanted.map_value_type) for key, each in value.items()}
        case dict() if wanted.simple == SimpleType.STRUCT:
            return _fit_fields(value, TypeEngine.guess_python_type(wanted))
        case int() if wanted.simple == SimpleType.FLOAT and not isinstance(value, bool):
            return float(value)
        case float() if wanted.simple == SimpleType.INTEGER and value.is_integer():
            return int(value)
        case _:
            return value


def _fit_fields(value: dict[str, Any], wanted: type) -> dict[str, Any]:
    """Of a dataclass; of a plain dictionary nothing is known."""
    if not is_dataclass(wanted):
        return value
    hints = get_type_hints(wanted)
    types = {name: TypeEngine.to_literal_type(hints[name]) for name in hints if name in value}
    return value | {name: _fit(value[name], each) for name, each in types.items()}


def _fit_any(value: Any, variants: Sequence[LiteralType]) -> Any:
    """As it is, if one of the types takes that."""
    as_it_is = ((value, each) for each in variants)
    fitted = ((_fit(value, each), each) for each in variants)
    return next((given for given, each in chain(as_it_is, fitted) if _takes(given, each)), value)


def _takes(value: Any, wanted: LiteralType) -> bool:
    try:
        _convert(value, wanted)
    except Exception:
        # flytekit's transformers raise whatever they come across.
        return False
    return True


def _show(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}…"
