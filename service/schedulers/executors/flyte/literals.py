"""Parameters as inputs of Flyte, by the types of its interfaces, and outputs as numbers."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.type_engine import TypeEngine
from flytekit.models.literals import Literal, LiteralCollection, LiteralMap, Scalar, Union
from flytekit.models.types import LiteralType, SimpleType
from flytekit.types.pickle.pickle import FlytePickleTransformer

from service.schedulers.executors.flyte.fields import UnfitField, fit_fields

_NUMBERS = (SimpleType.FLOAT, SimpleType.INTEGER)
_PICKLED = FlytePickleTransformer.PYTHON_PICKLE_FORMAT
_PLAIN = LiteralType(simple=SimpleType.STRUCT)
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
        words = f"The input {name!r} is of type {describe_type(wanted)}; {_show(value)} is not."
        cause = f" {error}" if isinstance(error, UnfitField) else ""
        raise Unfit(f"{words}{cause}") from error


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
    if kind.simple == SimpleType.NONE:
        return "None"
    if named := _list_named_values(kind):
        return " | ".join(map(repr, named))
    if _is_dataclass(kind) and "title" in kind.metadata:
        return str(kind.metadata["title"])
    try:
        found = TypeEngine.guess_python_type(kind)
    except ValueError:
        return "unknown"
    return str(getattr(found, "__name__", found))


def _convert(value: Any, wanted: LiteralType) -> Literal:
    match value:
        case dict() if _is_dataclass(wanted):
            # flytekit takes a dictionary for one only if it has all fields, and no lists in them.
            return _convert_by_flytekit(fit_fields(value, wanted.metadata), _PLAIN)
        case list() if wanted.collection_type is not None:
            some = [_convert(each, wanted.collection_type) for each in value]
            return Literal(collection=LiteralCollection(some))
        case dict() if wanted.map_value_type is not None:
            named = {key: _convert(each, wanted.map_value_type) for key, each in value.items()}
            return Literal(map=LiteralMap(named))
        case dict() if wanted.union_type is not None:
            return _convert_any(value, wanted.union_type.variants)
        case _:
            return _convert_by_flytekit(value, wanted)


def _convert_any(value: Any, variants: Sequence[LiteralType]) -> Literal:
    chosen = next((each for each in variants if _takes(value, each)), None)
    if chosen is None:
        raise ValueError("None of the types takes it.")
    return Literal(scalar=Scalar(union=Union(_convert(value, chosen), chosen)))


def _convert_by_flytekit(value: Any, wanted: LiteralType) -> Literal:
    named = _list_named_values(wanted)
    if named and value not in named:
        raise ValueError("It is none of the named values.")
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
        case int() if wanted.simple == SimpleType.FLOAT and not isinstance(value, bool):
            return float(value)
        case float() if wanted.simple == SimpleType.INTEGER and value.is_integer():
            return int(value)
        case _:
            return value


def _is_dataclass(wanted: LiteralType) -> bool:
    """Of a plain dictionary nothing is known."""
    return wanted.simple == SimpleType.STRUCT and bool(wanted.metadata)


def _list_named_values(wanted: LiteralType) -> Sequence[Any]:
    """Those of an enumeration or of `typing.Literal`; empty for any other type."""
    if wanted.enum_type is not None:
        return tuple(wanted.enum_type.values)
    notes = {} if wanted.annotation is None else wanted.annotation.annotations
    return notes.get("literal_values") or ()


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
