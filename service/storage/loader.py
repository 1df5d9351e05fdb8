"""Reads one managed study whole, as the engine needs it to go on from where it was left."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
from optuna.trial import FrozenTrial, TrialState
from psycopg.rows import dict_row

from service.domain.attempts import AttemptState, StopCause
from service.domain.studies import StopReason, StudySettings, StudySpec
from service.domain.sweeps import LaunchSpec, Sweep
from service.domain.trials import AttemptPhase
from service.storage.database import Database
from service.storage.encoding import decode_distribution, decode_float, decode_local_time
from service.storage.journal import REPLY_LIFETIME, Launch, StoredReply, TrialRecord
from service.storage.specs import settings_from_document, spec_from_document

_Row = tuple[Any, ...]

_SELECT_STUDY = """
SELECT spec, settings, is_paused, stop_reason, last_seq, revision
FROM asktell.studies WHERE study_id = %s
"""

# Attributes in the order in which they were first set, which the table forgets at an update.
_SELECT_STUDY_USER_ATTRS = """
SELECT key, value_json FROM study_user_attributes WHERE study_id = %s
ORDER BY study_user_attribute_id
"""

_SELECT_STUDY_SYSTEM_ATTRS = """
SELECT key, value_json FROM study_system_attributes WHERE study_id = %s
ORDER BY study_system_attribute_id
"""

_SELECT_TRIALS = """
SELECT trial_id, number, state::text, datetime_start, datetime_complete
FROM trials WHERE study_id = %s ORDER BY number
"""

# Parameters in the order in which they were suggested.
_SELECT_PARAMS = """
SELECT p.trial_id, p.param_name, p.param_value, p.distribution_json
FROM trial_params p JOIN trials t USING (trial_id)
WHERE t.study_id = %s ORDER BY p.param_id
"""

_SELECT_VALUES = """
SELECT v.trial_id, v.value, v.value_type::text
FROM trial_values v JOIN trials t USING (trial_id)
WHERE t.study_id = %s ORDER BY v.trial_id, v.objective
"""

_SELECT_INTERMEDIATE_VALUES = """
SELECT v.trial_id, v.step, v.intermediate_value, v.intermediate_value_type::text
FROM trial_intermediate_values v JOIN trials t USING (trial_id)
WHERE t.study_id = %s ORDER BY v.trial_intermediate_value_id
"""

_SELECT_TRIAL_USER_ATTRS = """
SELECT a.trial_id, a.key, a.value_json
FROM trial_user_attributes a JOIN trials t USING (trial_id)
WHERE t.study_id = %s ORDER BY a.trial_user_attribute_id
"""

_SELECT_TRIAL_SYSTEM_ATTRS = """
SELECT a.trial_id, a.key, a.value_json
FROM trial_system_attributes a JOIN trials t USING (trial_id)
WHERE t.study_id = %s ORDER BY a.trial_system_attribute_id
"""

_SELECT_RECORDS = """
SELECT number, attempt, phase, ask_seq, tell_seq, enqueue_seq, client_id, lease_seconds,
       lease_expires_at, decision_step, should_prune, reason
FROM asktell.trials WHERE study_id = %s ORDER BY number
"""

_SELECT_SWEEP = """
SELECT sweep_id, executor, arguments, queue FROM asktell.sweeps WHERE study_id = %s
"""

# What has ended is of no use to the engine.
_SELECT_LAUNCHES = """
SELECT number, attempt, state, claim, worker_id, worker_name, host, claimed_at, external_ref,
       url, note, stop, started_at
