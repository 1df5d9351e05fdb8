"""What there is to launch, and what workers have: asked across all studies."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg_pool import AsyncConnectionPool

from service.domain.attempts import build_attempt_id
from service.domain.sweeps import LaunchSpec, Sweep
from service.storage.driver_errors import unavailable_when_lost

# Sweeps with room for an attempt, the one that has waited longest first. What wants a mirror waits
# until there is one, or there is known to be none for now.
_LIST_WANTING = """
SELECT s.name
FROM asktell.sweeps AS w
JOIN asktell.studies AS s USING (study_id)
LEFT JOIN asktell.mirrors AS m USING (study_id)
WHERE w.queue = %s AND w.executor = ANY (%s::text[]) AND s.wanted > 0
  AND (m.study_id IS NULL OR m.external_ref IS NOT NULL OR m.problem IS NOT NULL)
ORDER BY s.waiting_since
LIMIT 100
"""

# What a worker has, whether it knows or not.
_LIST_OPEN = """
SELECT s.name, w.sweep_id, a.number, a.attempt
FROM asktell.attempts AS a
JOIN asktell.studies AS s USING (study_id)
JOIN asktell.sweeps AS w USING (study_id)
WHERE a.worker_id = %s AND a.ended_at IS NULL
ORDER BY a.study_id, a.number
"""

# What workers have that were not heard of for a while, and another worker can go on with.
_LIST_ABANDONED = """
WITH unheard AS MATERIALIZED (
    SELECT a.study_id, a.number, a.worker_id
    FROM asktell.attempts AS a
    WHERE a.ended_at IS NULL AND a.worker_id <> %(worker_id)s
      AND coalesce(
              (SELECT last_seen_at FROM asktell.workers AS k WHERE k.worker_id = a.worker_id),
              a.claimed_at
          ) < %(unseen_since)s
)
SELECT (SELECT name FROM asktell.studies AS s WHERE s.study_id = u.study_id),
       u.number, u.worker_id
FROM unheard AS u JOIN asktell.sweeps AS w USING (study_id)
WHERE w.queue = %(queue)s AND w.executor = ANY (%(executors)s::text[])
LIMIT %(limit)s
"""

# Attempts of those trials that ended because their worker had to go.
_LIST_PREEMPTED = """
SELECT a.study_id, a.number, a.attempt
FROM asktell.attempts AS a
JOIN unnest(%s::int[], %s::int[]) AS wanted (study_id, number) USING (study_id, number)
WHERE a.state = 'preempted'
"""

_FIND_SWEEP = """
SELECT sweep_id, executor, arguments, queue FROM asktell.sweeps WHERE study_id = %s
"""

_FIND_STUDY = """
SELECT name FROM asktell.studies JOIN asktell.sweeps USING (study_id) WHERE sweep_id = %s
"""


class LaunchTable:
    """Queries through the engine's pool; each raises `DatabaseUnavailable` when it is away."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def list_wanting(self, queue: str, executors: Sequence[str]) -> list[str]:
        """Names of studies of which a worker with these executors could start a trial now."""
        rows = await self._fetch(_LIST_WANTING, (queue, list(executors)))
        return [name for (name,) in rows]

    async def list_open(self, worker_id: str) -> list[tuple[str, int, str]]:
        """Attempts that a worker has: study, trial number, attempt id."""
        rows = await self._fetch(_LIST_OPEN, (worker_id,))
        return [
            (study, number, build_attempt_id(sweep_id, number, attempt))
            for study, sweep_id, number, attempt in rows
        ]

    async def list_abandoned(
        self,
        worker_id: str,
        *,
        queue: str,
        executors: Sequence[str],
        unseen_since: datetime,
        limit: int,
    ) -> list[tuple[str, int, str]]:
        """Attempts of others that were not heard of since then: study, trial number, worker id."""
        parameters = {
            "worker_id": worker_id,
            "queue": queue,
            "executors": list(executors),
            "unseen_since": unseen_since,
            "limit": limit,
        }
        rows = await self._fetch(_LIST_ABANDONED, parameters)
        return [(study, number, owner) for study, number, owner in rows]

    async def list_preempted(
        self, trials: Collection[tuple[int, int]]
    ) -> dict[tuple[int, int], set[int]]:
        """Of trials, by study id and number: their attempts whose worker had to go."""
        preempted: dict[tuple[int, int], set[int]] = {trial: set() for trial in trials}
        if trials:
            columns = [list(column) for column in zip(*trials, strict=True)]
            for study_id, number, attempt in await self._fetch(_LIST_PREEMPTED, columns):
                preempted[study_id, number].add(attempt)
        return preempted

    async def find_sweep(self, study_id: int) -> Sweep | None:
        """What makes the study a sweep, if it is one."""
        rows = await self._fetch(_FIND_SWEEP, (study_id,))
        return Sweep(rows[0][0], LaunchSpec(*rows[0][1:])) if rows else None

    async def find_study(self, sweep_id: str) -> str | None:
        """The name of the study of a sweep."""
        rows = await self._fetch(_FIND_STUDY, (sweep_id,))
        return rows[0][0] if rows else None

    async def _fetch(
        self, query: str, parameters: Sequence[Any] | Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        with unavailable_when_lost():
            async with self._pool.connection() as connection:
                cursor = await connection.execute(query, parameters)
                rows: list[tuple[Any, ...]] = await cursor.fetchall()
                return rows
