"""Writes what happened to studies into Optuna's tables and ours, with a few array statements.

All functions run inside a transaction that the caller opens and ends. Optuna's rows are those
that `optuna.storages.RDBStorage` of Optuna 5 would write.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from psycopg import AsyncConnection, AsyncCursor

from service.domain.errors import StudyReloading
from service.storage.encoding import encode_time
from service.storage.journal import Launch, StudyWrite, TrialRecord
from service.storage.rows import OptunaRows, fold
from service.storage.specs import settings_to_document

# One row per trial that was created, in number order so that trial ids rise with numbers.
_INSERT_TRIALS = """
INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete)
SELECT u.trial_id, u.number, u.study_id, u.state::trialstate, u.started, u.completed
FROM unnest(%s::int[], %s::int[], %s::int[], %s::text[], %s::timestamp[], %s::timestamp[])
     AS u (trial_id, number, study_id, state, started, completed)
"""

# A state changes only from the state the engine saw.
_UPDATE_STATES = """
UPDATE trials t
SET state = u.state::trialstate,
    datetime_start = coalesce(u.started, t.datetime_start),
    datetime_complete = coalesce(u.completed, t.datetime_complete)
FROM unnest(%s::int[], %s::text[], %s::text[], %s::timestamp[], %s::timestamp[])
     AS u (trial_id, expected, state, started, completed)
WHERE t.trial_id = u.trial_id AND t.state = u.expected::trialstate
"""

# A parameter is chosen once: a second choice is an error, not an overwrite.
_INSERT_PARAMS = """
INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
SELECT * FROM unnest(%s::int[], %s::text[], %s::float8[], %s::text[])
"""

_UPSERT_VALUES = """
INSERT INTO trial_values (trial_id, objective, value, value_type)
SELECT u.trial_id, u.objective, u.value, u.value_type::trialvaluetype
FROM unnest(%s::int[], %s::int[], %s::float8[], %s::text[])
     AS u (trial_id, objective, value, value_type)
ON CONFLICT (trial_id, objective)
DO UPDATE SET value = excluded.value, value_type = excluded.value_type
"""

_UPSERT_INTERMEDIATE_VALUES = """
INSERT INTO trial_intermediate_values
    (trial_id, step, intermediate_value, intermediate_value_type)
SELECT u.trial_id, u.step, u.value, u.value_type::trialintermediatevaluetype
FROM unnest(%s::int[], %s::int[], %s::float8[], %s::text[])
     AS u (trial_id, step, value, value_type)
ON CONFLICT (trial_id, step)
DO UPDATE SET intermediate_value = excluded.intermediate_value,
              intermediate_value_type = excluded.intermediate_value_type
"""

_UPSERT_TRIAL_USER_ATTRS = """
INSERT INTO trial_user_attributes (trial_id, key, value_json)
SELECT * FROM unnest(%s::int[], %s::text[], %s::text[])
ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json
"""

_UPSERT_TRIAL_SYSTEM_ATTRS = """
INSERT INTO trial_system_attributes (trial_id, key, value_json)
SELECT * FROM unnest(%s::int[], %s::text[], %s::text[])
ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json
"""

_UPSERT_STUDY_USER_ATTRS = """
INSERT INTO study_user_attributes (study_id, key, value_json)
SELECT * FROM unnest(%s::int[], %s::text[], %s::text[])
ON CONFLICT (study_id, key) DO UPDATE SET value_json = excluded.value_json
"""

_UPSERT_STUDY_SYSTEM_ATTRS = """
INSERT INTO study_system_attributes (study_id, key, value_json)
SELECT * FROM unnest(%s::int[], %s::text[], %s::text[])
ON CONFLICT (study_id, key) DO UPDATE SET value_json = excluded.value_json
"""

# A further attempt of a trial finds nothing that pruners would hold against it.
_DELETE_REPORTS = """
DELETE FROM trial_intermediate_values WHERE trial_id = ANY (%s::int[])
"""

_DELETE_RUNGS = """
DELETE FROM trial_system_attributes
WHERE trial_id = ANY (%s::int[]) AND starts_with(key, 'completed_rung_')
"""

_UPSERT_RECORDS = """
INSERT INTO asktell.trials
    (trial_id, study_id, number, attempt, phase, ask_seq, tell_seq, enqueue_seq, client_id,
     lease_seconds, lease_expires_at, decision_step, should_prune, reason)
