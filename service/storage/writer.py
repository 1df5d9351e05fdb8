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
from service.storage.write_statements import (
    DELETE_REPORTS,
    DELETE_RUNGS,
    INSERT_PARAMS,
    INSERT_SUGGESTIONS,
    INSERT_TRIALS,
    UPDATE_PROGRESS,
    UPDATE_SETTINGS,
    UPDATE_STATES,
    UPSERT_INTERMEDIATE_VALUES,
    UPSERT_LAUNCHES,
    UPSERT_RECORDS,
    UPSERT_REPLIES,
    UPSERT_STUDY_SYSTEM_ATTRS,
    UPSERT_STUDY_USER_ATTRS,
    UPSERT_TRIAL_SYSTEM_ATTRS,
    UPSERT_TRIAL_USER_ATTRS,
    UPSERT_VALUES,
)


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
        INSERT_TRIALS,
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
        UPDATE_STATES,
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
        for statement in (DELETE_REPORTS, DELETE_RUNGS):
            await connection.execute(statement, [list(rows.restarted)])


async def _write_contents(connection: AsyncConnection[Any], rows: OptunaRows) -> None:
    for statement, content in (
        (INSERT_PARAMS, rows.params),
        (UPSERT_VALUES, rows.values),
        (UPSERT_INTERMEDIATE_VALUES, rows.intermediate_values),
        (UPSERT_TRIAL_USER_ATTRS, rows.trial_user_attrs),
        (UPSERT_TRIAL_SYSTEM_ATTRS, rows.trial_system_attrs),
        (UPSERT_STUDY_USER_ATTRS, rows.study_user_attrs),
        (UPSERT_STUDY_SYSTEM_ATTRS, rows.study_system_attrs),
    ):
        await _execute(connection, statement, [(*key, *rest) for key, rest in content.items()])


async def _upsert_records(connection: AsyncConnection[Any], merged: Sequence[StudyWrite]) -> None:
    await _execute(
        connection,
        UPSERT_RECORDS,
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
        UPSERT_LAUNCHES,
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
        launch.url,
        launch.note,
    )


async def _insert_suggestions(
    connection: AsyncConnection[Any], merged: Sequence[StudyWrite]
) -> None:
    await _execute(
        connection,
        INSERT_SUGGESTIONS,
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
        UPDATE_SETTINGS,
        [
            (write_.study_id, json.dumps(settings_to_document(write_.settings), allow_nan=False))
            for write_ in merged
            if write_.settings is not None
        ],
    )


async def _upsert_replies(connection: AsyncConnection[Any], merged: Sequence[StudyWrite]) -> None:
    await _execute(
        connection,
        UPSERT_REPLIES,
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
    return await _execute(connection, UPDATE_PROGRESS, [_progress_columns(w) for w in merged])


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
