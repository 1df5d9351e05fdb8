"""Workers as they last said of themselves."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

from psycopg.rows import DictRow
from psycopg_pool import AsyncConnectionPool

from service.domain.workers import KnownWorker, Worker, WorkerReport, WorkerState
from service.storage.driver_errors import unavailable_when_lost
from service.storage.reads import Reads

_FORGOTTEN_AFTER = timedelta(days=1)

# What a worker says of itself; those unheard of for long go, since nobody may say that they left.
_PUT_WORKER = """
WITH forgotten AS (
    DELETE FROM asktell.workers
    WHERE last_seen_at < %(forgotten_before)s AND worker_id <> %(worker_id)s
)
INSERT INTO asktell.workers
    (worker_id, name, host, queue, executors, slots, busy, state, version, started_at,
     last_seen_at)
VALUES (%(worker_id)s, %(name)s, %(host)s, %(queue)s, %(executors)s, %(slots)s, %(busy)s,
        %(state)s, %(version)s, %(now)s, %(now)s)
ON CONFLICT (worker_id)
DO UPDATE SET name = excluded.name, host = excluded.host, queue = excluded.queue,
              executors = excluded.executors, slots = excluded.slots, busy = excluded.busy,
              state = excluded.state, version = excluded.version,
              last_seen_at = excluded.last_seen_at
"""

_REMOVE_WORKER = """
DELETE FROM asktell.workers WHERE worker_id = %(worker_id)s
"""

_FIND_STATE = """
SELECT state FROM asktell.workers WHERE worker_id = %(worker_id)s
"""

# All workers that were heard of lately; there are never many.
_LIST_WORKERS = """
SELECT worker_id, name, host, queue, executors, slots, busy, state, version, started_at,
       last_seen_at
FROM asktell.workers ORDER BY name, worker_id
"""


class WorkerTable:
    """Reports of workers, through the engine's pool.

    Every method is one statement, and raises `DatabaseUnavailable` when no connection can be had
    or it breaks.
    """

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._reads = Reads(pool)

    async def put(self, report: WorkerReport, *, now: datetime) -> None:
        """Keeps what a worker says of itself, in place of what it said before."""
        await self._execute(
            _PUT_WORKER,
            {
                "worker_id": report.worker.worker_id,
                "name": report.worker.name,
                "host": report.worker.host,
                "queue": report.queue,
                "executors": list(report.executors),
                "slots": report.slots,
                "busy": report.busy,
                "state": report.state.value,
                "version": report.version,
                "now": now,
                "forgotten_before": now - _FORGOTTEN_AFTER,
            },
        )

    async def remove(self, worker_id: str) -> None:
        """Forgets a worker, if it is known."""
        await self._execute(_REMOVE_WORKER, {"worker_id": worker_id})

    async def is_draining(self, worker_id: str) -> bool:
        """Whether the worker has said that it takes no more attempts."""
        rows = await self._reads.fetch(_FIND_STATE, {"worker_id": worker_id})
        return any(row["state"] == WorkerState.DRAINING.value for row in rows)

    async def list(self) -> list[KnownWorker]:
        """Every worker that has reported and not left, by name."""
        return [_build_worker(row) for row in await self._reads.fetch(_LIST_WORKERS, {})]

    async def _execute(self, query: LiteralString, parameters: Mapping[str, Any]) -> None:
        with unavailable_when_lost():
            async with self._pool.connection() as connection:
                await connection.execute(query, parameters)


def _build_worker(row: DictRow) -> KnownWorker:
    return KnownWorker(
        WorkerReport(
            worker=Worker(row["worker_id"], row["name"], row["host"]),
            queue=row["queue"],
            executors=tuple(row["executors"]),
            slots=row["slots"],
            busy=row["busy"],
            state=WorkerState(row["state"]),
            version=row["version"],
        ),
        started_at=row["started_at"].astimezone(UTC),
        last_seen_at=row["last_seen_at"].astimezone(UTC),
    )
