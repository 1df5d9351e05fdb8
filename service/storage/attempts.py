"""Attempts that workers handle, as clients see them, and what their programs print."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString

from psycopg.rows import DictRow
from psycopg_pool import AsyncConnectionPool

from service.domain.attempts import AttemptState, Ending, StopCause
from service.domain.errors import AttemptNotFound, ClaimLost
from service.storage.driver_errors import unavailable_when_lost
from service.storage.journal import Launch
from service.storage.reads import Reads

MAX_LOG_PART_BYTES = 64 * 1024
"""How much of a log is taken at once."""

KEPT_LOG_BYTES = 1024 * 1024
"""How much of an attempt's log is kept at least, its end."""

# What there is of an attempt.
SELECT_ATTEMPTS = """
SELECT a.number, a.attempt, a.state, a.claim, a.worker_id, a.worker_name, a.host, a.external_ref,
       a.url, a.note, a.stop, a.claimed_at, a.started_at, a.ended_at, a.exit_code, a.signal,
       a.reason,
       (SELECT log.first_byte + octet_length(log.content) FROM asktell.attempt_logs AS log
        WHERE log.study_id = a.study_id AND log.number = a.number AND log.attempt = a.attempt
        ORDER BY log.first_byte DESC LIMIT 1) AS log_bytes
FROM asktell.attempts AS a
"""

# One page of a sweep's attempts, those of the newest trials first.
LIST_ATTEMPTS: LiteralString = (
    SELECT_ATTEMPTS
    + """
WHERE a.study_id = %(study_id)s
  AND (a.number, a.attempt) < (%(before_number)s, %(before_attempt)s)
  AND a.state = ANY (%(states)s::text[])
ORDER BY a.number DESC, a.attempt DESC
LIMIT %(limit)s
"""
)

# The attempts of one trial.
LIST_ATTEMPTS_OF_TRIAL: LiteralString = (
    SELECT_ATTEMPTS
    + """
WHERE a.study_id = %(study_id)s AND a.number = %(number)s
  AND (a.number, a.attempt) < (%(before_number)s, %(before_attempt)s)
  AND a.state = ANY (%(states)s::text[])
ORDER BY a.attempt DESC
LIMIT %(limit)s
"""
)

# One attempt.
FIND_ATTEMPT: LiteralString = (
    SELECT_ATTEMPTS
    + """
WHERE a.study_id = %(study_id)s AND a.number = %(number)s AND a.attempt = %(attempt)s
"""
)

# An attempt is over when its trial is; how its program went may be known later only.
_RECORD_EXIT = """
UPDATE asktell.attempts SET exit_code = %(exit_code)s, signal = %(signal)s
WHERE study_id = %(study_id)s AND number = %(number)s AND attempt = %(attempt)s
  AND claim = %(claim)s AND ended_at IS NOT NULL AND exit_code IS NULL AND signal IS NULL
"""

# Adds what is new in a part of a log, and forgets what is old. A part may come twice, or begin
# before the end of the one before it: a worker that was started again cuts its log otherwise.
ADD_LOG = """
WITH attempt AS (
    SELECT study_id, number, attempt, claim
    FROM asktell.sweeps JOIN asktell.attempts USING (study_id)
    WHERE sweep_id = %(sweep_id)s AND number = %(number)s AND attempt = %(attempt)s
), stored AS (
    SELECT study_id, number, attempt,
           greatest(%(offset)s::bigint, (
               SELECT log.first_byte + octet_length(log.content) FROM asktell.attempt_logs AS log
               WHERE log.study_id = attempt.study_id AND log.number = attempt.number
                 AND log.attempt = attempt.attempt
               ORDER BY log.first_byte DESC LIMIT 1)) AS first_new
    FROM attempt WHERE claim = %(claim)s
), added AS (
    INSERT INTO asktell.attempt_logs (study_id, number, attempt, first_byte, content)
    SELECT study_id, number, attempt, first_new,
           substring(%(content)s::bytea FROM (first_new - %(offset)s + 1)::int)
    FROM stored WHERE first_new < %(offset)s + length(%(content)s::bytea)
    ON CONFLICT DO NOTHING
), trimmed AS (
    DELETE FROM asktell.attempt_logs AS log USING stored
    WHERE log.study_id = stored.study_id AND log.number = stored.number
      AND log.attempt = stored.attempt AND log.first_byte <= %(forget_before)s
)
SELECT claim FROM attempt
"""

# The parts of a log from the one that holds an offset, or from the first one after it.
READ_LOG = """
WITH own AS NOT MATERIALIZED (
    SELECT first_byte, content FROM asktell.attempt_logs
    WHERE study_id = %(study_id)s AND number = %(number)s AND attempt = %(attempt)s
), start AS (
    SELECT first_byte FROM (
        (SELECT * FROM own WHERE first_byte <= %(offset)s ORDER BY first_byte DESC LIMIT 1)
        UNION ALL
        (SELECT * FROM own WHERE first_byte > %(offset)s ORDER BY first_byte LIMIT 1)
    ) AS near
    WHERE first_byte + octet_length(content) > %(offset)s
    ORDER BY first_byte LIMIT 1
)
SELECT own.first_byte, own.content FROM own, start
WHERE own.first_byte >= start.first_byte
  AND own.first_byte < greatest(start.first_byte, %(offset)s) + %(limit)s
ORDER BY own.first_byte
"""

_BEFORE_EVERYTHING = (2**31 - 1, 2**31 - 1)


