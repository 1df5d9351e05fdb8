"""Makes managed studies and removes them, each in a transaction of its own."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from service.domain.studies import StudySettings, StudySpec
from service.domain.sweeps import Sweep
from service.storage.driver_errors import unavailable_when_lost
from service.storage.journal import ANY_NUMBER, StoredReply
from service.storage.specs import settings_to_document, spec_to_document
from service.storage.waiting import insert_waiting

METRIC_NAMES_ATTR = "study:metric_names"
"""Study system attribute in which Optuna and its dashboard look for the objectives' names."""

# No row comes back when somebody has the name, whoever made that study.
_INSERT_STUDY = """
INSERT INTO studies (study_name) VALUES (%s) ON CONFLICT (study_name) DO NOTHING
RETURNING study_id
"""

_INSERT_DIRECTIONS = """
INSERT INTO study_directions (study_id, direction, objective)
SELECT %s, u.direction::studydirection, u.position - 1
FROM unnest(%s::text[]) WITH ORDINALITY AS u (direction, position)
"""

_INSERT_USER_ATTRS = """
INSERT INTO study_user_attributes (study_id, key, value_json)
SELECT %s, * FROM unnest(%s::text[], %s::text[])
"""

_INSERT_METRIC_NAMES = """
INSERT INTO study_system_attributes (study_id, key, value_json) VALUES (%s, %s, %s)
"""

_INSERT_MANAGED = """
INSERT INTO asktell.studies
    (study_id, name, spec, settings, state, created_at, last_activity_at)
VALUES (%s, %s, %s::json, %s::json, 'active', clock_timestamp(), clock_timestamp())
"""

# From the start the sweep wants attempts.
_INSERT_SWEEP = """
WITH sweep AS (
    INSERT INTO asktell.sweeps (study_id, sweep_id, executor, queue, arguments)
    VALUES (%(study_id)s, %(sweep_id)s, %(executor)s, %(queue)s, %(arguments)s::json)
), mirror AS (
    INSERT INTO asktell.mirrors (study_id) SELECT %(study_id)s WHERE %(has_mirror)s)
UPDATE asktell.studies SET wanted = %(wanted)s, waiting_since = clock_timestamp()
WHERE study_id = %(study_id)s
"""

# The answer of a creation is the study itself, so nothing of it is kept here.
_INSERT_CREATION_KEY = """
INSERT INTO asktell.idempotency_keys (study_id, operation, key, body_digest, answer, created_at)
VALUES (%s, 'create', %s, %s, 'null', %s)
"""

_FIND_CREATION_KEY = """
SELECT body_digest FROM asktell.idempotency_keys
WHERE study_id = (SELECT study_id FROM asktell.studies WHERE name = %s)
  AND operation = 'create' AND key = %s
"""

# Studies with something to do that no call may ever come for: a lease or a time limit ran out.
_LIST_OVERDUE = """
SELECT name FROM asktell.studies WHERE wake_at < %s ORDER BY wake_at
"""

_FIND_STUDY_ID = """
SELECT study_id FROM asktell.studies WHERE name = %s
"""

# Children before parents: Optuna's foreign keys do not cascade. Ours do.
_DELETE_STUDY = (
    """DELETE FROM trial_params USING trials t
       WHERE trial_params.trial_id = t.trial_id AND t.study_id = %s""",
    """DELETE FROM trial_values USING trials t
       WHERE trial_values.trial_id = t.trial_id AND t.study_id = %s""",
    """DELETE FROM trial_intermediate_values USING trials t
       WHERE trial_intermediate_values.trial_id = t.trial_id AND t.study_id = %s""",
    """DELETE FROM trial_user_attributes USING trials t
       WHERE trial_user_attributes.trial_id = t.trial_id AND t.study_id = %s""",
    """DELETE FROM trial_system_attributes USING trials t
       WHERE trial_system_attributes.trial_id = t.trial_id AND t.study_id = %s""",
    """DELETE FROM trial_heartbeats USING trials t
       WHERE trial_heartbeats.trial_id = t.trial_id AND t.study_id = %s""",
    "DELETE FROM trials WHERE study_id = %s",
    "DELETE FROM study_directions WHERE study_id = %s",
    "DELETE FROM study_user_attributes WHERE study_id = %s",
    "DELETE FROM study_system_attributes WHERE study_id = %s",
    "DELETE FROM studies WHERE study_id = %s",
)


