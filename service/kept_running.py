"""A child process that is started again when it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
_HEALTHY_AFTER_SECONDS = 60.0

_log = structlog.get_logger(__name__)


class KeptRunning:
    """Runs something again and again, after a pause that doubles while it ends soon.

    All methods belong to one event loop.

    Args:
        name: For the log.
        run_once: Starts it and returns its exit code once it has ended, whatever of it; cancelled,
            it ends it before it raises. An OSError of it counts as an end.
    """

    def __init__(
        self,
        name: str,
        run_once: Callable[[], Awaitable[int]],
        *,
        first_pause_seconds: float = _FIRST_PAUSE_SECONDS,
    ) -> None:
        self._name = name
        self._run_once = run_once
        self._first_pause_seconds = first_pause_seconds
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts it if nobody has; returns at once."""
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.get_running_loop().create_task(self._keep_running())

    async def stop(self) -> None:
        """Ends it, if it runs, and waits for that; idempotent."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper

    async def _keep_running(self) -> None:
        clock = asyncio.get_running_loop().time
        pause = self._first_pause_seconds
        while True:
            started = clock()
            ended = await self._run_to_the_end()
            if self._keeper is None:
                # Stopped, but ending it failed.
                return
            if clock() - started > _HEALTHY_AFTER_SECONDS:
                pause = self._first_pause_seconds
            _log.warning(f"{self._name}.exited", **ended, restart_in_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _run_to_the_end(self) -> dict[str, int | str]:
        try:
            return {"exit_code": await self._run_once()}
        except OSError as error:
            return {"reason": str(error)}
