"""What clients see of studies and trials: committed state, read without the engine."""

import asyncio
import copy
import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool

from service.domain.studies import (
    BestTrial,
    StopReason,
    StudySettings,
    StudySpec,
    StudyState,
    StudySummary,
    TrialCounts,
)
from service.domain.trials import AttemptPhase, Decision, TrialState, TrialView
from service.search_space import Reading, parse_readings, resolve_params
from service.search_space.variants import find_declared_name
from service.storage.driver_errors import unavailable_when_lost
from service.storage.encoding import decode_distribution, decode_float, decode_time
from service.storage.results import LIST_RESULTS, Result, build_constraints, build_results
from service.storage.specs import (
    objectives_from_document,
    settings_from_document,
    spec_from_document,
)

# One page of the study list. A page starts after a name, because offsets shift under inserts.
LIST_STUDIES = """
SELECT study_id, name, state, spec -> 'objectives' AS objectives,
       stop_reason, started, settings -> 'budget' ->> 'max_trials' AS max_trials,
       waiting, running, complete, pruned, fail, best_number, best_value,
       revision, created_at, last_activity_at
FROM asktell.studies
WHERE name > %(after)s::text
  AND state = ANY (%(states)s::text[])
  AND strpos(lower(name COLLATE "default"), lower(%(name_contains)s::text)) > 0
ORDER BY name
LIMIT %(limit)s
"""

# One study by its public identity, with its specification, settings and attributes.
FIND_STUDY = """
SELECT study_id, name, state, spec, spec -> 'objectives' AS objectives, settings,
       stop_reason, started, settings -> 'budget' ->> 'max_trials' AS max_trials,
       (SELECT json_agg(json_build_array(key, value_json) ORDER BY study_user_attribute_id)
        FROM public.study_user_attributes AS attr WHERE attr.study_id = own.study_id) AS user_attrs,
       waiting, running, complete, pruned, fail, best_number, best_value,
       revision, created_at, last_activity_at
FROM asktell.studies AS own
WHERE name = %(name)s::text
"""

# Trials, in one snapshot. What is not wanted is not looked up: a CASE runs no more than its branch.
_SELECT_TRIALS = """
SELECT own.number, trial.state::text AS state, trial.datetime_start, trial.datetime_complete,
       own.attempt, own.phase, own.ask_seq, own.tell_seq, own.decision_step, own.should_prune,
       own.lease_expires_at, own.reason,
       CASE WHEN 'constraints' = ANY (%(fields)s::text[]) THEN
           (SELECT json_agg(json_build_array(key, value_json) ORDER BY trial_system_attribute_id)
            FROM public.trial_system_attributes
            WHERE trial_id = own.trial_id
              AND (key = 'constraints' OR starts_with(key, 'constraints:'))) END AS constraints,
       (SELECT value_json FROM public.study_system_attributes
        WHERE study_id = %(study_id)s AND key = 'asktell:constraint_names') AS constraint_names,
       CASE WHEN 'params' = ANY (%(fields)s::text[]) THEN
           (SELECT json_agg(json_build_array(param_name, param_value, distribution_json)
                            ORDER BY param_id)
            FROM public.trial_params WHERE trial_id = own.trial_id) END AS params,
       CASE WHEN 'params' = ANY (%(fields)s::text[]) THEN
           (SELECT spec -> 'readings' FROM asktell.studies
            WHERE study_id = %(study_id)s) END AS readings,
       CASE WHEN 'params' = ANY (%(fields)s::text[]) THEN
           (SELECT (spec -> 'user_code') IS NOT NULL FROM asktell.studies
            WHERE study_id = %(study_id)s) END AS has_user_code,
       CASE WHEN 'params' = ANY (%(fields)s::text[])
                 AND (SELECT (spec -> 'user_code') IS NOT NULL FROM asktell.studies
                      WHERE study_id = %(study_id)s) THEN
           (SELECT value_json::json FROM public.trial_system_attributes
            WHERE trial_id = own.trial_id AND key = 'asktell:config') END AS config,
       CASE WHEN 'values' = ANY (%(fields)s::text[]) THEN
           (SELECT json_agg(json_build_array(value_type::text, value) ORDER BY objective)
            FROM public.trial_values WHERE trial_id = own.trial_id) END AS objective_values,
       CASE WHEN 'intermediate_values' = ANY (%(fields)s::text[]) THEN
           (SELECT json_agg(json_build_array(step, intermediate_value_type::text,
                                             intermediate_value) ORDER BY step)
            FROM public.trial_intermediate_values WHERE trial_id = own.trial_id) END AS points,
       CASE WHEN 'user_attrs' = ANY (%(fields)s::text[]) THEN
           (SELECT json_agg(json_build_array(key, value_json) ORDER BY trial_user_attribute_id)
            FROM public.trial_user_attributes WHERE trial_id = own.trial_id) END AS user_attrs
FROM asktell.trials AS own
JOIN public.trials AS trial USING (trial_id)
"""

