"""Recognising tokens: how often the database is asked, and how soon changes are seen."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool

from service.api.token_cache import FRESH_SECONDS, TokenCache
from service.domain.errors import DatabaseUnavailable
from service.domain.scopes import TokenScope
from service.domain.tokens import AccessToken, digest_token, mint_access_token
from service.storage.database import Database
from service.storage.tokens import TokenTable


class SettableClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class WatchedTokens(TokenTable):
    """Counts what it is asked and told, and holds answers back when a test wants that."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        super().__init__(pool)
        self.questions: list[int] = []
        self.uses: list[Mapping[str, datetime]] = []
        self.asked = asyncio.Event()
        self.answering = asyncio.Event()
        self.answering.set()

    async def find(self, digests: Collection[bytes]) -> dict[bytes, AccessToken]:
        self.questions.append(len(digests))
        self.asked.set()
        found = await super().find(digests)
        await self.answering.wait()
        return found

    async def note_uses(self, uses: Mapping[str, datetime]) -> None:
        self.uses.append(uses)
        await super().note_uses(uses)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
async def tokens(database: Database) -> AsyncIterator[WatchedTokens]:
    pool = AsyncConnectionPool(
        database.conninfo, min_size=1, max_size=4, open=False, kwargs={"autocommit": True}
    )
    async with pool:
        yield WatchedTokens(pool)


@pytest.fixture
def cache(tokens: WatchedTokens, clock: SettableClock) -> TokenCache:
    return TokenCache(tokens, clock=clock)


async def make(tokens: TokenTable, clock: SettableClock, name: str = "ada", **given: Any) -> bytes:
    text = mint_access_token().encode()
    token = AccessToken(name, TokenScope.USER, created_at=clock(), **given)
    assert await tokens.insert(token, digest_token(text))
    return text


async def test_a_known_token_is_asked_for_every_five_seconds(
    tokens: WatchedTokens, cache: TokenCache, clock: SettableClock
) -> None:
    ada = await make(tokens, clock)

    for _ in range(100):
        found = await cache.find(ada)
    assert found is not None
    assert (found.name, found.scope) == ("ada", TokenScope.USER)
    clock.advance(FRESH_SECONDS - 0.001)
    await cache.find(ada)
    assert tokens.questions == [1]
    clock.advance(0.001)
    await cache.find(ada)
    assert tokens.questions == [1, 1]


async def test_a_clock_that_was_set_back_makes_nothing_last_longer(
    tokens: WatchedTokens, cache: TokenCache, clock: SettableClock
) -> None:
    ada = await make(tokens, clock)
    await cache.find(ada)
    await tokens.revoke("ada", clock())

    clock.advance(-3600)

    assert await cache.find(ada) is None


async def test_an_unknown_token_is_asked_for_once(
    tokens: WatchedTokens, cache: TokenCache, clock: SettableClock
) -> None:
    wrong = mint_access_token().encode()

    for _ in range(100):
        assert await cache.find(wrong) is None
    assert tokens.questions == [1]


async def test_what_looks_like_no_token_is_never_asked_for(
    tokens: WatchedTokens, cache: TokenCache
) -> None:
    for wrong in (b"", b"wrong", b"ask_", b"ask_" + b"x" * 44, b"\xff" * 47):
        assert await cache.find(wrong) is None
    assert tokens.questions == []


async def test_a_flood_of_wrong_tokens_is_two_questions(
    tokens: WatchedTokens, cache: TokenCache, clock: SettableClock
) -> None:
    ada = await make(tokens, clock)
    flood = [mint_access_token().encode() for _ in range(500)]

    found = await asyncio.gather(*(cache.find(each) for each in (*flood, ada)))

    assert found[:-1] == [None] * 500
    assert found[-1] is not None
    assert tokens.questions == [1, 500] or tokens.questions == [501]


async def test_wrong_tokens_are_not_kept_in_mind_for_ever(
    tokens: WatchedTokens, clock: SettableClock
) -> None:
    cache = TokenCache(tokens, clock=clock, max_unknown=2)
    first, second, third = (mint_access_token().encode() for _ in range(3))

    for wrong in (first, second, third, third, second):
        assert await cache.find(wrong) is None
    assert len(tokens.questions) == 3
    assert await cache.find(first) is None
    assert len(tokens.questions) == 4


async def test_a_token_that_was_revoked_elsewhere_ends_within_five_seconds(
    tokens: WatchedTokens, cache: TokenCache, clock: SettableClock
) -> None:
    ada = await make(tokens, clock)
    assert await cache.find(ada) is not None
    await tokens.revoke("ada", clock())

    clock.advance(FRESH_SECONDS)

    assert await cache.find(ada) is None


async def test_a_token_expires_to_the_moment(
    tokens: WatchedTokens, cache: TokenCache, clock: SettableClock
) -> None:
    ada = await make(tokens, clock, expires_at=clock() + timedelta(seconds=2))

    clock.advance(1.999)
    assert await cache.find(ada) is not None
    clock.advance(0.001)
    assert await cache.find(ada) is None
    assert tokens.questions == [1]


async def test_forgetting_is_stronger_than_an_answer_on_its_way(
    tokens: WatchedTokens, cache: TokenCache, clock: SettableClock
) -> None:
    ada = await make(tokens, clock)
    tokens.answering.clear()
    early = asyncio.create_task(cache.find(ada))
    await tokens.asked.wait()
    await tokens.revoke("ada", clock())
    forgetting = asyncio.create_task(cache.forget("ada"))
    await asyncio.sleep(0)
    tokens.answering.set()
    await asyncio.gather(early, forgetting)

    assert await cache.find(ada) is None


async def test_whoever_leaves_takes_nobody_along(
    tokens: WatchedTokens, cache: TokenCache, clock: SettableClock
) -> None:
    ada = await make(tokens, clock)
    tokens.answering.clear()
    leaving, staying = (asyncio.create_task(cache.find(ada)) for _ in range(2))
    await tokens.asked.wait()
    leaving.cancel()
    tokens.answering.set()

    assert await staying is not None


async def test_while_the_database_is_away_one_asks_a_second(clock: SettableClock) -> None:
    nowhere = "postgresql://nobody:hidden@127.0.0.1:1/nothing"
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        nowhere, min_size=1, open=False, timeout=0.1
    )
    async with pool:
        tokens = WatchedTokens(pool)
        cache = TokenCache(tokens, clock=clock)
        for expected in (1, 2):
            answers = await asyncio.gather(
                *(cache.find(mint_access_token().encode()) for _ in range(20)),
                return_exceptions=True,
            )
            assert {type(answer) for answer in answers} == {DatabaseUnavailable}
            assert len(tokens.questions) == expected
            clock.advance(1)


async def test_the_last_use_is_noted_once_a_minute(
    tokens: WatchedTokens, cache: TokenCache, clock: SettableClock
) -> None:
    ada = await make(tokens, clock)
    began = clock()
    await cache.find(ada)
    assert await wait_for_use(tokens, None) == began

    clock.advance(59)
    await cache.find(ada)
    await tokens.list_all()
    assert len(tokens.uses) == 1
    clock.advance(1)
    await cache.find(ada)

    assert await wait_for_use(tokens, began) == began + timedelta(seconds=60)


async def wait_for_use(tokens: TokenTable, before: datetime | None) -> datetime | None:
    """The last use of the only token, once it is not `before` any more."""
    while True:
        (token,) = await tokens.list_all()
        if token.last_used_at != before:
            return token.last_used_at
        await asyncio.sleep(0)
