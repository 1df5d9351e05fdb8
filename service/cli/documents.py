"""What a command has found, as one JSON document on standard output."""

import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def print_json(value: Any) -> None:
    """Print records, and what holds them, as one line of JSON."""
    typer.echo(json.dumps(to_document(value), ensure_ascii=False, allow_nan=False))


def to_document(value: Any) -> Any:
    """JSON data: records by field, times in UTC, NaN and infinities as text, as in the API."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: to_document(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): to_document(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_document(item) for item in value]
    return value