FROM asktell.attempts WHERE study_id = %s AND ended_at IS NULL
"""

# Keys that have outlived their time leave the table when their study is loaded.
_DELETE_OLD_REPLIES = """
DELETE FROM asktell.idempotency_keys
WHERE study_id = %s AND created_at < clock_timestamp() - %s::interval
"""

_SELECT_REPLIES = """
SELECT operation, key, body_digest, answer, created_at FROM asktell.idempotency_keys
WHERE study_id = %s ORDER BY created_at
"""


@dataclass(frozen=True, slots=True)
class LoadedStudy:
    """A study as of its last commit.

    Attributes:
        trials: By number, without gaps; naive local times as in Optuna.
        records: By trial number.
        sweep: None if trials are only handed to clients.
        launches: Attempts that workers are at.
    """

    study_id: int
    spec: StudySpec
    settings: StudySettings
    is_paused: bool
    stop_reason: StopReason | None
    last_seq: int
    revision: int
    user_attrs: Mapping[str, Any]
    system_attrs: Mapping[str, Any]
    trials: list[FrozenTrial]
    records: dict[int, TrialRecord]
    replies: list[StoredReply]
    sweep: Sweep | None
    launches: list[Launch]


def load_study(database: Database, study_id: int) -> LoadedStudy | None:
    """Reads a study in one snapshot; None if it is gone. Blocks: call it in a thread.

    Raises:
        psycopg.OperationalError: The database cannot be reached.
    """
    with psycopg.connect(database.conninfo) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute(_DELETE_OLD_REPLIES, (study_id, REPLY_LIFETIME))
        return read_study(connection, study_id)


def read_study(connection: psycopg.Connection[Any], study_id: int) -> LoadedStudy | None:
    """Reads a study through a connection whose transaction is one snapshot; None if it is gone."""
    row = connection.execute(_SELECT_STUDY, (study_id,)).fetchone()
    if row is None:
        return None
    spec, settings, is_paused, stop_reason, last_seq, revision = row
    return LoadedStudy(
        study_id=study_id,
        spec=spec_from_document(spec),
        settings=settings_from_document(settings),
        is_paused=is_paused,
        stop_reason=None if stop_reason is None else StopReason(stop_reason),
        last_seq=last_seq,
        revision=revision,
        user_attrs=_attrs(connection.execute(_SELECT_STUDY_USER_ATTRS, (study_id,))),
        system_attrs=_attrs(connection.execute(_SELECT_STUDY_SYSTEM_ATTRS, (study_id,))),
        trials=_load_trials(connection, study_id),
        records=_load_records(connection, study_id),
        replies=[StoredReply(*r) for r in connection.execute(_SELECT_REPLIES, (study_id,))],
        sweep=_load_sweep(connection, study_id),
        launches=_load_launches(connection, study_id),
    )


def _load_trials(connection: psycopg.Connection[Any], study_id: int) -> list[FrozenTrial]:
    rows = partial(_rows, connection, study_id)
    trials = {row[0]: _build_trial(*row) for row in rows(_SELECT_TRIALS)}
    _fill_params(trials, rows(_SELECT_PARAMS))
    _fill_values(trials, rows(_SELECT_VALUES))
    for trial_id, step, value, kind in rows(_SELECT_INTERMEDIATE_VALUES):
        trials[trial_id].intermediate_values[step] = decode_float(value, kind)
    for trial_id, key, value_json in rows(_SELECT_TRIAL_USER_ATTRS):
        trials[trial_id].user_attrs[key] = json.loads(value_json)
    for trial_id, key, value_json in rows(_SELECT_TRIAL_SYSTEM_ATTRS):
        trials[trial_id].system_attrs[key] = json.loads(value_json)
    return list(trials.values())


def _rows(connection: psycopg.Connection[Any], study_id: int, query: str) -> Iterable[_Row]:
    return connection.execute(query, (study_id,))


def _fill_params(trials: Mapping[int, FrozenTrial], rows: Iterable[_Row]) -> None:
    for trial_id, name, internal_value, distribution_json in rows:
        distribution = decode_distribution(distribution_json)
        trials[trial_id].params[name] = distribution.to_external_repr(internal_value)
        trials[trial_id].distributions[name] = distribution


def _fill_values(trials: Mapping[int, FrozenTrial], rows: Iterable[_Row]) -> None:
    values: defaultdict[int, list[float]] = defaultdict(list)
    for trial_id, value, kind in rows:
        values[trial_id].append(decode_float(value, kind))
    for trial_id, objectives in values.items():
        trials[trial_id].values = objectives


def _load_records(connection: psycopg.Connection[Any], study_id: int) -> dict[int, TrialRecord]:
    rows = connection.execute(_SELECT_RECORDS, (study_id,))
    return {
        number: TrialRecord(number, attempt, AttemptPhase(phase), *rest)
        for number, attempt, phase, *rest in rows
    }


def _load_sweep(connection: psycopg.Connection[Any], study_id: int) -> Sweep | None:
    row = connection.execute(_SELECT_SWEEP, (study_id,)).fetchone()
    return None if row is None else Sweep(row[0], LaunchSpec(*row[1:]))


def _load_launches(connection: psycopg.Connection[Any], study_id: int) -> list[Launch]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return [_build_launch(**row) for row in cursor.execute(_SELECT_LAUNCHES, (study_id,))]


def _build_launch(state: str, stop: str | None, **columns: Any) -> Launch:
    return Launch(
        state=AttemptState(state), stop=None if stop is None else StopCause(stop), **columns
    )


def _build_trial(
    trial_id: int, number: int, state: str, started: datetime | None, completed: datetime | None
) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        state=TrialState[state],
        value=None,
        datetime_start=decode_local_time(started),
        datetime_complete=decode_local_time(completed),
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
        trial_id=trial_id,
    )


def _attrs(rows: Iterable[_Row]) -> dict[str, Any]:
    return {key: json.loads(value_json) for key, value_json in rows}
