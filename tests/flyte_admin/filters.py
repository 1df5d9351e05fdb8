"""Filters and order of executions in lists, which flyteadmin writes as SQL.

Labels and tags are rows of one table that is joined: all filters of tags ask for one and the same
row, an execution appears as often as it has such rows, and two labels cannot be asked for at once.
Without `sort_by` Postgres answers as its rows lie, and rows move when they are updated: here those
that changed last come last, so that pages may overlap as there.
"""

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import grpc
from flyteidl.admin.common_pb2 import Sort
from flyteidl.core.identifier_pb2 import ResourceType

from tests.flyte_admin.records import ExecutionRecord
from tests.flyte_admin.world import Refused, Unknown

Row: TypeAlias = tuple[ExecutionRecord, tuple[str, str]]

_FILTER = re.compile(r"(.+)\((.+),\s?(.+)\)")
_NO_TAG = ("", "")
_FUNCTIONS: dict[str, Callable[[str, list[str]], bool]] = {
    "eq": lambda value, wanted: value == wanted[0],
    "ne": lambda value, wanted: value != wanted[0],
    "contains": lambda value, wanted: wanted[0] in value,
    "value_in": lambda value, wanted: value in wanted,
    "value_not_in": lambda value, wanted: value not in wanted,
}
_TAG_FIELDS: dict[str, Callable[[Row], str]] = {
    "execution_tag.key": lambda row: row[1][0],
    "execution_tag.value": lambda row: row[1][1],
    "admin_tag.name": lambda row: row[1][0],
}
_FIELDS: dict[str, Callable[[Row], str]] = {
    **_TAG_FIELDS,
    "phase": lambda row: row[0].phase,
    "name": lambda row: row[0].name,
    "error_code": lambda row: row[0].error.code,
    "task.name": lambda row: _read_reference(row[0], ResourceType.TASK),
    "launch_plan.name": lambda row: _read_reference(row[0], ResourceType.LAUNCH_PLAN),
}
_ORDERS: dict[str, Callable[[ExecutionRecord], Any]] = {
    "created_at": lambda record: record.number,
    "execution_created_at": lambda record: record.number,
    "updated_at": lambda record: record.changed,
    "execution_updated_at": lambda record: record.changed,
    "name": lambda record: record.name,
}


def select(records: list[ExecutionRecord], request: Any) -> list[ExecutionRecord]:
    """Those that a ResourceListRequest asks for, in its order.

    Raises:
        Refused: A filter that is not written well.
        Unknown: A filter or an order that is not known here.
    """
    texts = [text for text in request.filters.split("+") if text]
    filters = [_parse(text) for text in texts]
    rows = [
        (record, tag)
        for record in _sort(records, request.sort_by)
        for tag in (record.list_tags() if _asks_for_tags(texts) else [_NO_TAG])
        if request.id.name in ("", record.name)
    ]
    return [row[0] for row in rows if all(accepts(row) for accepts in filters)]


def _sort(records: list[ExecutionRecord], sort_by: Sort) -> list[ExecutionRecord]:
    if not sort_by.key:
        return sorted(records, key=_ORDERS["updated_at"])
    if sort_by.key not in _ORDERS:
        raise Unknown(f"order {sort_by.key}")
    descends = sort_by.direction == Sort.DESCENDING
    return sorted(records, key=_ORDERS[sort_by.key], reverse=descends)


def _parse(text: str) -> Callable[[Row], bool]:
    found = _FILTER.fullmatch(text)
    if found is None:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "invalid value for filters")
    function, field, values = found.groups()
    field = field.removeprefix("execution.")
    if function not in _FUNCTIONS or field not in _FIELDS:
        raise Unknown(f"filter {text}")
    read, compare = _FIELDS[field], _FUNCTIONS[function]
    return lambda row: compare(read(row), values.split(";"))


def _asks_for_tags(texts: list[str]) -> bool:
    return any(field in text for text in texts for field in _TAG_FIELDS)


def _read_reference(record: ExecutionRecord, kind: int) -> str:
    reference = record.spec.launch_plan
    return reference.name if reference.resource_type == kind else ""
