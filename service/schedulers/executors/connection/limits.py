"""How often a system is asked: a bucket for calls, a breaker for times when it does not answer.

Both are pure: they say how long to wait, and somebody else waits.
"""

from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds that only ever grow."""


class TokenBucket:
    """Lets a burst of calls pass, and after it so many per second."""

    def __init__(self, *, per_second: float, burst: int, clock: Clock) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._clock = clock
        self._tokens = self._burst
        self._filled_at = clock()

    def get_pause(self) -> float:
        """Seconds until the next call may pass."""
        self._fill()
        return max(0.0, (1.0 - self._tokens) / self._per_second)

    def take(self) -> None:
        """Counts a call that passes."""
        self._fill()
        self._tokens -= 1.0

    def _fill(self) -> None:
        now = self._clock()
        added = (now - self._filled_at) * self._per_second
        self._tokens = min(self._burst, self._tokens + added)
        self._filled_at = now


class Breaker:
    """Pauses after failures, twice as long each time; after several in a row it is open.

    While it is open only one call per pause is worth a try. The pauses have full jitter, so that
    workers that fail together do not come back together (Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015).

    Args:
        chance: From 0 up to 1.
        opens_after: So many failures in a row.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        chance: Callable[[], float],
        opens_after: int = 5,
        first_pause_seconds: float = 2.0,
        longest_pause_seconds: float = 60.0,
        longest_throttle_seconds: float = 15.0,
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._opens_after = opens_after
        self._first_pause_seconds = first_pause_seconds
        self._longest_pause_seconds = longest_pause_seconds
        self._longest_throttle_seconds = longest_throttle_seconds
        self._failures = 0
        self._throttles = 0
        self._next_at = clock()

    @property
    def is_open(self) -> bool:
        """Whether failing at once is better than trying."""
        return self._failures >= self._opens_after

    def get_pause(self) -> float:
        """Seconds until the next try."""
        return max(0.0, self._next_at - self._clock())

    def note_failure(self) -> None:
        """The system did not answer, or had no time for the call."""
        pause = self._double(self._failures)
        self._failures += 1
        self._throttles = 0
        self._wait(min(pause, self._longest_pause_seconds))

    def note_throttled(self) -> None:
        """It answered that it is asked too often, which is no failure of its own."""
        pause = self._double(self._throttles)
        self._failures = 0
        self._throttles += 1
        self._wait(min(pause, self._longest_throttle_seconds))

    def note_success(self, *, was_slow: bool) -> None:
        """It answered; a slow answer is taken as a wish to be asked less often."""
        self._failures = 0
        self._throttles = 0
        self._wait(self._first_pause_seconds if was_slow else 0.0)

    def _double(self, times: int) -> float:
        return self._first_pause_seconds * 2.0 ** min(times, 16)

    def _wait(self, at_most_seconds: float) -> None:
        self._next_at = self._clock() + at_most_seconds * self._chance()
