"""What charts of a study show: values of trials by number, and learning curves."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg.rows import DictRow

from service.domain.studies import StudySummary, TrialCounts
from service.domain.trials import TrialState
from service.storage.encoding import decode_float, decode_time
from service.storage.json_texts import parse_row
from service.storage.reads import Reads
from service.storage.results import SCORE_TRIALS, choose_sign

_SELECT_HISTORY = """
, compared AS (
    SELECT number, loss, min(loss) OVER (
               ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS least_before
    FROM scored WHERE NOT is_infeasible
), improved AS (
    SELECT number, row_number() OVER (ORDER BY number DESC) - 1 AS place, count(*) OVER () AS amount
    FROM compared WHERE least_before IS NULL OR loss < least_before
), shown AS (
    SELECT number FROM improved WHERE place %% ((amount - 1) / %(points)s + 1) = 0
)
SELECT finished.number, state::text AS state, datetime_complete,
       shown.number IS NOT NULL AS is_improvement,
       (SELECT count(*) FROM finished) AS finished_count,
       (SELECT json_agg(json_build_array(value_type::text, value) ORDER BY objective)
        FROM public.trial_values WHERE trial_id = finished.trial_id) AS objective_values
FROM finished LEFT JOIN shown USING (number)
WHERE number * %(points)s::bigint %% %(span)s < %(points)s
   OR shown.number IS NOT NULL
   OR number = (SELECT max(number) FROM finished)
ORDER BY number
"""

# Values of finished trials by number, and which are better than all before.
READ_HISTORY: LiteralString = SCORE_TRIALS + _SELECT_HISTORY

_PARTS_OF_OCTAVE = 8

# Reports of the newest trials that have any, or of one trial. Of a long curve single points are
# looked up, so that its price does not grow with it.
LIST_CURVES = """
SELECT newest.number, newest.state,
       CASE WHEN (SELECT count(*)
                  FROM (SELECT FROM public.trial_intermediate_values
                        WHERE trial_id = newest.trial_id LIMIT %(points)s + 1) AS first_ones
                 ) <= %(points)s THEN
           (SELECT json_agg(json_build_array(step, intermediate_value_type::text,
                                             intermediate_value) ORDER BY step)
            FROM public.trial_intermediate_values WHERE trial_id = newest.trial_id)
       ELSE
           (SELECT json_agg(json_build_array(step, kind, value) ORDER BY step)
            FROM (SELECT DISTINCT near.step, near.kind, near.value
                  FROM generate_series(0, %(points)s - 1) AS place
                  CROSS JOIN LATERAL (
                      SELECT step, intermediate_value_type::text AS kind,
                             intermediate_value AS value
                      FROM public.trial_intermediate_values
                      WHERE trial_id = newest.trial_id
                        AND step >= first_step
                                    + place * (last_step - first_step)::bigint / (%(points)s - 1)
                      ORDER BY step LIMIT 1) AS near) AS point)
       END AS points
FROM (SELECT own.trial_id, own.number, trial.state::text AS state,
             (SELECT min(step) FROM public.trial_intermediate_values
              WHERE trial_id = own.trial_id) AS first_step,
             (SELECT max(step) FROM public.trial_intermediate_values
              WHERE trial_id = own.trial_id) AS last_step
      FROM asktell.trials AS own JOIN public.trials AS trial USING (trial_id)
      WHERE own.study_id = %(study_id)s
        AND own.number BETWEEN coalesce(%(number)s::int, 0)
                           AND coalesce(%(number)s::int, 2147483647)
        AND EXISTS (SELECT FROM public.trial_intermediate_values AS point
                    WHERE point.trial_id = own.trial_id)
      ORDER BY own.number DESC LIMIT %(trials)s) AS newest
ORDER BY newest.number DESC
"""


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """How a trial ended.

    Attributes:
        values: One per objective; None if it has none.
    """

    number: int
    state: TrialState
    values: tuple[float, ...] | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class History:
    """How finished trials of a study ended, by number.

    Attributes:
        best: Those that were better than every one before; none with several objectives.
        finished_count: How many trials are finished, shown or not.
    """

    points: Sequence[HistoryPoint]
    best: Sequence[HistoryPoint]
    finished_count: int


@dataclass(frozen=True, slots=True)
class Curve:
    """Reports of a trial, as (step, value) by step."""

    number: int
    state: TrialState
    points: Sequence[tuple[int, float]]


async def read_history(reads: Reads, study: StudySummary, *, points: int) -> History:
    """How finished trials ended: all of them, or about `points` spread evenly over the numbers.

    The newest one and the improvements are always among them; of more than `points` improvements
    some, the last one included. Only complete, feasible trials improve.

    Raises:
        DatabaseUnavailable: No connection can be had, or it breaks.
    """
    wanted = {
        "study_id": study.study_id,
        "sign": choose_sign(study.objectives),
        "span": choose_span(study.counts, points),
        "points": points,
    }
    rows = await reads.fetch_texts(READ_HISTORY, wanted)
    return await asyncio.to_thread(_build_history, rows)


async def list_curves(
    reads: Reads, study_id: int, *, trials: int, points: int, number: int | None = None
) -> list[Curve]:
    """Learning curves of the newest `trials` that have reports, running ones included.

    Of each all reports, or `points` at most, spread evenly over its steps from first to last.

    Args:
        number: Of the only trial that is wanted.

    Raises:
        DatabaseUnavailable: No connection can be had, or it breaks.
    """
    rows = await reads.fetch_texts(
        LIST_CURVES, {"study_id": study_id, "trials": trials, "points": points, "number": number}
    )
    return await asyncio.to_thread(_build_curves, rows)


def choose_span(counts: TrialCounts, points: int) -> int:
    """Of how many numbers `points` are shown, so that about as many finished trials are.

    Rounded up by at most an eighth, so that a chart of a growing study keeps its points for long.
    """
    finished = counts.complete + counts.pruned + counts.fail
    if finished <= points:
        return points
    octave = points << (((finished - 1) // points).bit_length() - 1)
    part = -(-octave // _PARTS_OF_OCTAVE)
    return finished + (octave - finished) % part


def _build_history(rows: Sequence[DictRow]) -> History:
    points = [_build_history_point(parse_row(row)) for row in rows]
    best = [point for point, row in zip(points, rows, strict=True) if row["is_improvement"]]
    return History(points, best, rows[0]["finished_count"] if rows else 0)


def _build_history_point(row: DictRow) -> HistoryPoint:
    values: list[tuple[str, float | None]] | None = row["objective_values"]
    return HistoryPoint(
        number=row["number"],
        state=TrialState(row["state"]),
        values=tuple(decode_float(value, kind) for kind, value in values) if values else None,
        ended_at=decode_time(row["datetime_complete"]),
    )


def _build_curves(rows: Sequence[DictRow]) -> list[Curve]:
    return [
        Curve(
            number=row["number"],
            state=TrialState(row["state"]),
            points=[(step, decode_float(value, kind)) for step, kind, value in row["points"]],
        )
        for row in map(parse_row, rows)
    ]
