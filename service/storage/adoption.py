"""Studies as plain Optuna keeps them: taken into management, and handed back.

Taking one in has to wait for what plain Optuna is writing to it, and to keep that from going on
unseen. Row locks do: whoever adds a row to a study or trial holds a share of its parent's row
until the end of the transaction (a foreign key), whoever changes one holds the row itself. Those
who wait for our locks meet the guard once we have committed. Locks on whole tables would do as
well, but would hold up every other study.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from service.domain.errors import (
    DatabaseUnavailable,
    StudyExists,
    StudyNotFound,
)
from service.domain.studies import StudySettings, StudySpec
from service.storage.adoptable import check_adoptable
from service.storage.driver_errors import unavailable_when_lost
from service.storage.results import LIST_RESULTS, Result, build_results, find_front
from service.storage.specs import settings_to_document, spec_to_document
from service.storage.studies import METRIC_NAMES_ATTR

_FIND_STUDY = """
SELECT study_id,
       (SELECT array_agg(direction::text ORDER BY objective)
        FROM study_directions AS d WHERE d.study_id = plain.study_id) AS directions,
       (SELECT value_json FROM study_system_attributes AS a
        WHERE a.study_id = plain.study_id AND key = %(metric_names)s) AS metric_names,
       EXISTS (SELECT FROM asktell.studies AS own
               WHERE own.study_id = plain.study_id) AS is_managed
FROM studies AS plain WHERE study_name = %(name)s
"""

_LIMIT_WAITING = "SELECT set_config('lock_timeout', %(milliseconds)s::text, true)"

# From here on plain Optuna creates no trials and no attributes of the study.
_HOLD_STUDY = """
SELECT FROM studies WHERE study_id = %(study_id)s FOR UPDATE
"""

# By itself: a statement that waited for a lock still sees the rest as it was before.
_IS_MANAGED = """
SELECT FROM asktell.studies WHERE study_id = %(study_id)s
"""

# From here on it neither changes a trial's state nor adds anything to a trial. What it may still
# change are rows that unfinished trials and the study have already; hence the other statements.
_HOLD_ROWS = (
    """SELECT count(*) FROM (
           SELECT FROM trials WHERE study_id = %(study_id)s FOR UPDATE) AS held""",
    """SELECT count(*) FROM (
           SELECT FROM trial_intermediate_values AS a JOIN trials AS t USING (trial_id)
           WHERE t.study_id = %(study_id)s AND t.state IN ('WAITING', 'RUNNING')
           FOR UPDATE OF a) AS held""",
    """SELECT count(*) FROM (
           SELECT FROM trial_user_attributes AS a JOIN trials AS t USING (trial_id)
           WHERE t.study_id = %(study_id)s AND t.state IN ('WAITING', 'RUNNING')
           FOR UPDATE OF a) AS held""",
    """SELECT count(*) FROM (
           SELECT FROM trial_system_attributes AS a JOIN trials AS t USING (trial_id)
           WHERE t.study_id = %(study_id)s AND t.state IN ('WAITING', 'RUNNING')
           FOR UPDATE OF a) AS held""",
    """SELECT count(*) FROM (
           SELECT FROM study_user_attributes
           WHERE study_id = %(study_id)s FOR UPDATE) AS held""",
    """SELECT count(*) FROM (
           SELECT FROM study_system_attributes
           WHERE study_id = %(study_id)s FOR UPDATE) AS held""",
)

# The state of CMA-ES is a pickle, which nobody may load who has not written it.
_DELETE_PICKLES = """
DELETE FROM trial_system_attributes AS a USING trials AS t
WHERE a.trial_id = t.trial_id AND t.study_id = %(study_id)s AND a.key ~ '^(cma|sepcma|cmawm):'
"""

# What a sampler meant to suggest to trials that still run; from now on they ask the study's own.
_DELETE_PLANS = """
DELETE FROM trial_system_attributes AS a USING trials AS t
WHERE a.trial_id = t.trial_id AND t.study_id = %(study_id)s AND t.state = 'RUNNING'
  AND a.key ~ '^(tpe|gp):'
"""

# What we note for ourselves means nothing once a study has changed hands.
_DELETE_NOTES = (
    """DELETE FROM trial_system_attributes AS a USING trials AS t
       WHERE a.trial_id = t.trial_id AND t.study_id = %(study_id)s
         AND starts_with(a.key, 'asktell:')""",
    """DELETE FROM study_system_attributes
       WHERE study_id = %(study_id)s AND starts_with(key, 'asktell:')
         AND key <> ALL (%(kept)s::text[])""",
)

# What samplers of plain Optuna had noted about the study, for a replay to begin with.
_REMEMBER_NOTES = """
INSERT INTO study_system_attributes (study_id, key, value_json)
SELECT %(study_id)s, %(key)s, json_object_agg(key, value_json::json)::text
FROM study_system_attributes
WHERE study_id = %(study_id)s AND NOT starts_with(key, 'asktell:')
HAVING count(*) > 0
"""

_FIND_CONSTRAINT_NAMES = """
SELECT value_json FROM study_system_attributes WHERE study_id = %(study_id)s AND key = %(key)s
"""

_INSERT_TRIALS = """
INSERT INTO asktell.trials
    (trial_id, study_id, number, attempt, phase, lease_seconds, lease_expires_at)
