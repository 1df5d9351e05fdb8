"""What `faulty_worker` is, for Flyte, and run like that.

It finds Flyte by flytekit's variables, never pauses, and also strikes before it asks Flyte for
something. A worker whose folder is called `FORGETFUL` makes up names of executions, which only this
life of it knows.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from service.schedulers.executors.base import Executor
from service.schedulers.executors.connection.connection import (
    Connection,
    ConnectionPace,
    SystemConnection,
)
from service.schedulers.executors.flyte.api import FlyteApi
from service.schedulers.executors.flyte.executor import FlyteExecutor, FlyteSettings
from service.schedulers.executors.flyte.system import describe_flyte
from service.schedulers.workdir import Workdir
from tests.acceptance.faulty_worker import main
from tests.acceptance.strikes import Strike

FORGETFUL = "forgetful"
BEFORE = "before-"

_SETTINGS = FlyteSettings(tick_seconds=0.2, soonest_seconds=0.1)
_PACE = ConnectionPace(calls_per_second=1000.0)


class StrikingConnection:
    """Reaches the point `BEFORE` an operation."""

    def __init__(self, inner: Connection, strike: Strike) -> None:
        self._inner = inner
        self._strike = strike

    async def call(
        self, operation: str, arguments: Mapping[str, Any], *, deadline_seconds: float
    ) -> Any:
        self._strike(f"{BEFORE}{operation}")
        return await self._inner.call(operation, arguments, deadline_seconds=deadline_seconds)


class ForgetfulConnection:
    """The mistake that the tests must find: an execution's name is not made from the attempt's."""

    def __init__(self, inner: Connection) -> None:
        self._inner = inner
        self._made_up = f"-{os.getpid()}"

    async def call(
        self, operation: str, arguments: Mapping[str, Any], *, deadline_seconds: float
    ) -> Any:
        changed = dict(arguments)
        if "name" in changed:
            changed["name"] += self._made_up
        return await self._inner.call(operation, changed, deadline_seconds=deadline_seconds)


@asynccontextmanager
async def _open_flyte(workdir: Workdir, strike: Strike) -> AsyncIterator[Executor]:
    connection = SystemConnection(describe_flyte(os.environ), pace=_PACE, chance=lambda: 0.0)
    wrapped: Connection = StrikingConnection(connection, strike)
    if workdir.path.name == FORGETFUL:
        wrapped = ForgetfulConnection(wrapped)
    try:
        yield FlyteExecutor(FlyteApi(wrapped), _SETTINGS)
    finally:
        await connection.close()


if __name__ == "__main__":
    main(_open_flyte)
