"""Writes what all actors did, through one connection, many operations to a commit.

The connection is also what the process owns its studies by: it holds a session advisory lock for
each. Whoever loses the connection has lost the locks, and with them the right to answer. Hence
the rules: callers are answered only after COMMIT; a lost connection fails every study that was
owned through it, because the outcome of a COMMIT in flight is unknown.
"""

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from service.domain.errors import (
    AsktellError,
    DatabaseUnavailable,
    StudyOwnedElsewhere,
    StudyReloading,
    WriteFailed,
)
from service.metrics import count_refused_commit, observe_commit
from service.storage.database import Database
from service.storage.driver_errors import database_unavailable
from service.storage.journal import StudyWrite
from service.storage.writer import write

_log = structlog.get_logger(__name__)

# Two keys make Postgres's advisory locks a namespace of ours: this one, and the study's id.
_LOCK_NAMESPACE = 0x41534B54

_TRY_LOCK = "SELECT pg_try_advisory_lock(%s, %s)"
_UNLOCK = "SELECT pg_advisory_unlock(%s, %s)"

_IDLE_CHECK_SECONDS = 5.0
_DEADLINE_SECONDS = 40.0
_STABLE_SECONDS = 5.0
_RECONNECT_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)

# psycopg counts a statement as prepared when it is sent. In a pipeline an earlier statement may
# fail, the server then never sees it, and every later use of its name would fail as well.
_NEVER_PREPARE = None

# The server must notice a dead client soon: it frees our locks for whoever takes over.
_SESSION_SETTINGS = """
SET statement_timeout = '30s';
SET lock_timeout = '5s';
SET idle_in_transaction_session_timeout = '30s';
SET tcp_keepalives_idle = 5;
SET tcp_keepalives_interval = 2;
SET tcp_keepalives_count = 3;
SET tcp_user_timeout = '10s';
SET client_connection_check_interval = '2s';
"""

Probe = Callable[[str], None]
"""Called at named points of a commit; lets a test kill the process just there."""


def no_probe(point: str) -> None:
    """The probe of production: nothing happens."""


class Ownership:
    """The right to write one study, for as long as `error` is None; then `ended` is set."""

    def __init__(self, study_id: int) -> None:
        self.study_id = study_id
        self.error: AsktellError | None = None
        self.ended = asyncio.Event()
        self._farewells: list[Callable[[], None]] = []

    def call_at_end(self, farewell: Callable[[], None]) -> None:
        """Has something done when it ends; it must be quick."""
        self._farewells.append(farewell)

    def end(self, error: AsktellError) -> None:
        """Ends it; the first reason stays. Whoever still holds it gets `error`."""
        self.error = self.error or error
        self.ended.set()
        while self._farewells:
            self._farewells.pop()()