# One page of a study's trials. Optuna's tables have no index by number, ours has; the rest is
# looked up per trial by the unique indexes that Optuna makes.
LIST_TRIALS: LiteralString = (
    _SELECT_TRIALS
    + """
WHERE own.study_id = %(study_id)s
  AND own.number > %(after)s
  AND trial.state = ANY (%(states)s::public.trialstate[])
ORDER BY own.number
LIMIT %(limit)s
"""
)

# Some trials of a study, whichever they are.
LIST_NUMBERED_TRIALS: LiteralString = (
    _SELECT_TRIALS
    + """
WHERE own.study_id = %(study_id)s AND own.number = ANY (%(numbers)s::int[])
ORDER BY own.number
"""
)

_ALL_FIELDS = [field.name for field in dataclasses.fields(TrialView)]
_ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"

_Connect = Callable[[], AbstractAsyncContextManager[AsyncConnection[Any]]]

_QUICKLY_BUILT_BYTES = 50_000
_BEFORE_FIRST_NAME = ""
_BEFORE_FIRST_NUMBER = -1


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """A study as of the last commit."""

    summary: StudySummary
    spec: StudySpec
    settings: StudySettings
    user_attrs: Mapping[str, Any]


class Reads:
    """Queries for clients; one statement each, so each answer is one snapshot.

    Safe to share between tasks. The pool belongs to the caller, who opens and closes it;
    connections in autocommit mode save two round trips a query. Only trials that have a row in
    `asktell.trials` exist here: whatever takes a study in gives each of its trials one.

    Every method raises `DatabaseUnavailable` when no connection can be had or it breaks.
    """

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._connect: _Connect = pool.connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["Reads"]:
        """Gives the same queries, all on one moment; for one task, as it holds one connection."""
        with unavailable_when_lost():
            async with self._connect() as connection, connection.transaction():
                await connection.execute(_ONE_MOMENT)
                frozen = copy.copy(self)
                frozen._connect = lambda: nullcontext(connection)
                yield frozen

    async def list_studies(
        self,
        *,
        state: StudyState | None,
        name_contains: str | None,
        limit: int,
        after: str | None,
    ) -> list[StudySummary]:
        """At most `limit` studies by code points of their names, from the first one past `after`.

        Args:
            name_contains: Part of the name, in any case; not a pattern.
            after: A name, of an existing study or not.
        """
        rows = await self.fetch(
            LIST_STUDIES,
            {
                "after": _BEFORE_FIRST_NAME if after is None else after,
                "states": [each.value for each in StudyState] if state is None else [state.value],
                "name_contains": name_contains or "",
                "limit": limit,
            },
        )
        return [build_summary(row) for row in rows]

    async def find_study(self, name: str) -> StoredStudy | None:
        """The study of that name, with its spec."""
        rows = await self.fetch(FIND_STUDY, {"name": name})
        if not rows:
            return None
        (row,) = rows
        return StoredStudy(
            summary=build_summary(row),
            spec=spec_from_document(row["spec"]),
            settings=settings_from_document(row["settings"]),
            user_attrs=_build_attrs(row["user_attrs"]),
        )

    async def list_trials(
        self,
        study_id: int,
        *,
        states: Collection[TrialState] | None,
        limit: int,
        after: int | None,
        fields: Collection[str] | None = None,
    ) -> list[TrialView]:
        """At most `limit` trials in any of `states` by number, from the first one past `after`.

        Args:
            fields: Names of the fields of `TrialView` that are wanted; None: all. Parameters,
                values, intermediate values, attributes and constraints that are not wanted come
                back empty and are not read.
        """
        rows = await self._fetch_texts(
            LIST_TRIALS,
            {
                "study_id": study_id,
                "fields": _ALL_FIELDS if fields is None else list(fields),
                "after": _BEFORE_FIRST_NUMBER if after is None else after,
                "states": [state.value for state in (TrialState if states is None else states)],
                "limit": limit,
            },
        )
        return await _build_trials(rows)

    async def find_trial(self, study_id: int, number: int) -> TrialView | None:
        """The trial of that number."""
        trials = await self.list_trials(study_id, states=None, limit=1, after=number - 1)
        return trials[0] if trials and trials[0].number == number else None

    async def list_numbered_trials(self, study_id: int, numbers: Sequence[int]) -> list[TrialView]:
        """The trials of these numbers, whole, by number; those that do not exist are left out."""
        rows = await self._fetch_texts(
            LIST_NUMBERED_TRIALS,
            {"study_id": study_id, "fields": _ALL_FIELDS, "numbers": list(numbers)},
        )
        return await _build_trials(rows)

    async def list_results(self, study_id: int) -> list[Result]:
        """What every complete, feasible trial reached, by number."""
        rows = await self._fetch_texts(LIST_RESULTS, {"study_id": study_id})
        return await asyncio.to_thread(lambda: build_results(_parse(row) for row in rows))

    async def fetch(self, query: LiteralString, params: Mapping[str, Any]) -> list[DictRow]:
        """Runs any query of this package."""
        with unavailable_when_lost():
            async with (
                self._connect() as connection,
                connection.cursor(row_factory=dict_row) as cursor,
            ):
                await cursor.execute(query, params)
                return await cursor.fetchall()

    async def _fetch_texts(self, query: LiteralString, params: Mapping[str, Any]) -> list[DictRow]:
        """As `fetch`, with JSON as it came: a page of trials may be megabytes of it."""
        with unavailable_when_lost():
            async with (
                self._connect() as connection,
                connection.cursor(row_factory=dict_row) as cursor,
            ):
                set_json_loads(_keep, cursor)
                await cursor.execute(query, params)
                return await cursor.fetchall()