SELECT trial_id, study_id, number,
       CASE state WHEN 'WAITING' THEN 0 ELSE 1 END,
       CASE state WHEN 'WAITING' THEN 'queued' WHEN 'RUNNING' THEN 'live' ELSE 'ended' END,
       CASE state WHEN 'RUNNING' THEN %(lease_seconds)s::float8 END,
       CASE state WHEN 'RUNNING' THEN %(lease_expires_at)s::timestamptz END
FROM trials WHERE study_id = %(study_id)s
"""

_INSERT_STUDY = """
INSERT INTO asktell.studies
    (study_id, name, spec, settings, state, wake_at, waiting, running, complete, pruned, fail,
     best_number, best_value, created_at, last_activity_at)
SELECT %(study_id)s, %(name)s, %(spec)s::json, %(settings)s::json, 'active',
       (SELECT min(lease_expires_at) FROM asktell.trials WHERE study_id = %(study_id)s),
       count(*) FILTER (WHERE state = 'WAITING'), count(*) FILTER (WHERE state = 'RUNNING'),
       count(*) FILTER (WHERE state = 'COMPLETE'), count(*) FILTER (WHERE state = 'PRUNED'),
       count(*) FILTER (WHERE state = 'FAIL'),
       %(best_number)s, %(best_value)s, clock_timestamp(), clock_timestamp()
