"""The trials that a new study has waiting, written in the transaction that makes it."""

from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial
from psycopg import AsyncConnection

from service.domain.studies import StudyState, TrialCounts
from service.domain.trials import AttemptPhase
from service.storage.journal import StudyProgress, StudyWrite, TrialCreated, TrialRecord
from service.storage.writer import write

# In the order of the trials' numbers.
NEXT_TRIAL_IDS = """
SELECT nextval(pg_get_serial_sequence('trials', 'trial_id'))::int
FROM generate_series(1, %s)
"""


async def insert_waiting(
    connection: AsyncConnection[Any], study_id: int, trials: Sequence[FrozenTrial]
) -> None:
    """Writes the first trials of a study, as enqueueing them one by one would have.

    Args:
        connection: As for `write`.
        trials: Templates in the order in which they are to be tried; they get ids and numbers.
    """
    if not trials:
        return
    cursor = await connection.execute(NEXT_TRIAL_IDS, (len(trials),))
    ids = [row[0] for row in await cursor.fetchall()]
    for number, (trial_id, trial) in enumerate(zip(ids, trials, strict=True)):
        trial._trial_id, trial.number = trial_id, number
    await write(connection, [_build_write(study_id, trials)])


def _build_write(study_id: int, trials: Sequence[FrozenTrial]) -> StudyWrite:
    return StudyWrite(
        study_id,
        revision_before=0,
        progress=_build_progress(len(trials)),
        mutations=[TrialCreated(trial) for trial in trials],
        records={trial._trial_id: _build_record(trial.number) for trial in trials},
    )


def _build_record(number: int) -> TrialRecord:
    return TrialRecord(
        number, attempt=0, phase=AttemptPhase.QUEUED, ask_seq=None, enqueue_seq=number + 1
    )


def _build_progress(count: int) -> StudyProgress:
    return StudyProgress(
        revision=1,
        last_seq=count,
        state=StudyState.ACTIVE,
        is_paused=False,
        stop_reason=None,
        started=0,
        wake_at=None,
        counts=TrialCounts(waiting=count),
        best_number=None,
        best_value=None,
    )