async def _build_trials(rows: Sequence[DictRow]) -> list[TrialView]:
    if sum(len(row["points"] or b"") for row in rows) < _QUICKLY_BUILT_BYTES:
        return _build_page(rows)
    return await asyncio.to_thread(_build_page, rows)


def _build_page(rows: Sequence[DictRow]) -> list[TrialView]:
    readings = _build_readings(rows)
    return [_build_trial(_parse({**row, "readings": readings})) for row in rows]


def _build_readings(rows: Sequence[DictRow]) -> dict[str, Reading]:
    """What all rows have in common, for they are of one study."""
    document = rows[0]["readings"] if rows else None
    return {} if document is None else parse_readings(json.loads(document))


def _keep(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text)


def _parse(row: DictRow) -> DictRow:
    return {
        name: json.loads(value) if isinstance(value, bytes) else value
        for name, value in row.items()
    }


def build_summary(row: DictRow) -> StudySummary:
    """Builds what lists show of a study from the columns that `LIST_STUDIES` selects."""
    return StudySummary(
        study_id=row["study_id"],
        name=row["name"],
        state=StudyState(row["state"]),
        stop_reason=None if row["stop_reason"] is None else StopReason(row["stop_reason"]),
        started=row["started"],
        max_trials=None if row["max_trials"] is None else int(row["max_trials"]),
        objectives=objectives_from_document(row["objectives"]),
        counts=TrialCounts(
            waiting=row["waiting"],
            running=row["running"],
            complete=row["complete"],
            pruned=row["pruned"],
            fail=row["fail"],
        ),
        best=_build_best(row["best_number"], row["best_value"]),
        revision=row["revision"],
        created_at=row["created_at"].astimezone(UTC),
        last_activity_at=row["last_activity_at"].astimezone(UTC),
    )


def _build_best(number: int | None, value: float | None) -> BestTrial | None:
    return None if number is None or value is None else BestTrial(number, value)


def _build_trial(row: DictRow) -> TrialView:
    return TrialView(
        number=row["number"],
        state=TrialState(row["state"]),
        params=_build_params(row),
        values=_build_values(row["objective_values"]),
        intermediate_values={
            step: decode_float(value, kind) for step, kind, value in row["points"] or ()
        },
        user_attrs=_build_attrs(row["user_attrs"]),
        constraints=_name_constraints(row["constraints"], row["constraint_names"]),
        attempt=row["attempt"],
        phase=AttemptPhase(row["phase"]),
        decision=Decision(
            should_prune=row["should_prune"],
            step=row["decision_step"],
            lease_expires_at=_to_utc(row["lease_expires_at"]),
        ),
        reason=row["reason"],
        ask_seq=row["ask_seq"],
        tell_seq=row["tell_seq"],
        started_at=decode_time(row["datetime_start"]),
        finished_at=decode_time(row["datetime_complete"]),
    )


def _build_params(row: DictRow) -> dict[str, Any]:
    if row["config"] is not None:
        return dict(row["config"])
    stored = {
        name: decode_distribution(text).to_external_repr(float(value))
        for name, value, text in row["params"] or ()
    }
    if row["has_user_code"]:
        stored = {find_declared_name(name): value for name, value in stored.items()}
    return resolve_params(stored, row["readings"])


def _build_attrs(rows: list[tuple[str, str]] | None) -> dict[str, Any]:
    return {key: json.loads(text) for key, text in rows or ()}


def _name_constraints(
    rows: Iterable[tuple[str, str]] | None, names: str | None
) -> dict[str, float] | None:
    """The study's own names are those of the list; plain Optuna may know others beside it."""
    constraints = build_constraints(rows or ())
    if not constraints:
        return None
    listed = {str(place): name for place, name in enumerate(json.loads(names or "[]"))}
    return {listed.get(key, key): value for key, value in constraints.items()}


def _to_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


def _build_values(rows: list[tuple[str, float | None]] | None) -> tuple[float, ...] | None:
    return None if not rows else tuple(decode_float(value, kind) for kind, value in rows)