@dataclass(slots=True)
class _Submission:
    owner: Ownership
    write: StudyWrite | None
    done: asyncio.Future[None]
    # Of whoever submits it: so a line about a refusal says which request that was.
    context: contextvars.Context = field(default_factory=contextvars.copy_context)

    def settle(self, error: AsktellError | None = None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class _ConnectionLost(Exception):
    """The committer's connection is gone, and with it every ownership."""


class Committer:
    """One per process. Belongs to the event loop that runs it."""

    def __init__(self, database: Database, *, probe: Probe = no_probe) -> None:
        self._database = database
        self._probe = probe
        self._connection: AsyncConnection[Any] | None = None
        self._using = asyncio.Lock()
        self._pending: list[_Submission] = []
        self._wake = asyncio.Event()
        self._is_connected = asyncio.Event()
        self._owned: dict[int, Ownership] = {}

    @property
    def queue_depth(self) -> int:
        """Operations that wait for the next transaction."""
        return len(self._pending)

    async def own(self, study_id: int) -> Ownership:
        """Takes the study for this process; ends an earlier ownership of it here.

        Raises:
            StudyOwnedElsewhere: Another process has it.
            DatabaseUnavailable: There is no connection.
        """
        async with self._use_connection() as connection:
            earlier = self._owned.get(study_id)
            if earlier is None:
                await _lock(connection, study_id)
            else:
                earlier.end(StudyReloading("The study is being read again. Try again shortly."))
            ownership = self._owned[study_id] = Ownership(study_id)
            return ownership

    async def end(self, ownership: Ownership, error: AsktellError) -> None:
        """Ends an ownership; returns when nothing of it is being written any more."""
        ownership.end(error)
        async with self._using:
            return

    async def disown(self, ownership: Ownership) -> None:
        """Lets another process have the study; without effect if the ownership was replaced."""
        async with self._use_connection() as connection:
            if self._owned.get(ownership.study_id) is ownership:
                del self._owned[ownership.study_id]
                await connection.execute(_UNLOCK, (_LOCK_NAMESPACE, ownership.study_id))

    def submit(self, owner: Ownership, write_: StudyWrite | None) -> asyncio.Future[None]:
        """Queues a write; the future ends after the COMMIT that holds it, or with the reason.

        Without a write it ends when everything submitted before is committed and the study is
        still proven to be ours.
        """
        submission = _Submission(owner, write_, asyncio.get_running_loop().create_future())
        if owner.error is not None:
            submission.settle(owner.error)
        else:
            self._pending.append(submission)
            self._wake.set()
        return submission.done

    async def run(self) -> None:
        """Connects, commits, reconnects; until cancelled."""
        delays = iter(_RECONNECT_SECONDS)
        while True:
            started = time.monotonic()
            try:
                async with self._connected() as connection:
                    await self._commit_forever(connection)
            except (_ConnectionLost, DatabaseUnavailable, psycopg.Error) as error:
                _log.warning("database.lost", error=type(error).__name__)
            except Exception:
                _log.exception("committer.failed")
            finally:
                self._fail_everything()
            if time.monotonic() - started > _STABLE_SECONDS:
                delays = iter(_RECONNECT_SECONDS)
            await asyncio.sleep(next(delays, _RECONNECT_SECONDS[-1]))

    async def wait_connected(self, seconds: float) -> None:
        """Returns once there is a connection, or after `seconds` without one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_connected.wait()

    async def drain(self) -> None:
        """Waits until nothing is pending; for a shutdown after the last request."""
        while self._pending:
            await asyncio.wait([submission.done for submission in self._pending])
        async with self._using:
            return

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection[Any]]:
        connection = await AsyncConnection.connect(
            self._database.conninfo, autocommit=True, prepare_threshold=_NEVER_PREPARE
        )
        try:
            await connection.execute(_SESSION_SETTINGS)
            self._connection = connection
            self._is_connected.set()
            yield connection
        finally:
            self._connection = None
            self._is_connected.clear()
            await connection.close()

    @asynccontextmanager
    async def _use_connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        """Gives the connection to one user at a time; gives it up if it hangs or breaks."""
        async with self._using:
            connection = self._connection
            if connection is None:
                raise database_unavailable()
            try:
                async with asyncio.timeout(_DEADLINE_SECONDS):
                    yield connection
            except (TimeoutError, psycopg.OperationalError, psycopg.InterfaceError) as error:
                # Closed, it ends the commit loop, which connects anew.
                await connection.close()
                self._wake.set()
                raise database_unavailable() from error

    async def _commit_forever(self, connection: AsyncConnection[Any]) -> None:
        while True:
            await self._wait_for_work()
            async with self._use_connection():
                self._wake.clear()
                batch, self._pending = self._pending, []
                try:
                    await self._commit(connection, _still_owned(batch))
                except BaseException:
                    # Not settled yet: the reconnect tells their callers.
                    self._pending = batch + self._pending
                    raise

    async def _wait_for_work(self) -> None:
        try:
            async with asyncio.timeout(_IDLE_CHECK_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            # An empty batch proves the connection, so that a lost study is noticed while idle.
            return

    async def _commit(self, connection: AsyncConnection[Any], batch: Sequence[_Submission]) -> None:
        try:
            await self._write(connection, batch)
        except _ConnectionLost:
            raise
        except Exception:
            # A defect of ours in one study's rows is as much its own as a row that is refused.
            await self._roll_back(connection)
            for submission in batch:
                await self._commit_alone(connection, submission)
        else:
            for submission in batch:
                submission.settle()

    async def _commit_alone(
        self, connection: AsyncConnection[Any], submission: _Submission
    ) -> None:
        """One operation of a batch that failed: its own failure is its own alone.

        What came after it in the same study rests on it, and must be done again.
        """
        owner = submission.owner
        if owner.error is not None:
            submission.settle(owner.error)
            return
        try:
            await self._write(connection, [submission])
        except _ConnectionLost:
            raise
        except Exception as error:
            await self._roll_back(connection)
            count_refused_commit()
            submission.context.run(
                _log.error, "write.refused", study_id=owner.study_id, error=_describe(error)
            )
            owner.end(StudyReloading("The study is being read again. Try again shortly."))
            submission.settle(_translate(error))
        else:
            submission.settle()

    async def _write(self, connection: AsyncConnection[Any], batch: Sequence[_Submission]) -> None:
        writes = [submission.write for submission in batch if submission.write is not None]
        if not writes:
            await connection.execute("SELECT 1")
            return
        started = time.perf_counter()
        async with connection.pipeline():
            await connection.execute("BEGIN")
            await write(connection, writes)
        self._probe("before-commit")
        cursor = await connection.execute("COMMIT")
        if cursor.statusmessage != "COMMIT":
            raise _ConnectionLost("a transaction that had not failed was rolled back")
        observe_commit(len(writes), time.perf_counter() - started)
        self._probe("after-commit")

    async def _roll_back(self, connection: AsyncConnection[Any]) -> None:
        try:
            await connection.execute("ROLLBACK")
        except psycopg.Error as error:
            raise _ConnectionLost from error

    def _fail_everything(self) -> None:
        for ownership in self._owned.values():
            ownership.end(database_unavailable())
        self._owned.clear()
        batch, self._pending = self._pending, []
        for submission in batch:
            submission.settle(database_unavailable())


def _still_owned(batch: Iterable[_Submission]) -> list[_Submission]:
    """Refuses what was queued before its study failed; keeps the rest."""
    kept = []
    for submission in batch:
        if submission.owner.error is None:
            kept.append(submission)
        else:
            submission.settle(submission.owner.error)
    return kept


async def _lock(connection: AsyncConnection[Any], study_id: int) -> None:
    cursor = await connection.execute(_TRY_LOCK, (_LOCK_NAMESPACE, study_id))
    row = await cursor.fetchone()
    if row is None or not row[0]:
        raise StudyOwnedElsewhere(
            "Another connection has this study: another Asktell server on this database, or one "
            "that has just stopped. Try again, here or there."
        )


def _describe(error: Exception) -> str:
    """Without the DETAIL of Postgres, which quotes the row."""
    if isinstance(error, AsktellError):
        return error.message
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return f"{type(error).__name__}: {said or error}"


def _translate(error: Exception) -> AsktellError:
    if isinstance(error, AsktellError):
        return error
    if isinstance(error, psycopg.OperationalError):
        return database_unavailable()
    code = error.sqlstate if isinstance(error, psycopg.Error) else None
    return WriteFailed(
        "This operation's rows could not be written; nothing of it was kept. The server's log has "
        f"the reason ({code or type(error).__name__})."
    )
