"""The records of a run's log: of wandb's messages the part that is read here.

`wandb_internal.proto` has many more; the package brings no types for them.
"""

import json
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Protocol, cast

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it has none

_REPORTING = "WANDB_ERROR_REPORTING"


def _import_messages() -> ModuleType:
    """Imports wandb so that it reports nothing of this process to its makers.

    What programs report stays as whoever runs the worker has it.
    """
    wished = os.environ.get(_REPORTING)
    os.environ[_REPORTING] = "false"
    try:
        from wandb.proto import wandb_internal_pb2
    finally:
        if wished is None:
            del os.environ[_REPORTING]
        else:
            os.environ[_REPORTING] = wished
    return wandb_internal_pb2


wandb_internal_pb2 = _import_messages()


class Item(Protocol):
    """A logged value; its name is `key`, or that of a nested value `nested_key`."""

    key: str
    nested_key: Sequence[str]
    value_json: str


class Step(Protocol):
    num: int


class History(Protocol):
    """What one call of `log` has made; the order of the items says nothing."""

    item: Sequence[Item]
    step: Step


class Summary(Protocol):
    """A change of the summary."""

    update: Sequence[Item]
    remove: Sequence[Item]


class Run(Protocol):
    """How wandb asks for the run; a name that is empty is left to W&B."""

    entity: str
    project: str


class Exit(Protocol):
    exit_code: int


class Record(Protocol):
    """One of these, as `WhichOneof("record_type")` tells, or one that does not matter here."""

    run: Run
    history: History
    summary: Summary
    exit: Exit

    def WhichOneof(self, group: str) -> str | None: ...  # noqa: N802 (protobuf's name)


def parse_record(data: bytes) -> Record | None:
    """Returns the record; None if there is none in the data."""
    record = wandb_internal_pb2.Record()
    try:
        record.ParseFromString(data)
    except DecodeError:
        return None
    return cast("Record", record)


def read_key(item: Item) -> str:
    """Returns the name of a logged value; the names of nested ones are joined by dots."""
    return item.key or ".".join(item.nested_key)


def read_numbers(history: History, keys: Collection[str]) -> dict[str, float]:
    """Returns what was logged under these names and is a number."""
    found = ((key, item.value_json) for item in history.item if (key := read_key(item)) in keys)
    numbers = ((key, _read_number(text)) for key, text in found)
    return {key: number for key, number in numbers if number is not None}


def read_value(item: Item) -> object:
    """Returns a logged value; None also for one that cannot be read."""
    number = _read_number(item.value_json)
    if number is not None:
        return number
    with suppress(ValueError, RecursionError):
        return json.loads(item.value_json)
    return None


def _read_number(value_json: str) -> float | None:
    """Returns it if it is one; NaN and infinities are."""
    # Of all JSON only numbers are numbers to Python, and this is much faster than to parse it.
    try:
        return float(value_json)
    except ValueError:
        return None
