"""The records of a run's log: of wandb's messages the part that is read here.

`wandb_internal.proto` has many more; the package brings no types for them.
"""

import os
from collections.abc import Sequence
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


class RunNames(Protocol):
    entity: str
    project: str


class Exit(Protocol):
    exit_code: int


class Record(Protocol):
    """One of these, as `WhichOneof("record_type")` tells, or one that does not matter here."""

    history: History
    summary: Summary
    run: RunNames
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
