"""The tokens that administrators made: digests and what is known of them, never the tokens."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg_pool import AsyncConnectionPool

from service.domain.scopes import TokenScope
from service.domain.tokens import AccessToken
from service.storage.driver_errors import unavailable_when_lost

# A name is free again once its token is of no use any more.
_INSERT = """
INSERT INTO asktell.tokens AS old (name, scope, digest, created_at, expires_at)
VALUES (%(name)s, %(scope)s, %(digest)s, %(created_at)s, %(expires_at)s)
ON CONFLICT (name) DO UPDATE
SET scope = excluded.scope, digest = excluded.digest, created_at = excluded.created_at,
    expires_at = excluded.expires_at, last_used_at = NULL, revoked_at = NULL
WHERE old.revoked_at IS NOT NULL OR old.expires_at <= excluded.created_at
RETURNING name
"""

_LIST = """
SELECT name, scope, created_at, expires_at, last_used_at, revoked_at
FROM asktell.tokens
ORDER BY name
"""

# Of the tokens that callers hold, those that were not revoked.
_FIND = """
SELECT digest, name, scope, created_at, expires_at, last_used_at, revoked_at
FROM asktell.tokens
WHERE digest = ANY (%s::bytea[]) AND revoked_at IS NULL
"""

_REVOKE = """
UPDATE asktell.tokens SET revoked_at = coalesce(revoked_at, %(now)s) WHERE name = %(name)s
RETURNING name
"""

_NOTE_USES = """
UPDATE asktell.tokens SET last_used_at = used.at
FROM unnest(%s::text[], %s::timestamptz[]) AS used (name, at)
WHERE tokens.name = used.name
  AND (tokens.last_used_at IS NULL OR tokens.last_used_at < used.at)
"""

# When an attempt ended, and how long its study's leases are.
_FIND_ATTEMPT_END = """
SELECT a.ended_at, (s.settings ->> 'lease_seconds')::float8
FROM asktell.attempts AS a JOIN asktell.studies AS s USING (study_id)
WHERE a.study_id = %s AND a.number = %s AND a.attempt = %s
"""


class TokenTable:
    """Tokens, through the engine's pool; each method raises `DatabaseUnavailable` when it is away.

    A change is committed when its method returns.
    """

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def insert(self, token: AccessToken, digest: bytes) -> bool:
        """Keeps a new token; false if a good one has its name."""
        columns = {
            "name": token.name,
            "scope": token.scope.value,
            "digest": digest,
            "created_at": token.created_at,
            "expires_at": token.expires_at,
        }
        return bool(await self._fetch(_INSERT, columns))

    async def list_all(self) -> list[AccessToken]:
        """All of them by name, those that are of no use any more included."""
        return [_build_token(row) for row in await self._fetch(_LIST, ())]

    async def find(self, digests: Collection[bytes]) -> dict[bytes, AccessToken]:
        """Tokens by their digests; those that are unknown or revoked are left out."""
        rows = await self._fetch(_FIND, (list(digests),))
        return {bytes(digest): _build_token(columns) for digest, *columns in rows}

    async def revoke(self, name: str, now: datetime) -> bool:
        """Makes a token worthless; false if there is none of that name. Idempotent."""
        return bool(await self._fetch(_REVOKE, {"name": name, "now": now}))

    async def note_uses(self, uses: Mapping[str, datetime]) -> None:
        """Writes when tokens were used last, by their names."""
        with unavailable_when_lost():
            async with self._pool.connection() as connection:
                await connection.execute(_NOTE_USES, (list(uses), list(uses.values())))

    async def find_attempt_end(
        self, study_id: int, number: int, attempt: int
    ) -> tuple[datetime | None, float | None] | None:
        """When an attempt ended that a worker has had, if it has, and its study's lease_seconds."""
        rows = await self._fetch(_FIND_ATTEMPT_END, (study_id, number, attempt))
        return (_to_utc(rows[0][0]), rows[0][1]) if rows else None

    async def _fetch(
        self, query: str, parameters: Sequence[Any] | Mapping[str, Any]
    ) -> Sequence[tuple[Any, ...]]:
        with unavailable_when_lost():
            async with self._pool.connection() as connection:
                cursor = await connection.execute(query, parameters)
                rows: Sequence[tuple[Any, ...]] = await cursor.fetchall()
                return rows


def _build_token(row: Sequence[Any]) -> AccessToken:
    name, scope, *times = row
    created_at, expires_at, last_used_at, revoked_at = map(_to_utc, times)
    assert created_at is not None, "the column has no NULL"
    return AccessToken(
        name,
        TokenScope(scope),
        created_at=created_at,
        expires_at=expires_at,
        last_used_at=last_used_at,
        revoked_at=revoked_at,
    )


def _to_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
