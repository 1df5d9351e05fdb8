"""Field types of request bodies: what JSON cannot say by itself is checked here."""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, cast

from pydantic import AfterValidator, Field, PlainValidator, StrictInt, WithJsonSchema
from pydantic_core import PydanticCustomError

from service.domain.limits import MAX_NAME_LENGTH, MAX_STEP

NUMBER_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "number"}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}],
}

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def parse_number(value: Any) -> float:
    """A number, or one of the three strings that JSON needs for what is not finite."""
    if type(value) in (int, float):
        return _parse_finite(value)
    if isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    raise PydanticCustomError(
        "not_a_number", 'must be a number, or one of the strings "NaN", "Infinity", "-Infinity"'
    )


def parse_numbers(value: Any) -> tuple[float, ...]:
    """One number, or a list of them, one per objective."""
    return tuple(map(parse_number, value)) if isinstance(value, list) else (parse_number(value),)


def refuse_nul(value: str) -> str:
    """Postgres cannot store the character NUL."""
    if "\0" in value:
        raise PydanticCustomError("nul_character", "must not contain the character NUL")
    return value


def refuse_unstorable(value: Any) -> Any:
    """JSON as Postgres can keep it: finite numbers, and no NUL in any text."""
    match value:
        case float() if not math.isfinite(value):
            raise PydanticCustomError("not_finite", "must not contain numbers beyond 1.8e308")
        case str():
            refuse_nul(value)
        case dict():
            for name, part in value.items():
                refuse_nul(name)
                refuse_unstorable(part)
        case list():
            for part in value:
                refuse_unstorable(part)
    return value


def _parse_finite(value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise PydanticCustomError(
            "number_too_large", 'is too large for a number; write "Infinity" if that is meant'
        )
    return number


def _check_attribute_names(attrs: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in attrs:
        if not name or len(name) > MAX_NAME_LENGTH:
            raise PydanticCustomError(
                "attribute_name", f"names must have 1 to {MAX_NAME_LENGTH} characters"
            )
    return attrs


# mypy reads a bare function in Annotated as is; pydantic's stubs want the cast for Mapping.
_storable = AfterValidator(cast("Callable[[Any], Any]", refuse_unstorable))

Number = Annotated[float, PlainValidator(parse_number), WithJsonSchema(NUMBER_SCHEMA)]
Numbers = Annotated[
    tuple[float, ...],
    PlainValidator(parse_numbers),
    WithJsonSchema({"anyOf": [*NUMBER_SCHEMA["anyOf"], {"type": "array", "items": NUMBER_SCHEMA}]}),
]
Step = Annotated[StrictInt, Field(ge=0, le=MAX_STEP)]
Text = Annotated[str, AfterValidator(refuse_nul)]
JsonObject = Annotated[dict[str, Any], _storable]
Attributes = Annotated[dict[str, Any], _storable, AfterValidator(_check_attribute_names)]
