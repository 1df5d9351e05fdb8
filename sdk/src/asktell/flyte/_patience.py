"""Waiting for what must not be cut short when whoever waits is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

_Result = TypeVar("_Result")


async def finish(
    work: Coroutine[Any, Any, _Result],
) -> tuple[_Result, asyncio.CancelledError | None]:
    """What the work returns, and the cancellation that came meanwhile, for the caller to raise.

    Raises:
        asyncio.CancelledError: It came, and the work returns nothing because of its cause.
    """
    task = asyncio.ensure_future(work)
    try:
        await settle([task])
    except asyncio.CancelledError as cancellation:
        if (error := task.exception()) is not None:
            raise cancellation from error
        return task.result(), cancellation
    return task.result(), None


async def settle(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Waits until all tasks have ended, also if it is cancelled; only then it says so.

    Raises:
        asyncio.CancelledError: This was cancelled meanwhile.
    """
    pending = [task for task in tasks if not task.done()]
    if not pending:
        return
    try:
        await asyncio.wait(pending)
    finally:
        # After a cancellation; another one may come, as long as there is something to wait for.
        await settle(pending)
