"""A clock that only moves when somebody sleeps on it, and waiting for what other threads do."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from asktell._retries import Clock


class FakeTime:
    """Time for a client under test; `pauses` are the seconds it slept, `looks` its thread's looks.

    Whoever waits for a condition looks at the clock again and again.
    """

    def __init__(self, chance: float = 0.0) -> None:
        self.seconds = 1000.0
        self.pauses: list[float] = []
        self.looks = 0
        self.clock = Clock(
            monotonic=lambda: self.seconds,
            sleep=self.sleep,
            async_sleep=self.async_sleep,
            random=lambda: chance,
            wait=self.look,
            now=lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds - 1000),
        )

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds

    async def async_sleep(self, seconds: float) -> None:
        self.sleep(seconds)

    def look(self, condition: threading.Condition, seconds: float) -> None:
        self.looks += 1
        condition.wait(0.001)

    def let_pass(self, seconds: float, *, while_true: Callable[[], bool]) -> None:
        """Moves on and returns when the waiting thread has done what is due, or is no more."""
        self.seconds += seconds
        # The first of these looks may have begun before.
        seen = self.looks + 2
        wait_until(lambda: self.looks >= seen or not while_true())


def wait_until(is_so: Callable[[], bool]) -> None:
    """Returns when it is so; the test's time limit is the patience."""
    while not is_so():
        time.sleep(0.002)
