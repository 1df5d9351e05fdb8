"""`where=` of lists of trials: conditions on parameters and values."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any

from fastapi import Query
from fastapi.exceptions import RequestValidationError
from pydantic import Field

from service.api.fields import Text
from service.api.nearest import describe_unknown
from service.domain.errors import Invalid
from service.search_space.conditions import FORM, Condition, Split, find_splits, parse_condition
from service.storage.exports import Export
from service.storage.reads import Reads, StoredStudy
from service.storage.trial_columns import Column, list_declared_names, read_columns

_MOST_CONDITIONS = 20
_LONGEST_CONDITION = 500
_SHOWN = 60

Conditions = Annotated[
    tuple[Annotated[Text, Field(max_length=_LONGEST_CONDITION)], ...],
    Query(
        max_length=_MOST_CONDITIONS,
        description=f"{FORM}, such as `lr<0.01` or `optimizer=adam`; NAME is a parameter or an "
        "objective. Repeat it for several, which must all hold",
    ),
]

_Test = tuple[Condition, Column]


async def find_matching_trials(
    reads: Reads, study: StoredStudy, where: Sequence[str]
) -> Sequence[int]:
    """Numbers of the trials for which all conditions hold, rising.

    Raises:
        RequestValidationError: Some of them say nothing, or nothing that can be compared.
        DatabaseUnavailable: No connection can be had, or it breaks.
    """
    readings = [find_splits(text) for text in where]
    names = {split.name for splits in readings for split in splits}
    columns = await read_columns(reads, study, names)
    chosen = [_choose(splits, columns) for splits in readings]
    known = await _list_names(reads, study) if None in chosen else ()

    def build_test(place: int) -> _Test:
        split = chosen[place]
        if split is None:
            raise _build_refusal(where[place], readings[place], known)
        return _build_test(split, columns[split.name])

    tests = _build_each(build_test, len(where))
    return await asyncio.to_thread(_find_numbers, tests)


def _build_each(build: Callable[[int], _Test], count: int) -> list[_Test]:
    """Builds the test of each condition; a refusal has the problems of all of them."""
    tests: list[_Test] = []
    errors: list[dict[str, Any]] = []
    for place in range(count):
        try:
            tests.append(build(place))
        except Invalid as refusal:
            errors.append({"loc": ("query", "where", place), "msg": refusal.message})
    if errors:
        raise RequestValidationError(errors)
    return tests


def _choose(splits: Sequence[Split], columns: Mapping[str, Column]) -> Split | None:
    """The longest name that is known counts: parameters may have operators in theirs."""
    return next((split for split in splits if split.name in columns), None)


async def _list_names(reads: Reads, study: StoredStudy) -> Collection[str]:
    columns = await Export(study, reads).list_columns()
    return dict.fromkeys([*columns.params, *list_declared_names(study)])


def _build_refusal(text: str, splits: Sequence[Split], known: Collection[str]) -> Invalid:
    if not splits:
        return Invalid(f'"{text[:_SHOWN]}" is no condition, which is {FORM}, such as lr<0.01')
    name = splits[-1].name.strip()[:_SHOWN]
    return Invalid(describe_unknown(f'parameter or objective "{name}"', name, known))


def _build_test(split: Split, column: Column) -> _Test:
    condition = parse_condition(split)
    if split.comparison.is_of_order and not column.may_be_number:
        raise Invalid(
            f'"{split.name}" has no numbers, which alone "{split.comparison}" compares; use = or !='
        )
    return condition, column


def _find_numbers(tests: Sequence[_Test]) -> list[int]:
    return sorted(set.intersection(*(_find_matching(*test) for test in tests)))


def _find_matching(condition: Condition, column: Column) -> set[int]:
    tolerance = column.tolerance
    return {
        number
        for number, value in column.values.items()
        if condition.holds(value, tolerance=tolerance)
    }