FROM trials WHERE study_id = %(study_id)s
"""

_COUNT_LIVE = """
SELECT count(*) FROM asktell.trials
WHERE study_id = (SELECT study_id FROM asktell.studies WHERE name = %(name)s) AND phase = 'live'
"""

# Nobody would ever end them: plain Optuna tells only what it has asked for.
_FAIL_RUNNING = """
UPDATE trials SET state = 'FAIL', datetime_complete = %(at)s
WHERE study_id = %(study_id)s AND state = 'RUNNING'
RETURNING number
"""

# Trials by hand, since nothing of ours leads from the study to them. Keys go with the study.
_DELETE_OWN = (
    """DELETE FROM asktell.suggestions AS s USING asktell.trials AS t
       WHERE s.trial_id = t.trial_id AND t.study_id = %(study_id)s""",
    "DELETE FROM asktell.trials WHERE study_id = %(study_id)s",
    "DELETE FROM asktell.studies WHERE study_id = %(study_id)s",
)

# The one note that outlives a change of hands: it explains Optuna's list of constraints.
_CONSTRAINT_NAMES = "asktell:constraint_names"
BEFORE_ADOPTION_ATTR = "asktell:before_adoption"
"""Study system attribute: the others as they were when the study was adopted."""


def is_list_of_names(document: Any) -> bool:
    """Whether JSON that anybody may have written is a list of names, each a different one."""
    return (
        isinstance(document, list)
        and all(isinstance(name, str) and name for name in document)
        and len(set(document)) == len(document)
    )


@dataclass(frozen=True, slots=True)
class PlainStudy:
    """What plain Optuna says of a study.

    Attributes:
        directions: In Optuna's words, such as MINIMIZE; one per objective.
        metric_names: As Optuna stores them: any JSON, or None.
        is_managed: Asktell has it already.
    """

    study_id: int
    directions: tuple[str, ...]
    metric_names: Any
    is_managed: bool


class PlainStudies:
    """Moves studies between plain Optuna and us, through the engine's pool.

    Every method raises `DatabaseUnavailable` when the database is away; the outcome is then
    unknown, and repeating it tells.

    Args:
        patience_seconds: How long to wait for each lock of plain Optuna.
    """

    def __init__(self, pool: AsyncConnectionPool[Any], *, patience_seconds: float = 5.0) -> None:
        self._pool = pool
        self._patience_milliseconds = round(patience_seconds * 1000)

    async def find(self, name: str) -> PlainStudy | None:
        """The study of that name, whoever has it."""
        with unavailable_when_lost():
            async with self._pool.connection() as connection:
                cursor = await connection.execute(
                    _FIND_STUDY, {"name": name, "metric_names": METRIC_NAMES_ATTR}
                )
                row = await cursor.fetchone()
        if row is None:
            return None
        study_id, directions, metric_names, is_managed = row
        names = None if metric_names is None else json.loads(metric_names)
        return PlainStudy(study_id, tuple(directions or ()), names, is_managed)

    async def adopt(
        self, study_id: int, spec: StudySpec, settings: StudySettings, *, now: datetime
    ) -> None:
        """Makes a plain study a managed one, as it is; from then on only we write to it.

        Args:
            now: When the leases of running trials begin.

        Raises:
            StudyNotFound: It is gone.
            StudyExists: Asktell has it already.
            StudyNotAdoptable: The engine could not go on with it; the message says why.
            DatabaseUnavailable: Also if others did not stop writing to it for some seconds.
        """
        with unavailable_when_lost():
            async with self._pool.connection() as connection, connection.transaction():
                limit = {"milliseconds": self._patience_milliseconds}
                await connection.execute(_LIMIT_WAITING, limit)
                with _unavailable_when_busy(spec.name):
                    await _hold(connection, study_id, spec.name)
                await check_adoptable(connection, study_id)
                await _delete_untrusted(connection, study_id)
                await _insert_trials(connection, study_id, settings.lease_seconds, now=now)
                await _insert_study(connection, study_id, spec, settings)

    async def count_live(self, name: str) -> int:
        """How many attempts of a managed study somebody is at."""
        with unavailable_when_lost():
            async with self._pool.connection() as connection:
                cursor = await connection.execute(_COUNT_LIVE, {"name": name})
                row = await cursor.fetchone()
                return 0 if row is None else int(row[0])

    async def release(self, study_id: int, *, now: datetime) -> tuple[int, ...]:
        """Makes a managed study a plain one; the caller owns it and lets nobody write meanwhile.

        Returns:
            Numbers of the trials that were running and are failed now.
        """
        at = now.astimezone(UTC).replace(tzinfo=None)
        with unavailable_when_lost():
            async with self._pool.connection() as connection, connection.transaction():
                cursor = await connection.execute(_FAIL_RUNNING, {"study_id": study_id, "at": at})
                failed = sorted(row[0] for row in await cursor.fetchall())
                await _delete_notes(connection, study_id, kept=[_CONSTRAINT_NAMES])
                for statement in _DELETE_OWN:
                    await connection.execute(statement, {"study_id": study_id})
        return tuple(failed)


@contextmanager
def _unavailable_when_busy(name: str) -> Iterator[None]:
    try:
        yield
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise DatabaseUnavailable(
            f"Another program keeps rows of study {name!r} locked. See that nobody writes to it, "
            "then try again."
        ) from error


async def _hold(connection: AsyncConnection[Any], study_id: int, name: str) -> None:
    """Waits until nobody writes to the study any more; then nobody can."""
    parameters = {"study_id": study_id}
    held = await connection.execute(_HOLD_STUDY, parameters)
    if not held.rowcount:
        raise StudyNotFound(f"Study {name!r} has just been deleted.")
    managed = await connection.execute(_IS_MANAGED, parameters)
    if managed.rowcount:
        raise StudyExists(f"Asktell manages study {name!r} already; there is nothing to adopt.")
    for statement in _HOLD_ROWS:
        await connection.execute(statement, parameters)


async def _delete_untrusted(connection: AsyncConnection[Any], study_id: int) -> None:
    """Removes what the engine would believe if it found it, since anybody may have written it."""
    cursor = await connection.execute(
        _FIND_CONSTRAINT_NAMES, {"study_id": study_id, "key": _CONSTRAINT_NAMES}
    )
    row = await cursor.fetchone()
    are_names = row is not None and is_list_of_names(json.loads(row[0]))
    await _delete_notes(connection, study_id, kept=[_CONSTRAINT_NAMES] if are_names else [])
    await connection.execute(_DELETE_PICKLES, {"study_id": study_id})
    await connection.execute(_DELETE_PLANS, {"study_id": study_id})
    noted = {"study_id": study_id, "key": BEFORE_ADOPTION_ATTR}
    await connection.execute(_REMEMBER_NOTES, noted)


async def _delete_notes(
    connection: AsyncConnection[Any], study_id: int, *, kept: Sequence[str]
) -> None:
    for statement in _DELETE_NOTES:
        await connection.execute(statement, {"study_id": study_id, "kept": kept})


async def _insert_trials(
    connection: AsyncConnection[Any], study_id: int, lease_seconds: float | None, *, now: datetime
) -> None:
    expires_at = None if lease_seconds is None else now + timedelta(seconds=lease_seconds)
    await connection.execute(
        _INSERT_TRIALS,
        {"study_id": study_id, "lease_seconds": lease_seconds, "lease_expires_at": expires_at},
    )


async def _insert_study(
    connection: AsyncConnection[Any], study_id: int, spec: StudySpec, settings: StudySettings
) -> None:
    best = await _find_best(connection, study_id, spec)
    await connection.execute(
        _INSERT_STUDY,
        {
            "study_id": study_id,
            "name": spec.name,
            "spec": json.dumps(spec_to_document(spec), allow_nan=False),
            "settings": json.dumps(settings_to_document(settings), allow_nan=False),
            "best_number": None if best is None else best.number,
            "best_value": None if best is None else best.values[0],
        },
    )


async def _find_best(
    connection: AsyncConnection[Any], study_id: int, spec: StudySpec
) -> Result | None:
    """The first of the best results, as the engine has it; None with several objectives."""
    if len(spec.objectives) > 1:
        return None
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(LIST_RESULTS, {"study_id": study_id})
        results = build_results(await cursor.fetchall())
    front = find_front(results, spec.objectives)
    return next((result for result in results if front and result.number == front[0]), None)
