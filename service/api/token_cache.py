"""Tokens by what callers present, with as few questions to the database as possible."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain.errors import DatabaseUnavailable
from service.domain.tokens import AccessToken, digest_token, looks_like_access_token
from service.storage.tokens import TokenTable

FRESH_SECONDS = 5

_FRESH = timedelta(seconds=FRESH_SECONDS)
_MAX_UNKNOWN = 10_000
_PAUSE = timedelta(seconds=1)
_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Found:
    token: AccessToken | None
    at: datetime


class TokenCache:
    """Answers from memory for some seconds; only one question to the database at a time.

    Everybody who comes while a question is open waits and is part of the next one, so a flood of
    wrong tokens costs one connection, however many there are. Belongs to the event loop.

    Args:
        max_unknown: How many wrong tokens to keep in mind, by their digests.
    """

    def __init__(
        self,
        tokens: TokenTable,
        *,
        clock: Callable[[], datetime],
        max_unknown: int = _MAX_UNKNOWN,
    ) -> None:
        self._tokens = tokens
        self._clock = clock
        self._max_unknown = max_unknown
        self._asking = asyncio.Lock()
        self._wanted: set[bytes] = set()
        self._known: dict[bytes, _Found] = {}
        self._unknown: dict[bytes, _Found] = {}
        self._failed_at: datetime | None = None
        self._noted: dict[str, datetime] = {}
        self._unwritten: dict[str, datetime] = {}
        self._writing: asyncio.Task[None] | None = None

    async def find(self, presented: bytes) -> AccessToken | None:
        """The token, if it is good now.

        Raises:
            DatabaseUnavailable: It was not seen of late, and cannot be looked up just now.
        """
        if not looks_like_access_token(presented):
            return None
        # Looked up by a digest: how long that takes tells nothing of any token.
        return await self.find_digest(digest_token(presented))

    async def find_digest(self, digest: bytes) -> AccessToken | None:
        """The token of this digest, likewise."""
        found = self._recall(digest)
        if found is None:
            found = await self._ask(digest)
        if found.token is None or not found.token.is_good(self._clock()):
            return None
        self._note_use(found.token)
        return found.token

    async def forget(self, name: str) -> None:
        """Lets a change to the token of that name be seen here at once."""
        # An answer that is on its way may be older than the change.
        async with self._asking:
            self._noted.pop(name, None)
            self._known = {
                digest: found
                for digest, found in self._known.items()
                if found.token is None or found.token.name != name
            }

    def _recall(self, digest: bytes) -> _Found | None:
        found = self._known.get(digest) or self._unknown.get(digest)
        return found if found is not None and self._is_less_than(_FRESH, found.at) else None

    async def _ask(self, digest: bytes) -> _Found:
        self._wanted.add(digest)
        async with self._asking:
            found = self._recall(digest)
            if found is None:
                self._wanted.add(digest)
                await self._ask_for_all_wanted()
                found = self._known.get(digest) or _Found(None, self._clock())
            return found

    async def _ask_for_all_wanted(self) -> None:
        wanted, self._wanted = self._wanted, set()
        now = self._clock()
        if self._failed_at is not None and self._is_less_than(_PAUSE, self._failed_at):
            raise DatabaseUnavailable(_AWAY)
        try:
            tokens = await self._tokens.find(wanted)
        except DatabaseUnavailable:
            self._failed_at = self._clock()
            raise
        for digest in wanted:
            self._remember(digest, _Found(tokens.get(digest), now))

    def _remember(self, digest: bytes, found: _Found) -> None:
        if found.token is not None:
            self._known[digest] = found
            return
        self._known.pop(digest, None)
        self._unknown.pop(digest, None)
        self._unknown[digest] = found
        if len(self._unknown) > self._max_unknown:
            del self._unknown[next(iter(self._unknown))]

    def _note_use(self, token: AccessToken) -> None:
        last = self._noted.get(token.name) or token.last_used_at
        if last is not None and self._is_less_than(_NOTED_EVERY, last):
            return
        self._noted[token.name] = self._unwritten[token.name] = self._clock()
        if self._writing is None or self._writing.done():
            # Beside the request: nobody waits for this.
            self._writing = asyncio.create_task(self._write_uses())

    def _is_less_than(self, span: timedelta, since: datetime) -> bool:
        # A clock that was set back makes nothing last longer.
        return timedelta() <= self._clock() - since < span

    async def _write_uses(self) -> None:
        while self._unwritten:
            uses, self._unwritten = self._unwritten, {}
            # What is lost here is written again within a minute.
            with suppress(DatabaseUnavailable):
                await self._tokens.note_uses(uses)


_AWAY = "Tokens cannot be looked up, because the database does not answer. Try again shortly."
