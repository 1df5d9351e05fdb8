"""Field types of request bodies: what JSON cannot say by itself is checked here."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, cast

from pydantic import AfterValidator, Field, PlainValidator, StrictFloat, StrictInt, WithJsonSchema
from pydantic_core import PydanticCustomError

from service.domain.limits import MAX_NAME_LENGTH, MAX_STEP

NUMBER_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "number"}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}],
}

CONSTRAINT_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "number"}, {"type": "string", "enum": ["Infinity", "-Infinity"]}],
}

MAX_REASON_LENGTH = 10_000

_MAX_INTEGER = 2**31 - 1
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
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


def parse_constraints(value: Any) -> dict[str, float]:
    """Numbers by name; a list names them by their positions, as Optuna does."""
    if isinstance(value, list):
        return {str(index): _parse_constraint(part) for index, part in enumerate(value)}
    if not isinstance(value, dict):
        raise PydanticCustomError("constraints", "must be an object of numbers, or a list of them")
    _check_attribute_names(value)
    return {refuse_nul(name): _parse_constraint(part) for name, part in value.items()}


def parse_moment(value: Any) -> datetime:
    """A moment as RFC 3339 writes it, in UTC."""
    if isinstance(value, str) and _RFC_3339.fullmatch(value.upper()):
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise PydanticCustomError(
        "not_a_moment", "must be a time with its offset from UTC, such as 2026-01-31T23:59:00Z"
    )


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


def _parse_constraint(value: Any) -> float:
    if type(value) not in (int, float) and value not in ("Infinity", "-Infinity"):
        raise PydanticCustomError(
            "constraint", 'constraints must be numbers, or the strings "Infinity" and "-Infinity"'
        )
    return parse_number(value)


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
Constraints = Annotated[
    dict[str, float],
    PlainValidator(parse_constraints),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "object", "additionalProperties": CONSTRAINT_SCHEMA},
                {"type": "array", "items": CONSTRAINT_SCHEMA},
            ]
        }
    ),
]
Moment = Annotated[
    datetime,
    PlainValidator(parse_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
FiniteNumber = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Seconds = Annotated[StrictFloat, Field(ge=1, le=_MAX_INTEGER, allow_inf_nan=False)]
Count = Annotated[StrictInt, Field(ge=1, le=_MAX_INTEGER)]
TrialNumber = Annotated[StrictInt, Field(ge=0, le=_MAX_INTEGER)]
Step = Annotated[StrictInt, Field(ge=0, le=MAX_STEP)]
Text = Annotated[str, AfterValidator(refuse_nul)]
# What becomes a link on a page must lead nowhere else than to another page.
Url = Annotated[
    str, Field(max_length=2048, pattern=r"^https?://[^\s]+$"), AfterValidator(refuse_nul)
]
Reason = Annotated[str, Field(max_length=MAX_REASON_LENGTH), AfterValidator(refuse_nul)]
JsonObject = Annotated[dict[str, Any], _storable]
Attributes = Annotated[dict[str, Any], _storable, AfterValidator(_check_attribute_names)]
