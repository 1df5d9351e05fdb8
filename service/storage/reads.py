"""What clients see of studies and trials: committed state, read without the engine."""

import asyncio
import copy
import dataclasses
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC
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
from service.domain.trials import TrialState, TrialView
from service.storage.driver_errors import unavailable_when_lost
from service.storage.json_texts import keep_json, parse_row
from service.storage.results import LIST_RESULTS, Result, build_results
from service.storage.specs import (
    objectives_from_document,
    settings_from_document,
    spec_from_document,
)
from service.storage.trial_rows import (
    LIST_NUMBERED_TRIALS,
    LIST_TRIALS,
    build_attrs,
    build_page,
    build_trials,
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
       EXISTS (SELECT FROM asktell.sweeps AS sweep WHERE sweep.study_id = own.study_id) AS is_sweep,
       waiting, running, complete, pruned, fail, best_number, best_value,
       revision, created_at, last_activity_at
FROM asktell.studies AS own
WHERE name = %(name)s::text
"""

_ALL_FIELDS = [field.name for field in dataclasses.fields(TrialView)]
_ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"

_Connect = Callable[[], AbstractAsyncContextManager[AsyncConnection[Any]]]

_BEFORE_FIRST_NAME = ""
_BEFORE_FIRST_NUMBER = -1


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """A study as of the last commit.

    Attributes:
        is_sweep: Workers launch its trials.
    """

    summary: StudySummary
    spec: StudySpec
    settings: StudySettings
    user_attrs: Mapping[str, Any]
    is_sweep: bool


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
            user_attrs=build_attrs(row["user_attrs"]),
            is_sweep=row["is_sweep"],
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
        rows = await self.fetch_texts(
            LIST_TRIALS,
            {
                "study_id": study_id,
                "fields": _ALL_FIELDS if fields is None else list(fields),
                "after": _BEFORE_FIRST_NUMBER if after is None else after,
                "states": [state.value for state in (TrialState if states is None else states)],
                "limit": limit,
            },
        )
        return await build_page(rows, build_trials)

    async def find_trial(
        self, study_id: int, number: int, *, fields: Collection[str] | None = None
    ) -> TrialView | None:
        """The trial of that number; `fields` as in `list_trials`."""
        trials = await self.list_trials(
            study_id, states=None, limit=1, after=number - 1, fields=fields
        )
        return trials[0] if trials and trials[0].number == number else None

    async def list_numbered_trials(
        self, study_id: int, numbers: Sequence[int], *, fields: Collection[str] | None = None
    ) -> list[TrialView]:
        """The trials of these numbers, by number; those that do not exist are left out.

        Args:
            fields: As in `list_trials`.
        """
        rows = await self.fetch_texts(
            LIST_NUMBERED_TRIALS,
            {
                "study_id": study_id,
                "fields": _ALL_FIELDS if fields is None else list(fields),
                "numbers": list(numbers),
            },
        )
        return await build_page(rows, build_trials)

    async def list_results(self, study_id: int) -> list[Result]:
        """What every complete, feasible trial reached, by number."""
        rows = await self.fetch_texts(LIST_RESULTS, {"study_id": study_id})
        return await asyncio.to_thread(lambda: build_results(parse_row(row) for row in rows))

    async def fetch(self, query: LiteralString, params: Mapping[str, Any]) -> list[DictRow]:
        """Runs any query of this package."""
        with unavailable_when_lost():
            async with (
                self._connect() as connection,
                connection.cursor(row_factory=dict_row) as cursor,
            ):
                await cursor.execute(query, params)
                return await cursor.fetchall()

    async def fetch_texts(self, query: LiteralString, params: Mapping[str, Any]) -> list[DictRow]:
        """As `fetch`, with JSON as it came: a page of trials may be megabytes of it."""
        with unavailable_when_lost():
            async with (
                self._connect() as connection,
                connection.cursor(row_factory=dict_row) as cursor,
            ):
                set_json_loads(keep_json, cursor)
                await cursor.execute(query, params)
                return await cursor.fetchall()


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
