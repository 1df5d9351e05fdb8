"""What there is to launch, and what workers have: asked across all studies."""

from collections.abc import Sequence
from typing import Any

from psycopg_pool import AsyncConnectionPool

from service.domain.attempts import build_attempt_id
from service.domain.sweeps import LaunchSpec, Sweep
from service.storage.driver_errors import unavailable_when_lost

# Sweeps with room for an attempt, the one that has waited longest first.
_LIST_WANTING = """
SELECT s.name FROM asktell.sweeps AS w JOIN asktell.studies AS s USING (study_id)
WHERE w.queue = %s AND w.executor = ANY (%s::text[]) AND s.wanted > 0
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

    async def find_sweep(self, study_id: int) -> Sweep | None:
        """What makes the study a sweep, if it is one."""
        rows = await self._fetch(_FIND_SWEEP, (study_id,))
        return Sweep(rows[0][0], LaunchSpec(*rows[0][1:])) if rows else None

    async def find_study(self, sweep_id: str) -> str | None:
        """The name of the study of a sweep."""
        rows = await self._fetch(_FIND_STUDY, (sweep_id,))
        return rows[0][0] if rows else None

    async def _fetch(self, query: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        with unavailable_when_lost():
            async with self._pool.connection() as connection:
                cursor = await connection.execute(query, parameters)
                rows: list[tuple[Any, ...]] = await cursor.fetchall()
                return rows
