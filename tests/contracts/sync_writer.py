"""The service's asynchronous writing, for tests whose other half is Optuna's synchronous code."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from service.domain.studies import StudySettings, StudySpec, StudyState
from service.domain.trials import AttemptPhase
from service.engine.mirror import Mirror
from service.storage.database import Database
from service.storage.journal import Mutation, StudyProgress, StudyWrite, TrialCreated, TrialRecord
from service.storage.studies import StudyTable
from service.storage.writer import write

_NEXT_TRIAL_ID = "SELECT nextval(pg_get_serial_sequence('trials', 'trial_id'))::int"

_T = TypeVar("_T")


def build_write(mirror: Mirror, mutations: list[Mutation], revision_before: int) -> StudyWrite:
    """Builds what the engine's actor would, from a mirror that has seen the mutations."""
    best = None if mirror.best_number is None else mirror.find_trial(mirror.best_number)
    progress = StudyProgress(
        revision=revision_before + 1,
        last_seq=revision_before + 1,
        state=StudyState.ACTIVE,
        is_paused=False,
        stop_reason=None,
        started=mirror.counts.total,
        wake_at=None,
        counts=mirror.counts,
        best_number=mirror.best_number,
        best_value=best.values[0] if best and best.values else None,
    )
    records = {
        mutation.trial_id: TrialRecord(
            mutation.trial.number,
            attempt=1,
            phase=AttemptPhase.LIVE,
            ask_seq=progress.last_seq,
        )
        for mutation in mutations
        if isinstance(mutation, TrialCreated)
    }
    return StudyWrite(
        mirror.study_id, revision_before, progress, mutations=mutations, records=records
    )


class SyncWriter:
    """One connection to the database and the event loop it lives on, both opened on first use.

    For one thread at a time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._runner = asyncio.Runner()
        self._connection: AsyncConnection[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent; without effect on a writer that was never used."""
        if self._connection is not None:
            self._runner.run(self._connection.close())
            self._connection = None
        self._runner.close()

    def insert_study(self, spec: StudySpec) -> int | None:
        """Returns the new study's id; None if the name is taken."""
        return self._runner.run(
            self._with_study_table(lambda table: table.insert(spec, StudySettings()))
        )

    def delete_study(self, study_id: int) -> None:
        self._runner.run(self._with_study_table(lambda table: table.delete(study_id)))

    def next_trial_id(self) -> int:
        """Returns the next id of the sequence that plain Optuna's trials get theirs from, too."""
        (row,) = self.fetch(_NEXT_TRIAL_ID, ())
        return int(row[0])

    def write(self, writes: Sequence[StudyWrite]) -> None:
        """Commits all of `writes`, or nothing."""
        self._runner.run(self._write(writes))

    def fetch(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Runs a statement that returns rows."""
        return self._runner.run(self._fetch(statement, parameters))

    async def _with_study_table(self, work: Callable[[StudyTable], Awaitable[_T]]) -> _T:
        async with AsyncConnectionPool(
            self._database.conninfo, min_size=1, max_size=1, kwargs={"autocommit": True}
        ) as pool:
            return await work(StudyTable(pool))

    async def _write(self, writes: Sequence[StudyWrite]) -> None:
        connection = await self._connect()
        async with connection.transaction():
            await write(connection, writes)

    async def _fetch(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        connection = await self._connect()
        cursor = await connection.execute(statement, parameters)
        return await cursor.fetchall()

    async def _connect(self) -> AsyncConnection[Any]:
        if self._connection is None:
            self._connection = await AsyncConnection.connect(
                self._database.conninfo, autocommit=True
            )
        return self._connection