@dataclass(frozen=True, slots=True)
class StoredAttempt:
    """An attempt as of the last commit.

    Attributes:
        log_bytes: How much its program has printed, as far as is known here.
    """

    launch: Launch
    log_bytes: int


@dataclass(frozen=True, slots=True)
class LogPart:
    """Bytes of a log without a gap; `start` is the offset of the first one."""

    start: int
    content: bytes

    @property
    def end(self) -> int:
        return self.start + len(self.content)


class AttemptTable:
    """Attempts and their logs, through the engine's pool; only actors begin and end attempts.

    Every method is one statement, and raises `DatabaseUnavailable` when no connection can be had
    or it breaks.
    """

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._reads = Reads(pool)

    async def list_attempts(
        self,
        study_id: int,
        *,
        states: Collection[AttemptState] | None,
        number: int | None,
        limit: int,
        before: tuple[int, int] | None,
    ) -> list[StoredAttempt]:
        """At most `limit` attempts in any of `states`, newest trials and attempts first.

        Args:
            number: Of the only trial wanted.
            before: Trial number and attempt after which a page goes on.
        """
        before_number, before_attempt = _BEFORE_EVERYTHING if before is None else before
        rows = await self._reads.fetch(
            LIST_ATTEMPTS if number is None else LIST_ATTEMPTS_OF_TRIAL,
            {
                "study_id": study_id,
                "number": number,
                "before_number": before_number,
                "before_attempt": before_attempt,
                "states": [each.value for each in (AttemptState if states is None else states)],
                "limit": limit,
            },
        )
        return [build_attempt(row) for row in rows]

    async def find_attempt(self, study_id: int, number: int, attempt: int) -> StoredAttempt | None:
        """That attempt of the trial of that number."""
        key = {"study_id": study_id, "number": number, "attempt": attempt}
        rows = await self._reads.fetch(FIND_ATTEMPT, key)
        return build_attempt(rows[0]) if rows else None

    async def record_exit(
        self, study_id: int, number: int, attempt: int, *, claim: int, ending: Ending
    ) -> None:
        """Notes how the program of an attempt went that was over before; the first word counts."""
        key = {"study_id": study_id, "number": number, "attempt": attempt, "claim": claim}
        how = {"exit_code": ending.exit_code, "signal": ending.signal}
        with unavailable_when_lost():
            async with self._pool.connection() as connection:
                await connection.execute(_RECORD_EXIT, key | how)

    async def add_log(
        self, sweep_id: str, number: int, attempt: int, *, claim: int, part: LogPart
    ) -> None:
        """Keeps a part of a log; what is there already stays, and of all the last of it.

        Args:
            part: Of no more than `MAX_LOG_PART_BYTES`.

        Raises:
            AttemptNotFound: There is no such attempt.
            ClaimLost: It was handed out again, to another worker or another life of this one.
        """
        rows = await self._reads.fetch(
            ADD_LOG,
            {
                "sweep_id": sweep_id,
                "number": number,
                "attempt": attempt,
                "claim": claim,
                "offset": part.start,
                "content": part.content,
                # By first bytes, which are indexed: no part is longer than that.
                "forget_before": part.end - KEPT_LOG_BYTES - MAX_LOG_PART_BYTES,
            },
        )
        if not rows:
            raise AttemptNotFound("There is no such attempt; end what runs for it.")
        if rows[0]["claim"] != claim:
            raise ClaimLost("The attempt was handed out again; end what only you can see of it.")

    async def read_log(
        self, study_id: int, number: int, attempt: int, *, offset: int, limit: int
    ) -> LogPart:
        """At most `limit` bytes of a log from `offset`, or from the first ones kept after it."""
        key = {"study_id": study_id, "number": number, "attempt": attempt}
        rows = await self._reads.fetch(READ_LOG, key | {"offset": offset, "limit": limit})
        parts = [LogPart(row["first_byte"], bytes(row["content"])) for row in rows]
        return _cut(_join(parts), offset, limit) if parts else LogPart(offset, b"")


def build_attempt(row: DictRow) -> StoredAttempt:
    """Builds an attempt of a row of `SELECT_ATTEMPTS`."""
    stop = row["stop"]
    return StoredAttempt(
        Launch(
            number=row["number"],
            attempt=row["attempt"],
            state=AttemptState(row["state"]),
            claim=row["claim"],
            worker_id=row["worker_id"],
            worker_name=row["worker_name"],
            host=row["host"],
            claimed_at=row["claimed_at"].astimezone(UTC),
            external_ref=row["external_ref"],
            url=row["url"],
            note=row["note"],
            stop=None if stop is None else StopCause(stop),
            started_at=_to_utc(row["started_at"]),
            ended_at=_to_utc(row["ended_at"]),
            exit_code=row["exit_code"],
            signal=row["signal"],
            reason=row["reason"],
        ),
        log_bytes=row["log_bytes"] or 0,
    )


def _to_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


def _join(parts: Sequence[LogPart]) -> LogPart:
    """The first part, and what follows it without a gap."""
    start = parts[0].start
    content = bytearray()
    for part in parts:
        if part.start != start + len(content):
            break
        content += part.content
    return LogPart(start, bytes(content))


def _cut(part: LogPart, offset: int, limit: int) -> LogPart:
    start = max(part.start, offset)
    skipped = start - part.start
    return LogPart(start, part.content[skipped : skipped + limit])