SELECT * FROM unnest(%s::int[], %s::int[], %s::int[], %s::int[], %s::text[], %s::bigint[],
                     %s::bigint[], %s::bigint[], %s::text[], %s::float8[], %s::timestamptz[],
                     %s::int[], %s::bool[], %s::text[])
ON CONFLICT (trial_id)
DO UPDATE SET attempt = excluded.attempt, phase = excluded.phase, ask_seq = excluded.ask_seq,
              tell_seq = excluded.tell_seq, client_id = excluded.client_id,
              lease_seconds = excluded.lease_seconds,
              lease_expires_at = excluded.lease_expires_at,
              decision_step = excluded.decision_step, should_prune = excluded.should_prune,
              reason = excluded.reason
"""

_UPSERT_LAUNCHES = """
INSERT INTO asktell.attempts
    (study_id, number, attempt, state, claim, worker_id, worker_name, host, external_ref, stop,
     claimed_at, started_at, ended_at, exit_code, signal, reason)
SELECT * FROM unnest(%s::int[], %s::int[], %s::int[], %s::text[], %s::int[], %s::text[],
                     %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[],
                     %s::timestamptz[], %s::timestamptz[], %s::int[], %s::int[], %s::text[])
ON CONFLICT (study_id, number, attempt)
DO UPDATE SET state = excluded.state, claim = excluded.claim, worker_id = excluded.worker_id,
              worker_name = excluded.worker_name, host = excluded.host,
              external_ref = excluded.external_ref, stop = excluded.stop,
              started_at = excluded.started_at, ended_at = excluded.ended_at,
              exit_code = excluded.exit_code, signal = excluded.signal, reason = excluded.reason
"""

# What a trial's own code declared, and when: needed to draw it again in the same order.
_INSERT_SUGGESTIONS = """
INSERT INTO asktell.suggestions (trial_id, seq, names)
SELECT u.trial_id, u.seq, ARRAY(SELECT json_array_elements_text(u.names::json))
FROM unnest(%s::int[], %s::bigint[], %s::text[]) AS u (trial_id, seq, names)
"""

_UPDATE_SETTINGS = """
UPDATE asktell.studies s SET settings = u.settings::json
FROM unnest(%s::int[], %s::text[]) AS u (study_id, settings)
WHERE s.study_id = u.study_id
"""

# A key that is there already has outlived its time: the engine knows all others.
_UPSERT_REPLIES = """
INSERT INTO asktell.idempotency_keys (study_id, operation, key, body_digest, answer, created_at)
SELECT u.study_id, u.operation, u.key, u.body_digest, u.answer::json, u.created_at
FROM unnest(%s::int[], %s::text[], %s::text[], %s::bytea[], %s::text[], %s::timestamptz[])
     AS u (study_id, operation, key, body_digest, answer, created_at)
ON CONFLICT (study_id, operation, key)
DO UPDATE SET body_digest = excluded.body_digest, answer = excluded.answer,
              created_at = excluded.created_at
"""

# The summary row; its revision is also the fence against a second owner of the study. A sweep
# waits from when it last got a trial started, or began to want one.
_UPDATE_PROGRESS = """
UPDATE asktell.studies s
SET revision = u.revision, last_seq = u.last_seq, state = u.state,
    is_paused = u.is_paused, stop_reason = u.stop_reason, started = u.started,
    wake_at = u.wake_at, waiting = u.waiting, running = u.running, complete = u.complete,
    pruned = u.pruned, fail = u.fail,
    best_number = u.best_number, best_value = u.best_value, wanted = u.wanted,
    waiting_since = CASE
        WHEN u.wanted = 0 THEN NULL
        WHEN u.wanted = s.wanted AND u.started = s.started
            THEN coalesce(s.waiting_since, clock_timestamp())
        ELSE clock_timestamp() END,
    last_activity_at = clock_timestamp()
FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::bool[],
            %s::text[], %s::int[], %s::timestamptz[], %s::int[], %s::int[], %s::int[], %s::int[],
            %s::int[], %s::int[], %s::float8[], %s::int[])
     AS u (study_id, revision_before, revision, last_seq, state, is_paused, stop_reason, started,
           wake_at, waiting, running, complete, pruned, fail, best_number, best_value, wanted)
WHERE s.study_id = u.study_id AND s.revision = u.revision_before
"""


async def write(connection: AsyncConnection[Any], writes: Sequence[StudyWrite]) -> None:
    """Sends every row of `writes` in one pipeline.

    Args:
        connection: In autocommit mode with an open transaction.
        writes: At most one per study and operation, each study's in the order they happened.

    Raises:
        StudyReloading: A row was not in the state that the engine saw.
        psycopg.Error: The database refused a row, or the connection is gone.
    """
    merged = _merge_by_study(writes)
    rows = fold(merged)
    async with connection.pipeline():
        await _insert_trials(connection, rows)
        states = await _update_states(connection, rows)
        await _delete_restarted(connection, rows)
        await _write_contents(connection, rows)
        await _upsert_records(connection, merged)
        await _upsert_launches(connection, merged)
        await _insert_suggestions(connection, merged)
        await _update_settings(connection, merged)
        await _upsert_replies(connection, merged)
        progress = await _update_progress(connection, merged)
    _expect_rows(states, len(rows.transitions), "a trial was not in the expected state")
    _expect_rows(progress, len(merged), "the study was changed by another process")


def _merge_by_study(writes: Iterable[StudyWrite]) -> list[StudyWrite]:
    merged: dict[int, StudyWrite] = {}
    for write_ in writes:
        into = merged.get(write_.study_id)
        if into is None:
            into = merged[write_.study_id] = StudyWrite(
                write_.study_id, write_.revision_before, write_.progress
            )
        into.mutations.extend(write_.mutations)
        into.records.update(write_.records)
        into.launches.update(write_.launches)
        into.suggestions.extend(write_.suggestions)
        into.replies.extend(write_.replies)
        into.settings = write_.settings or into.settings
        into.progress = write_.progress
    return list(merged.values())


async def _insert_trials(connection: AsyncConnection[Any], rows: OptunaRows) -> None:
    await _execute(
        connection,
        _INSERT_TRIALS,
        [
            (
                trial_id,
                new.number,
                new.study_id,
                new.state,
                encode_time(new.started),
                encode_time(new.completed),
            )
            for trial_id, new in rows.trials.items()
        ],
    )


async def _update_states(
    connection: AsyncConnection[Any], rows: OptunaRows
) -> AsyncCursor[Any] | None:
    return await _execute(
        connection,
        _UPDATE_STATES,
        [
            (
                trial_id,
                change.expected,
                change.state,
                encode_time(change.started),
                encode_time(change.completed),
            )
            for trial_id, change in rows.transitions.items()
        ],
    )


async def _delete_restarted(connection: AsyncConnection[Any], rows: OptunaRows) -> None:
    if rows.restarted:
        for statement in (_DELETE_REPORTS, _DELETE_RUNGS):
            await connection.execute(statement, [list(rows.restarted)])


async def _write_contents(connection: AsyncConnection[Any], rows: OptunaRows) -> None:
    for statement, content in (
        (_INSERT_PARAMS, rows.params),
        (_UPSERT_VALUES, rows.values),
        (_UPSERT_INTERMEDIATE_VALUES, rows.intermediate_values),
        (_UPSERT_TRIAL_USER_ATTRS, rows.trial_user_attrs),
        (_UPSERT_TRIAL_SYSTEM_ATTRS, rows.trial_system_attrs),
        (_UPSERT_STUDY_USER_ATTRS, rows.study_user_attrs),
        (_UPSERT_STUDY_SYSTEM_ATTRS, rows.study_system_attrs),
    ):
        await _execute(connection, statement, [(*key, *rest) for key, rest in content.items()])


async def _upsert_records(connection: AsyncConnection[Any], merged: Sequence[StudyWrite]) -> None:
    await _execute(
        connection,
        _UPSERT_RECORDS,
        [
            (trial_id, write_.study_id, *_record_columns(record))
            for write_ in merged
            for trial_id, record in write_.records.items()
        ],
    )


def _record_columns(record: TrialRecord) -> tuple[Any, ...]:
    return (
        record.number,
        record.attempt,
        record.phase.value,
        record.ask_seq,
        record.tell_seq,
        record.enqueue_seq,
        record.client_id,
        record.lease_seconds,
        record.lease_expires_at,
        record.decision_step,
        record.should_prune,
        record.reason,
    )


async def _upsert_launches(connection: AsyncConnection[Any], merged: Sequence[StudyWrite]) -> None:
    await _execute(
        connection,
        _UPSERT_LAUNCHES,
        [
            (write_.study_id, *_launch_columns(launch))
            for write_ in merged
            for launch in write_.launches.values()
        ],
    )


def _launch_columns(launch: Launch) -> tuple[Any, ...]:
    return (
        launch.number,
        launch.attempt,
        launch.state.value,
        launch.claim,
        launch.worker_id,
        launch.worker_name,
        launch.host,
        launch.external_ref,
        launch.stop,
        launch.claimed_at,
        launch.started_at,
        launch.ended_at,
        launch.exit_code,
        launch.signal,
        launch.reason,
    )


async def _insert_suggestions(
    connection: AsyncConnection[Any], merged: Sequence[StudyWrite]
) -> None:
    await _execute(
        connection,
        _INSERT_SUGGESTIONS,
        [
            # As JSON, because Postgres unnests an array of arrays into single elements.
            (suggestion.trial_id, suggestion.seq, json.dumps(suggestion.names))
            for write_ in merged
            for suggestion in write_.suggestions
        ],
    )


async def _update_settings(connection: AsyncConnection[Any], merged: Sequence[StudyWrite]) -> None:
    await _execute(
        connection,
        _UPDATE_SETTINGS,
        [
            (write_.study_id, json.dumps(settings_to_document(write_.settings), allow_nan=False))
            for write_ in merged
            if write_.settings is not None
        ],
    )


async def _upsert_replies(connection: AsyncConnection[Any], merged: Sequence[StudyWrite]) -> None:
    await _execute(
        connection,
        _UPSERT_REPLIES,
        [
            (
                write_.study_id,
                reply.operation,
                reply.key,
                reply.body_digest,
                json.dumps(reply.answer, allow_nan=False),
                reply.created_at,
            )
            for write_ in merged
            for reply in write_.replies
        ],
    )


async def _update_progress(
    connection: AsyncConnection[Any], merged: Sequence[StudyWrite]
) -> AsyncCursor[Any] | None:
    return await _execute(connection, _UPDATE_PROGRESS, [_progress_columns(w) for w in merged])


def _progress_columns(write_: StudyWrite) -> tuple[Any, ...]:
    progress = write_.progress
    counts = progress.counts
    return (
        write_.study_id,
        write_.revision_before,
        progress.revision,
        progress.last_seq,
        progress.state.value,
        progress.is_paused,
        progress.stop_reason,
        progress.started,
        progress.wake_at,
        counts.waiting,
        counts.running,
        counts.complete,
        counts.pruned,
        counts.fail,
        progress.best_number,
        progress.best_value,
        progress.wanted,
    )


async def _execute(
    connection: AsyncConnection[Any], statement: str, rows: Sequence[tuple[Any, ...]]
) -> AsyncCursor[Any] | None:
    """Runs a statement whose parameters are the columns of `rows`, as arrays; none for none."""
    if not rows:
        return None
    columns = [list(column) for column in zip(*rows, strict=True)]
    return await connection.execute(statement, columns)


def _expect_rows(cursor: AsyncCursor[Any] | None, expected: int, otherwise: str) -> None:
    found = cursor.rowcount if cursor is not None else 0
    if found != expected:
        raise StudyReloading(f"Nothing was written, because {otherwise}. Try again shortly.")
