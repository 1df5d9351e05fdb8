"""Where sampling runs: on the event loop while it is quick, else in a thread."""

import asyncio
import contextvars
import math
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

_T = TypeVar("_T")

# Two threads that compute take turns every few milliseconds, and each turn costs both: with 16
# clients, sampling of 7 ms gave half as many trials again on the loop as in a thread.
_LONGEST_ON_LOOP_SECONDS = 0.02


class Sampling:
    """Runs one study's sampling, one at a time, and learns what it costs.

    Args:
        threads: For what would keep the other studies waiting.
        is_waiting: Whether sampling waits for another process, so that its CPU time says nothing.
        clock: CPU seconds of the calling thread.
    """

    def __init__(
        self,
        threads: Executor,
        *,
        is_waiting: bool = False,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._threads = threads
        self._is_waiting = is_waiting
        self._clock = clock
        # The first one may import libraries.
        self._seconds_per_trial = math.inf

    async def run(self, work: Callable[[], _T], *, trials: int = 1) -> _T:
        """Returns what `work` returns, which samples for so many trials."""
        is_quick = self._seconds_per_trial * trials <= _LONGEST_ON_LOOP_SECONDS
        if is_quick and not self._is_waiting:
            return self._measure(work, trials)
        loop = asyncio.get_running_loop()
        # What a library logs there belongs to the request.
        context = contextvars.copy_context()
        return await loop.run_in_executor(self._threads, context.run, self._measure, work, trials)

    def _measure(self, work: Callable[[], _T], trials: int) -> _T:
        started = self._clock()
        result = work()
        self._seconds_per_trial = (self._clock() - started) / trials
        return result
