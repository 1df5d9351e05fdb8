"""Trials as rows: what is read of them, and what becomes of it."""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, LiteralString, TypeVar

from psycopg.rows import DictRow

from service.domain.trials import AttemptPhase, Decision, TrialState, TrialView
from service.search_space import Reading, parse_readings, resolve_params
from service.search_space.variants import find_declared_name
from service.storage.encoding import decode_distribution, decode_float, decode_time
from service.storage.json_texts import parse_row
from service.storage.results import build_constraints

# What there is of a trial. What is not wanted is not looked up: a CASE runs its branch only.
SELECT_TRIALS = """
SELECT own.number, trial.state::text AS state, trial.datetime_start, trial.datetime_complete,
       own.attempt, own.phase, own.ask_seq, own.tell_seq, own.decision_step, own.should_prune,
       own.lease_expires_at, own.reason,
       CASE WHEN 'constraints' = ANY (%(fields)s::text[]) THEN
           (SELECT json_agg(json_build_array(key, value_json) ORDER BY trial_system_attribute_id)
            FROM public.trial_system_attributes
            WHERE trial_id = own.trial_id
              AND (key = 'constraints' OR starts_with(key, 'constraints:'))) END AS constraints,
       (SELECT value_json FROM public.study_system_attributes
        WHERE study_id = %(study_id)s AND key = 'asktell:constraint_names') AS constraint_names,
       CASE WHEN 'params' = ANY (%(fields)s::text[]) THEN
           (SELECT json_agg(json_build_array(param_name, param_value, distribution_json)
                            ORDER BY param_id)
            FROM public.trial_params WHERE trial_id = own.trial_id) END AS params,
       CASE WHEN 'params' = ANY (%(fields)s::text[]) THEN
           (SELECT spec -> 'readings' FROM asktell.studies
            WHERE study_id = %(study_id)s) END AS readings,
       CASE WHEN 'params' = ANY (%(fields)s::text[]) THEN
           (SELECT (spec -> 'user_code') IS NOT NULL FROM asktell.studies
            WHERE study_id = %(study_id)s) END AS has_user_code,
       CASE WHEN 'params' = ANY (%(fields)s::text[])
                 AND (SELECT (spec -> 'user_code') IS NOT NULL FROM asktell.studies
                      WHERE study_id = %(study_id)s) THEN
           (SELECT value_json::json FROM public.trial_system_attributes
            WHERE trial_id = own.trial_id AND key = 'asktell:config') END AS config,
       CASE WHEN 'values' = ANY (%(fields)s::text[]) THEN
           (SELECT json_agg(json_build_array(value_type::text, value) ORDER BY objective)
            FROM public.trial_values WHERE trial_id = own.trial_id) END AS objective_values,
       CASE WHEN 'intermediate_values' = ANY (%(fields)s::text[]) THEN
           (SELECT json_agg(json_build_array(step, intermediate_value_type::text,
                                             intermediate_value) ORDER BY step)
            FROM public.trial_intermediate_values WHERE trial_id = own.trial_id) END AS points,
       CASE WHEN 'user_attrs' = ANY (%(fields)s::text[]) THEN
           (SELECT json_agg(json_build_array(key, value_json) ORDER BY trial_user_attribute_id)
            FROM public.trial_user_attributes WHERE trial_id = own.trial_id) END AS user_attrs
"""

FROM_TRIALS = """
FROM asktell.trials AS own
JOIN public.trials AS trial USING (trial_id)
"""

# One page of a study's trials. Optuna's tables have no index by number, ours has; the rest is
# looked up per trial by the unique indexes that Optuna makes.
LIST_TRIALS: LiteralString = (
    SELECT_TRIALS
    + FROM_TRIALS
    + """
WHERE own.study_id = %(study_id)s
  AND own.number > %(after)s
  AND trial.state = ANY (%(states)s::public.trialstate[])
ORDER BY own.number
LIMIT %(limit)s
"""
)

# Some trials of a study, whichever they are.
LIST_NUMBERED_TRIALS: LiteralString = (
    SELECT_TRIALS
    + FROM_TRIALS
    + """
WHERE own.study_id = %(study_id)s AND own.number = ANY (%(numbers)s::int[])
ORDER BY own.number
"""
)

_LONG_COLUMNS = ("points", "params", "user_attrs")
_BYTES_OF_EACH = 500
_QUICKLY_BUILT_BYTES = 50_000

_Built = TypeVar("_Built")


async def build_page(
    rows: Sequence[DictRow], build: Callable[[Sequence[DictRow]], list[_Built]]
) -> list[_Built]:
    """What `build` makes of rows as they came; off the event loop if there is much in them."""
    if sum(map(_count_bytes, rows)) < _QUICKLY_BUILT_BYTES:
        return build(rows)
    return await asyncio.to_thread(build, rows)


def build_trials(rows: Sequence[DictRow]) -> list[TrialView]:
    """Builds the trials of one study, of rows as they came."""
    readings = _build_readings(rows)
    return [_build_trial(parse_row({**row, "readings": readings})) for row in rows]


def _count_bytes(row: DictRow) -> int:
    return _BYTES_OF_EACH + sum(len(row[column] or b"") for column in _LONG_COLUMNS)


def _build_readings(rows: Sequence[DictRow]) -> dict[str, Reading]:
    """What all rows have in common, for they are of one study."""
    document = rows[0]["readings"] if rows else None
    return {} if document is None else parse_readings(json.loads(document))


def _build_trial(row: DictRow) -> TrialView:
    return TrialView(
        number=row["number"],
        state=TrialState(row["state"]),
        params=_build_params(row),
        values=_build_values(row["objective_values"]),
        intermediate_values={
            step: decode_float(value, kind) for step, kind, value in row["points"] or ()
        },
        user_attrs=build_attrs(row["user_attrs"]),
        constraints=_name_constraints(row["constraints"], row["constraint_names"]),
        attempt=row["attempt"],
        phase=AttemptPhase(row["phase"]),
        decision=Decision(
            should_prune=row["should_prune"],
            step=row["decision_step"],
            lease_expires_at=_to_utc(row["lease_expires_at"]),
        ),
        reason=row["reason"],
        ask_seq=row["ask_seq"],
        tell_seq=row["tell_seq"],
        started_at=decode_time(row["datetime_start"]),
        finished_at=decode_time(row["datetime_complete"]),
    )


def _build_params(row: DictRow) -> dict[str, Any]:
    if row["config"] is not None:
        return dict(row["config"])
    stored = {
        name: decode_distribution(text).to_external_repr(float(value))
        for name, value, text in row["params"] or ()
    }
    if row["has_user_code"]:
        stored = {find_declared_name(name): value for name, value in stored.items()}
    return resolve_params(stored, row["readings"])


def build_attrs(rows: list[tuple[str, str]] | None) -> dict[str, Any]:
    """User attributes of a study or a trial."""
    return {key: json.loads(text) for key, text in rows or ()}


def _name_constraints(
    rows: Iterable[tuple[str, str]] | None, names: str | None
) -> dict[str, float] | None:
    """The study's own names are those of the list; plain Optuna may know others beside it."""
    constraints = build_constraints(rows or ())
    if not constraints:
        return None
    listed = {str(place): name for place, name in enumerate(json.loads(names or "[]"))}
    return {listed.get(key, key): value for key, value in constraints.items()}


def _to_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


def _build_values(rows: list[tuple[str, float | None]] | None) -> tuple[float, ...] | None:
    return None if not rows else tuple(decode_float(value, kind) for kind, value in rows)
