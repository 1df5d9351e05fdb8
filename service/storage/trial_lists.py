"""Lists of trials as people page through them, with what workers had of each."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import LiteralString

from psycopg.rows import DictRow

from service.domain.studies import StudySummary
from service.domain.trials import TrialState, TrialView
from service.storage.attempts import SELECT_ATTEMPTS, StoredAttempt, build_attempt
from service.storage.reads import Reads
from service.storage.results import SCORE_TRIALS, choose_sign
from service.storage.trial_rows import FROM_TRIALS, SELECT_TRIALS, build_page, build_trials

# What only people who look at a list ask for, looked up as little as the rest if it is not wanted.
_MORE_COLUMNS = """,
       CASE WHEN 'last_step' = ANY (%(fields)s::text[]) THEN
           (SELECT max(step) FROM public.trial_intermediate_values
            WHERE trial_id = own.trial_id) END AS last_step,
       CASE WHEN 'latest_attempt' = ANY (%(fields)s::text[]) THEN
           (SELECT sweep_id FROM asktell.sweeps WHERE study_id = %(study_id)s) END AS sweep_id,
       to_json(latest) AS latest_attempt
"""

_SELECT: LiteralString = (
    SELECT_TRIALS
    + _MORE_COLUMNS
    + FROM_TRIALS
    + "LEFT JOIN LATERAL ("
    + SELECT_ATTEMPTS
    + """
WHERE 'latest_attempt' = ANY (%(fields)s::text[])
  AND a.study_id = own.study_id AND a.number = own.number
ORDER BY a.attempt DESC LIMIT 1) AS latest ON true
"""
)

# One page by number, from either end.
LIST_OLDEST: LiteralString = (
    _SELECT
    + """
WHERE own.study_id = %(study_id)s
  AND own.number > coalesce(%(after)s::int, -1)
  AND trial.state = ANY (%(states)s::public.trialstate[])
ORDER BY own.number
LIMIT %(limit)s
"""
)
LIST_NEWEST: LiteralString = (
    _SELECT
    + """
WHERE own.study_id = %(study_id)s
  AND own.number < coalesce(%(after)s::bigint, 2147483648)
  AND trial.state = ANY (%(states)s::public.trialstate[])
ORDER BY own.number DESC
LIMIT %(limit)s
"""
)

# The same of some numbers. A page is chosen before it is read, for there may be as many numbers as
# trials.
_CHOOSE_NUMBERED = """
WITH page AS MATERIALIZED (
    SELECT own.trial_id
    FROM asktell.trials AS own JOIN public.trials AS trial USING (trial_id)
    WHERE own.study_id = %(study_id)s
      AND own.number = ANY (%(numbers)s::int[])
      AND trial.state = ANY (%(states)s::public.trialstate[])
"""
LIST_NUMBERED_OLDEST: LiteralString = (
    _CHOOSE_NUMBERED
    + """
      AND own.number > coalesce(%(after)s::int, -1)
    ORDER BY own.number LIMIT %(limit)s
)
"""
    + _SELECT
    + """
JOIN page USING (trial_id)
ORDER BY own.number
"""
)
LIST_NUMBERED_NEWEST: LiteralString = (
    _CHOOSE_NUMBERED
    + """
      AND own.number < coalesce(%(after)s::bigint, 2147483648)
    ORDER BY own.number DESC LIMIT %(limit)s
)
"""
    + _SELECT
    + """
JOIN page USING (trial_id)
ORDER BY own.number DESC
"""
)

_BEGIN_BEST = """
, page AS MATERIALIZED (
    SELECT trial_id, is_infeasible, loss FROM scored
    WHERE (%(after)s::int IS NULL
           OR (is_infeasible, loss, number)
              > (SELECT is_infeasible, loss, number FROM scored WHERE number = %(after)s))
"""
_END_BEST = """
    ORDER BY is_infeasible, loss, number
    LIMIT %(limit)s
)
"""

# One page of the complete trials of a study with one objective. Optuna has no index by value, and
# one of ours would cost every tell: all of them are compared, and only the page is read.
LIST_BEST: LiteralString = (
    SCORE_TRIALS
    + _BEGIN_BEST
    + _END_BEST
    + _SELECT
    + """
JOIN page USING (trial_id)
ORDER BY page.is_infeasible, page.loss, own.number
"""
)
LIST_NUMBERED_BEST: LiteralString = (
    SCORE_TRIALS
    + _BEGIN_BEST
    + """
      AND number IN (SELECT unnest(%(numbers)s::int[]))
"""
    + _END_BEST
    + _SELECT
    + """
JOIN page USING (trial_id)
ORDER BY page.is_infeasible, page.loss, own.number
"""
)


class TrialOrder(StrEnum):
    """Which trials come first; the best ones are feasible."""

    OLDEST = "oldest"
    NEWEST = "newest"
    BEST = "best"


_QUERIES = {
    TrialOrder.OLDEST: LIST_OLDEST,
    TrialOrder.NEWEST: LIST_NEWEST,
    TrialOrder.BEST: LIST_BEST,
}
_NUMBERED_QUERIES = {
    TrialOrder.OLDEST: LIST_NUMBERED_OLDEST,
    TrialOrder.NEWEST: LIST_NUMBERED_NEWEST,
    TrialOrder.BEST: LIST_NUMBERED_BEST,
}


@dataclass(frozen=True, slots=True)
class LatestAttempt:
    """The last attempt of a trial that a worker was given, and the sweep that it belongs to."""

    sweep_id: str
    attempt: StoredAttempt


@dataclass(frozen=True, slots=True)
class ListedTrial:
    """A trial, with what was asked for besides.

    Attributes:
        last_step: The largest one reported.
    """

    trial: TrialView
    last_step: int | None
    latest_attempt: LatestAttempt | None


async def list_trials(
    reads: Reads,
    study: StudySummary,
    *,
    order: TrialOrder,
    states: Collection[TrialState] | None,
    limit: int,
    after: int | None,
    fields: Collection[str],
    numbers: Collection[int] | None = None,
) -> list[ListedTrial]:
    """At most `limit` trials in any of `states`, in that order, in one statement.

    Args:
        order: The best ones are complete, whatever `states` are; only with one objective.
        after: The number of the trial after which the page goes on.
        fields: As in `Reads.list_trials`; also `last_step` and `latest_attempt`.
        numbers: Of the only trials that are wanted; None: all.

    Raises:
        DatabaseUnavailable: No connection can be had, or it breaks.
    """
    rows = await reads.fetch_texts(
        (_QUERIES if numbers is None else _NUMBERED_QUERIES)[order],
        {
            "study_id": study.study_id,
            "sign": choose_sign(study.objectives),
            "fields": list(fields),
            "after": after,
            "states": [state.value for state in (TrialState if states is None else states)],
            "limit": limit,
            "numbers": None if numbers is None else list(numbers),
        },
    )
    return await build_page(rows, _build_listed)


def _build_listed(rows: Sequence[DictRow]) -> list[ListedTrial]:
    return [
        ListedTrial(trial, row["last_step"], _build_latest_attempt(row))
        for trial, row in zip(build_trials(rows), rows, strict=True)
    ]


def _build_latest_attempt(row: DictRow) -> LatestAttempt | None:
    if row["latest_attempt"] is None:
        return None
    columns = json.loads(row["latest_attempt"])
    times = {name: _read_time(columns[name]) for name in ("claimed_at", "started_at", "ended_at")}
    return LatestAttempt(row["sweep_id"], build_attempt(columns | times))


def _read_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