class StudyTable:
    """Whole studies, through the engine's pool.

    Every method raises `DatabaseUnavailable` when the database is away; the outcome of an insert
    is then unknown, and repeating it tells.
    """

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def insert(
        self,
        spec: StudySpec,
        settings: StudySettings,
        key: StoredReply | None = None,
        *,
        sweep: Sweep | None = None,
        waiting: Sequence[FrozenTrial] = (),
    ) -> int | None:
        """Creates the study in Optuna's tables and ours; None if its name is taken.

        Args:
            key: The idempotency key to keep with it.
            sweep: What makes it one.
            waiting: As `insert_waiting` takes them.
        """
        with unavailable_when_lost():
            async with self._pool.connection() as connection, connection.transaction():
                cursor = await connection.execute(_INSERT_STUDY, (spec.name,))
                row = await cursor.fetchone()
                if row is None:
                    return None
                await _insert_details(connection, row[0], spec, settings)
                await insert_waiting(connection, row[0], waiting)
                if sweep is not None:
                    await _insert_sweep(connection, row[0], sweep, settings)
                if key is not None:
                    columns = (row[0], key.key, key.body_digest, key.created_at)
                    await connection.execute(_INSERT_CREATION_KEY, columns)
                return int(row[0])

    async def find_creation_digest(self, name: str, key: str) -> bytes | None:
        """The digest of the body with which that key created the study of that name."""
        with unavailable_when_lost():
            async with self._pool.connection() as connection:
                cursor = await connection.execute(_FIND_CREATION_KEY, (name, key))
                row = await cursor.fetchone()
                return None if row is None else bytes(row[0])

    async def list_overdue(self, now: datetime) -> list[str]:
        """Names of the studies that should have been attended to before `now`."""
        with unavailable_when_lost():
            async with self._pool.connection() as connection:
                cursor = await connection.execute(_LIST_OVERDUE, (now,))
                return [row[0] for row in await cursor.fetchall()]

    async def find_id(self, name: str) -> int | None:
        """The id of the managed study of that name."""
        with unavailable_when_lost():
            async with self._pool.connection() as connection:
                cursor = await connection.execute(_FIND_STUDY_ID, (name,))
                row = await cursor.fetchone()
                return None if row is None else int(row[0])

    async def delete(self, study_id: int) -> None:
        """Removes every row of the study; the caller owns it and lets nobody write meanwhile."""
        with unavailable_when_lost():
            async with self._pool.connection() as connection, connection.transaction():
                for statement in _DELETE_STUDY:
                    await connection.execute(statement, (study_id,))


async def _insert_details(
    connection: AsyncConnection[Any], study_id: int, spec: StudySpec, settings: StudySettings
) -> None:
    directions = [objective.direction.name for objective in spec.objectives]
    await connection.execute(_INSERT_DIRECTIONS, (study_id, directions))
    keys = list(spec.user_attrs)
    values = [json.dumps(spec.user_attrs[key]) for key in keys]
    await connection.execute(_INSERT_USER_ATTRS, (study_id, keys, values))
    names = json.dumps([objective.name for objective in spec.objectives])
    await connection.execute(_INSERT_METRIC_NAMES, (study_id, METRIC_NAMES_ATTR, names))
    documents = [
        json.dumps(document, allow_nan=False)
        for document in (spec_to_document(spec), settings_to_document(settings))
    ]
    await connection.execute(_INSERT_MANAGED, (study_id, spec.name, *documents))


async def _insert_sweep(
    connection: AsyncConnection[Any], study_id: int, sweep: Sweep, settings: StudySettings
) -> None:
    limits = (settings.parallelism, settings.budget.max_trials, ANY_NUMBER)
    columns = {
        "study_id": study_id,
        "sweep_id": sweep.sweep_id,
        "executor": sweep.launch.executor,
        "queue": sweep.launch.queue,
        "arguments": json.dumps(sweep.launch.arguments, allow_nan=False),
        "has_mirror": sweep.launch.has_mirror,
        "wanted": min(limit for limit in limits if limit is not None),
    }
    await connection.execute(_INSERT_SWEEP, columns)
