"""Literals as plain values, and which types of inputs they may be given for."""

from typing import Any

from flyteidl.core.literals_pb2 import Literal, LiteralMap, Primitive
from flyteidl.core.types_pb2 import LiteralType, SimpleType
from google.protobuf.json_format import MessageToDict

_PRIMITIVES = {
    "integer": "INTEGER",
    "float_value": "FLOAT",
    "string_value": "STRING",
    "boolean": "BOOLEAN",
    "datetime": "DATETIME",
    "duration": "DURATION",
}


def read_literals(literals: LiteralMap) -> dict[str, Any]:
    """Plain values; what is not a number, a text, a flag, a list or a map stays a literal."""
    return {name: read_literal(literal) for name, literal in literals.literals.items()}


def read_literal(literal: Literal) -> Any:
    match literal.WhichOneof("value"):
        case "collection":
            return [read_literal(each) for each in literal.collection.literals]
        case "map":
            return read_literals(literal.map)
        case "scalar":
            return _read_scalar(literal)
        case _:
            return literal


def write_value(value: float | str | dict[str, Any] | list[Any]) -> Literal:
    """The literal of a plain value."""
    literal = Literal()
    match value:
        case bool():
            literal.scalar.primitive.boolean = value
        case int():
            literal.scalar.primitive.integer = value
        case float():
            literal.scalar.primitive.float_value = value
        case str():
            literal.scalar.primitive.string_value = value
        case list():
            literal.collection.literals.extend(write_value(each) for each in value)
            literal.collection.SetInParent()
        case dict():
            literal.map.CopyFrom(write_values(value))
    return literal


def write_values(values: dict[str, Any]) -> LiteralMap:
    return LiteralMap(literals={name: write_value(value) for name, value in values.items()})


def is_castable(literal: Literal, wanted: LiteralType) -> bool:
    """Whether admin takes the literal for an input of that type.

    Numbers, texts, flags, lists and maps are told apart, an integer being no float. Of all other
    types anything is taken: admin is stricter.
    """
    if literal.scalar.HasField("none_type"):
        return _takes_none(wanted)
    match wanted.WhichOneof("type"):
        case "simple":
            return _is_of_simple_type(literal, wanted.simple)
        case "collection_type":
            return literal.HasField("collection") and all(
                is_castable(each, wanted.collection_type) for each in literal.collection.literals
            )
        case "map_value_type":
            return literal.HasField("map") and all(
                is_castable(each, wanted.map_value_type) for each in literal.map.literals.values()
            )
        case "union_type":
            return _is_of_some_type(literal, wanted)
        case "enum_type":
            return _find_primitive(literal) == "string_value"
        case _:
            return True


def _read_scalar(literal: Literal) -> Any:
    scalar = literal.scalar
    match scalar.WhichOneof("value"):
        case "primitive":
            return getattr(scalar.primitive, scalar.primitive.WhichOneof("value") or "integer")
        case "none_type":
            return None
        case "union":
            return read_literal(scalar.union.value)
        case "generic":
            return MessageToDict(scalar.generic)
        case _:
            return literal


def _takes_none(wanted: LiteralType) -> bool:
    return wanted.simple == SimpleType.Value("NONE") or any(
        _takes_none(each) for each in wanted.union_type.variants if each.WhichOneof("type")
    )


def _is_of_some_type(literal: Literal, wanted: LiteralType) -> bool:
    value = literal.scalar.union.value if literal.scalar.HasField("union") else literal
    return any(is_castable(value, each) for each in wanted.union_type.variants)


def _is_of_simple_type(literal: Literal, wanted: int) -> bool:
    name = SimpleType.Name(wanted)
    if name not in _PRIMITIVES.values():
        return True
    primitive = _find_primitive(literal)
    return primitive is not None and _PRIMITIVES[primitive] == name


def _find_primitive(literal: Literal) -> str | None:
    primitive: Primitive = literal.scalar.primitive
    return primitive.WhichOneof("value")
