"""What clients see of sweeps: committed state, read without the engine."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg.rows import DictRow
from psycopg_pool import AsyncConnectionPool

from service.domain.attempts import AttemptState
from service.domain.mirrors import Mirror
from service.domain.studies import StopReason, StudyState, StudySummary
from service.domain.sweeps import LaunchSpec, Sweep, SweepState, get_sweep_state
from service.storage.journal import ANY_NUMBER
from service.storage.mirrors import build_mirror
from service.storage.reads import Reads, StoredStudy, build_summary

# One page of the sweep list, by name. Which states and stop reasons of a study make which state of
# a sweep is the domain's to say. As a set of pairs they would be beyond the planner's statistics.
LIST_SWEEPS = """
SELECT study_id, name, state, spec -> 'objectives' AS objectives,
       stop_reason, started, settings -> 'budget' ->> 'max_trials' AS max_trials,
       waiting, running, complete, pruned, fail, best_number, best_value,
       revision, created_at, last_activity_at,
       sweep_id, executor, queue, arguments, wanted, waiting_since,
       mirrors.study_id IS NOT NULL AS has_mirror, external_ref, url, agreed, problem
FROM asktell.sweeps
JOIN asktell.studies USING (study_id)
LEFT JOIN asktell.mirrors USING (study_id)
WHERE name > %(after)s::text
  AND state = ANY (%(states)s::text[])
  AND (stop_reason = ANY (%(stop_reasons)s::text[])
       OR %(or_no_stop_reason)s::boolean AND stop_reason IS NULL)
  AND strpos(lower(name COLLATE "default"), lower(%(name_contains)s::text)) > 0
ORDER BY name
LIMIT %(limit)s
"""

# What makes one study a sweep, and what it waits for.
FIND_SWEEP = """
SELECT sweep_id, executor, queue, arguments, wanted, waiting_since,
       mirrors.study_id IS NOT NULL AS has_mirror, external_ref, url, agreed, problem
FROM asktell.sweeps
JOIN asktell.studies USING (study_id)
LEFT JOIN asktell.mirrors USING (study_id)
WHERE study_id = %(study_id)s
"""

# How many attempts of some studies are in which state.
COUNT_ATTEMPTS = """
SELECT study_id, state, count(*) AS count FROM asktell.attempts
WHERE study_id = ANY (%(study_ids)s::int[])
GROUP BY study_id, state
"""

_BEFORE_FIRST_NAME = ""

AttemptCounts = Mapping[AttemptState, int]


@dataclass(frozen=True, slots=True)
class SweepSummary:
    """A sweep as of the last commit of its study.

    Attributes:
        wanted: How many attempts could start now if workers had slots; None: any number.
        waiting_since: When it last got one, or began to want one; None: it wants none.
        mirror: Of the sweep in an outside system; None: it has none, and wants none.
    """

    study: StudySummary
    sweep: Sweep
    wanted: int | None
    waiting_since: datetime | None
    mirror: Mirror | None

    @property
    def state(self) -> SweepState:
        return get_sweep_state(self.study.state, self.study.stop_reason)


class SweepReads:
    """Queries for clients, each one statement, through the engine's pool.

    Every method raises `DatabaseUnavailable` when no connection can be had or it breaks.
    """

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._reads = Reads(pool)

    async def list_sweeps(
        self,
        *,
        state: SweepState | None,
        name_contains: str | None,
        limit: int,
        after: str | None,
    ) -> list[SweepSummary]:
        """At most `limit` sweeps by code points of their names, from the first one past `after`.

        Args:
            name_contains: Part of the name, in any case; not a pattern.
            after: A name, of an existing sweep or not.
        """
        rows = await self._reads.fetch(
            LIST_SWEEPS,
            {
                **_describe_studies(state),
                "after": _BEFORE_FIRST_NAME if after is None else after,
                "name_contains": name_contains or "",
                "limit": limit,
            },
        )
        return [_build_sweep(build_summary(row), row) for row in rows]

    async def find_sweep(self, study: StoredStudy) -> SweepSummary | None:
        """What makes that study a sweep; as of now, while the study is as it was read."""
        rows = await self._reads.fetch(FIND_SWEEP, {"study_id": study.summary.study_id})
        return _build_sweep(study.summary, rows[0]) if rows else None

    async def count_attempts(self, study_ids: Collection[int]) -> dict[int, AttemptCounts]:
        """How many attempts of each of these studies are in each state that occurs."""
        counts: dict[int, dict[AttemptState, int]] = defaultdict(dict)
        for row in await self._reads.fetch(COUNT_ATTEMPTS, {"study_ids": list(study_ids)}):
            counts[row["study_id"]][AttemptState(row["state"])] = row["count"]
        return {study_id: counts[study_id] for study_id in study_ids}


def _describe_studies(wanted: SweepState | None) -> dict[str, Any]:
    """The states and stop reasons of studies whose sweeps are in a state, or in any."""
    pairs = [
        (state, stop_reason)
        for state in StudyState
        for stop_reason in (None, *StopReason)
        if wanted is None or get_sweep_state(state, stop_reason) is wanted
    ]
    stop_reasons = {stop_reason for _, stop_reason in pairs}
    return {
        "states": sorted({state.value for state, _ in pairs}),
        "stop_reasons": sorted(each.value for each in stop_reasons if each is not None),
        "or_no_stop_reason": None in stop_reasons,
    }


def _build_sweep(study: StudySummary, row: DictRow) -> SweepSummary:
    launch = LaunchSpec(row["executor"], row["arguments"], row["queue"])
    waiting_since = row["waiting_since"]
    return SweepSummary(
        study=study,
        sweep=Sweep(row["sweep_id"], launch),
        wanted=None if row["wanted"] == ANY_NUMBER else row["wanted"],
        waiting_since=None if waiting_since is None else waiting_since.astimezone(UTC),
        mirror=build_mirror(row) if row["has_mirror"] else None,
    )
