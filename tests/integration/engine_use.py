"""What tests of the engine start from: a small study, and patience."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg

from service.domain.errors import Unavailable
from service.domain.studies import Component, Direction, Objective
from service.engine.ask import Ask, ask
from service.engine.create import NewStudy
from service.engine.engine import Engine
from service.storage.database import Database

SPACE = {
    "x": {"type": "float", "low": 0.0, "high": 1.0},
    "n": {"type": "int", "low": 1, "high": 9},
    "c": {"type": "categorical", "choices": ["a", "b"]},
}
MINIMIZE = (Objective("value", Direction.MINIMIZE),)


def new_study(name: str = "s", **changes: Any) -> NewStudy:
    given = {
        "objectives": MINIMIZE,
        "space": SPACE,
        "sampler": Component("RandomSampler"),
        "seed": 7,
    }
    return NewStudy(name, **(given | changes))


async def eventually(attempt: Callable[[], Awaitable[Any]], *, within_seconds: float = 20.0) -> Any:
    """Repeats an operation while the service says that it is unavailable."""
    async with asyncio.timeout(within_seconds):
        while True:
            try:
                return await attempt()
            except Unavailable:
                await asyncio.sleep(0.05)


async def ask_once(engine: Engine, name: str) -> Any:
    return await ask(await engine.get_actor(name), Ask())


def count_rows(database: Database, query: str) -> int:
    with psycopg.connect(database.conninfo) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])
