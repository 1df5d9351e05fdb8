"""Mirrors of sweeps in outside systems: which worker keeps which, and what it said last."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import DictRow
from psycopg_pool import AsyncConnectionPool

from service.domain.errors import ClaimLost
from service.domain.mirrors import (
    MIRROR_LEASE_SECONDS,
    Mirror,
    MirrorReport,
    MirrorState,
    WantedMirror,
)
from service.domain.sweeps import LaunchSpec
from service.storage.reads import Reads
from service.storage.specs import objectives_from_document

# What nobody keeps, or this worker does already; nothing is left to do once both have ended, and
# none is made for what starts no more trials. What has ended is in neither of the two indexes. New
# ones come first: their attempts wait.
CLAIM_MIRRORS = """
WITH open AS (
    SELECT study_id FROM asktell.studies WHERE state <> 'finished'
    UNION
    SELECT study_id FROM asktell.mirrors
    WHERE external_ref IS NOT NULL AND (agreed IS NULL OR agreed NOT IN ('finished', 'cancelled'))
), wanted AS (
    SELECT m.study_id
    FROM open
    JOIN asktell.mirrors AS m USING (study_id)
    JOIN asktell.sweeps AS w USING (study_id)
    JOIN asktell.studies AS s USING (study_id)
    WHERE w.queue = %(queue)s AND w.executor = ANY (%(executors)s::text[])
      AND (m.worker_id = %(worker_id)s OR m.kept_until IS NULL OR m.kept_until < %(now)s)
      AND (m.external_ref IS NOT NULL OR s.state IN ('active', 'paused'))
    ORDER BY m.external_ref IS NOT NULL, m.worker_id = %(worker_id)s DESC NULLS LAST, m.study_id
    LIMIT 1000
    FOR UPDATE OF m SKIP LOCKED
)
UPDATE asktell.mirrors AS m SET worker_id = %(worker_id)s, kept_until = %(kept_until)s
FROM wanted, asktell.sweeps AS w, asktell.studies AS s
WHERE m.study_id = wanted.study_id AND w.study_id = m.study_id AND s.study_id = m.study_id
RETURNING s.name, s.spec, w.sweep_id, w.executor, w.queue, w.arguments, m.external_ref
"""

# What its keeper says; a mirror that exists has no problem any more.
_TELL = """
UPDATE asktell.mirrors
SET external_ref = coalesce(%(external_ref)s, external_ref),
    url = coalesce(%(url)s, url),
    problem = CASE WHEN coalesce(%(external_ref)s, external_ref) IS NULL
                   THEN coalesce(%(problem)s, problem) ELSE %(problem)s END,
    kept_until = %(kept_until)s
WHERE study_id = %(study_id)s AND worker_id = %(worker_id)s
RETURNING external_ref, url, agreed, problem
"""

# A sweep that goes on after this gets another one.
_FORGET = """
UPDATE asktell.mirrors
SET external_ref = NULL, url = NULL, agreed = NULL, problem = %(problem)s,
    kept_until = %(kept_until)s
WHERE study_id = %(study_id)s AND worker_id = %(worker_id)s
RETURNING study_id
"""

_AGREE = """
UPDATE asktell.mirrors SET agreed = %(agreed)s
WHERE study_id = %(study_id)s AND worker_id = %(worker_id)s
RETURNING study_id
"""

_FIND = """
SELECT external_ref, url, agreed, problem FROM asktell.mirrors WHERE study_id = %(study_id)s
"""

_LIST_REFS = """
SELECT study_id, external_ref FROM asktell.mirrors
WHERE study_id = ANY (%(study_ids)s::int[]) AND external_ref IS NOT NULL
"""


_KEPT_BY_ANOTHER = "Another worker keeps the mirror of this sweep; leave it to that one."


class MirrorTable:
    """Mirrors, through the engine's pool.

    Every method is one statement, and raises `DatabaseUnavailable` when no connection can be had
    or it breaks.
    """

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._reads = Reads(pool)

    async def claim(
        self, worker_id: str, *, queue: str, executors: Sequence[str], now: datetime
    ) -> list[WantedMirror]:
        """Mirrors for this worker to keep, for the time of a lease; repeating it renews that."""
        rows = await self._reads.fetch(
            CLAIM_MIRRORS,
            {
                "worker_id": worker_id,
                "queue": queue,
                "executors": list(executors),
                "now": now,
                "kept_until": _compute_end(now),
            },
        )
        return [_build_wanted(row) for row in rows]

    async def tell(self, study_id: int, report: MirrorReport, *, now: datetime) -> Mirror:
        """Notes what a worker says of a mirror that it keeps, and renews its lease.

        Raises:
            ClaimLost: Another worker keeps it.
        """
        rows = await self._reads.fetch(
            _TELL,
            {
                "study_id": study_id,
                "worker_id": report.worker_id,
                "external_ref": report.external_ref,
                "url": report.url,
                "problem": report.problem,
                "kept_until": _compute_end(now),
            },
        )
        if not rows:
            raise ClaimLost(_KEPT_BY_ANOTHER)
        return build_mirror(rows[0])

    async def forget(self, study_id: int, report: MirrorReport, *, now: datetime) -> None:
        """Notes that the sweep outside is gone.

        Raises:
            ClaimLost: Another worker keeps it.
        """
        rows = await self._reads.fetch(
            _FORGET,
            {
                "study_id": study_id,
                "worker_id": report.worker_id,
                "problem": report.problem or "The sweep outside was deleted.",
                "kept_until": _compute_end(now),
            },
        )
        if not rows:
            raise ClaimLost(_KEPT_BY_ANOTHER)

    async def agree(self, study_id: int, worker_id: str, agreed: MirrorState) -> None:
        """Notes the state in which both sweeps are, unless another worker keeps the mirror."""
        await self._reads.fetch(
            _AGREE, {"study_id": study_id, "worker_id": worker_id, "agreed": agreed.value}
        )

    async def find(self, study_id: int) -> Mirror | None:
        """The mirror of a sweep, if it wants one."""
        rows = await self._reads.fetch(_FIND, {"study_id": study_id})
        return build_mirror(rows[0]) if rows else None

    async def list_refs(self, study_ids: Sequence[int]) -> dict[int, str]:
        """The sweeps outside of those studies that have one."""
        rows = await self._reads.fetch(_LIST_REFS, {"study_ids": list(study_ids)})
        return {row["study_id"]: row["external_ref"] for row in rows}


def build_mirror(row: DictRow) -> Mirror:
    """A mirror from the columns of its row."""
    agreed = row["agreed"]
    return Mirror(
        row["external_ref"],
        row["url"],
        None if agreed is None else MirrorState(agreed),
        row["problem"],
    )


def _compute_end(now: datetime) -> datetime:
    return now + timedelta(seconds=MIRROR_LEASE_SECONDS)


def _build_wanted(row: DictRow) -> WantedMirror:
    spec = row["spec"]
    description = spec["user_attrs"].get("description")
    return WantedMirror(
        study=row["name"],
        sweep_id=row["sweep_id"],
        launch=LaunchSpec(row["executor"], row["arguments"], row["queue"]),
        objectives=objectives_from_document(spec["objectives"]),
        space=spec["space"],
        description=description if isinstance(description, str) else None,
        external_ref=row["external_ref"],
    )
