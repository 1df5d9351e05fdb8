"""What all trials of a study have under some names: parameters as trials show them, objectives."""

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import DictRow

from service.search_space import Parameter, Reading, parse_space
from service.search_space.comparing import can_be_number, find_tolerance
from service.search_space.conditions import is_number
from service.search_space.variants import SEPARATOR, find_declared_name
from service.storage.encoding import decode_distribution, decode_float
from service.storage.reads import Reads, StoredStudy

# Some parameters by what they were drawn from. Distributions stay texts here, for Optuna writes NaN
# and infinities, which JSON has not. An array would be searched from its beginning for each row.
LIST_DRAWN = """
SELECT param.param_name, param.distribution_json,
       array_agg(own.number) AS numbers, array_agg(param.param_value) AS drawn
FROM asktell.trials AS own
JOIN public.trial_params AS param USING (trial_id)
WHERE own.study_id = %(study_id)s
  AND (param.param_name IN (SELECT unnest(%(names)s::text[]))
       OR %(has_variants)s
          AND split_part(param.param_name, %(separator)s, 1) IN (SELECT unnest(%(names)s::text[])))
GROUP BY param.param_name, param.distribution_json
"""

# Some of what code gave trials instead of their parameters, each value once.
LIST_GIVEN = """
SELECT given.key AS name, given.value::text AS value, array_agg(own.number) AS numbers
FROM asktell.trials AS own
JOIN public.trial_system_attributes AS attr USING (trial_id)
CROSS JOIN LATERAL json_each(attr.value_json::json) AS given
WHERE own.study_id = %(study_id)s
  AND attr.key = 'asktell:config'
  AND given.key IN (SELECT unnest(%(names)s::text[]))
GROUP BY given.key, given.value::text
"""

# The values of some objectives.
LIST_REACHED = """
SELECT reached.objective, array_agg(own.number) AS numbers,
       array_agg(reached.value) AS values, array_agg(reached.value_type::text) AS kinds
FROM asktell.trials AS own
JOIN public.trial_values AS reached USING (trial_id)
WHERE own.study_id = %(study_id)s AND reached.objective = ANY (%(objectives)s::int[])
GROUP BY reached.objective
"""


@dataclass(frozen=True, slots=True)
class Column:
    """What trials have under one name.

    Attributes:
        values: By number of the trial; those that have none are left out.
        may_be_number: Whether there can be numbers among them.
        tolerance: How far numbers may be apart that count as equal.
    """

    values: Mapping[int, Any]
    may_be_number: bool
    tolerance: float


@dataclass(frozen=True, slots=True)
class _Part:
    numbers: Sequence[int]
    values: Sequence[Any]
    may_be_number: bool
    tolerance: float = 0.0


async def read_columns(
    reads: Reads, study: StoredStudy, names: Collection[str]
) -> Mapping[str, Column]:
    """The columns of those of `names` that the study knows, be it from its declared space.

    A parameter hides an objective of its name, and what code gave a trial what it suggested.

    Raises:
        DatabaseUnavailable: No connection can be had, or it breaks.
    """
    wanted = {"study_id": study.summary.study_id, "names": list(names)}
    has_variants = study.spec.user_code is not None
    drawn = await reads.fetch(
        LIST_DRAWN, {**wanted, "has_variants": has_variants, "separator": SEPARATOR}
    )
    given = await reads.fetch(LIST_GIVEN, wanted) if has_variants else []
    places = {
        place: objective.name
        for place, objective in enumerate(study.summary.objectives)
        if objective.name in names
    }
    reached = (
        await reads.fetch(LIST_REACHED, {**wanted, "objectives": list(places)}) if places else []
    )

    def build() -> Mapping[str, Column]:
        parameters = list(_list_declared(study))
        readings = {each.name: each.reading for each in parameters if each.reading is not None}
        shown = _join(
            *(_build_declared(each) for each in parameters if each.name in names),
            *(_build_drawn(row, readings, has_variants=has_variants) for row in drawn),
            *map(_build_given, given),
        )
        objectives = _join(
            *((name, _Part((), (), may_be_number=True)) for name in places.values()),
            *((places[row["objective"]], _build_reached(row)) for row in reached),
        )
        return {**objectives, **shown}

    return await asyncio.to_thread(build)


def list_declared_names(study: StoredStudy) -> list[str]:
    """What a study knows before it has trials: declared parameters, then objectives."""
    return [
        *(each.name for each in _list_declared(study)),
        *(objective.name for objective in study.summary.objectives),
    ]


def _list_declared(study: StoredStudy) -> Sequence[Parameter]:
    return () if study.spec.space is None else parse_space(study.spec.space).parameters


def _build_declared(parameter: Parameter) -> tuple[str, _Part]:
    return parameter.name, _to_part(parameter, (), ())


def _build_drawn(
    row: DictRow, readings: Mapping[str, Reading], *, has_variants: bool
) -> tuple[str, _Part]:
    kept = row["param_name"]
    distribution = decode_distribution(row["distribution_json"])
    parameter = Parameter(kept, distribution, {}, readings.get(kept))
    values = [parameter.resolve(distribution.to_external_repr(drawn)) for drawn in row["drawn"]]
    name = find_declared_name(kept) if has_variants else kept
    return name, _to_part(parameter, row["numbers"], values)


def _to_part(parameter: Parameter, numbers: Sequence[int], values: Sequence[Any]) -> _Part:
    return _Part(numbers, values, can_be_number(parameter), find_tolerance(parameter))


def _build_given(row: DictRow) -> tuple[str, _Part]:
    value = json.loads(row["value"])
    numbers = row["numbers"]
    return row["name"], _Part(numbers, [value] * len(numbers), is_number(value))


def _build_reached(row: DictRow) -> _Part:
    values = list(map(decode_float, row["values"], row["kinds"]))
    return _Part(row["numbers"], values, may_be_number=True)


def _join(*named: tuple[str, _Part]) -> dict[str, Column]:
    """Makes columns of parts; of the same trial the last one counts."""
    parts: dict[str, list[_Part]] = {}
    for name, part in named:
        parts.setdefault(name, []).append(part)
    return {name: _build_column(its) for name, its in parts.items()}


def _build_column(parts: Sequence[_Part]) -> Column:
    return Column(
        values={n: v for part in parts for n, v in zip(part.numbers, part.values, strict=True)},
        may_be_number=any(part.may_be_number for part in parts),
        tolerance=max(part.tolerance for part in parts),
    )
