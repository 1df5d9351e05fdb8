"""When to try again, and how long to wait before."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import httpx

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
LONGEST_RETRY_AFTER_SECONDS = 30.0

RETRIED_STATUSES = frozenset({429, 502, 503, 504})

# Passes when somebody else's trial ends, which may take hours: the caller decides whether to wait.
CALLERS_CODE = "parallelism-reached"

# Refused before a byte of the request left: the server cannot have acted on it.
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time and chance come from; tests pass their own.

    Attributes:
        wait: Waits for a condition, which is held, for so many seconds at most.
    """

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    async_sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    random: Callable[[], float] = random.random
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
    wait: Callable[[threading.Condition, float], object] = threading.Condition.wait


class Patience:
    """How much longer one request is tried; made when its first try starts.

    Args:
        clock: Source of time and jitter.
        max_retries: Tries after the first; None for as many as fit into the deadline.
        deadline_seconds: From now to the start of the last try.
    """

    def __init__(self, clock: Clock, *, max_retries: int | None, deadline_seconds: float) -> None:
        self.retries = 0
        self._clock = clock
        self._max_retries = max_retries
        self._ends_at = clock.monotonic() + deadline_seconds

    @property
    def remaining_seconds(self) -> float:
        return self._ends_at - self._clock.monotonic()

    def next_pause(self, retry_after_seconds: float) -> float | None:
        """How long to wait before the next try, or None to give up.

        A wish of the server is honoured up to a cap, and jittered upwards only.
        """
        if self._max_retries is not None and self.retries >= self._max_retries:
            return None
        backoff = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self.retries, 16))
        wish = min(retry_after_seconds, LONGEST_RETRY_AFTER_SECONDS)
        pause = wish + backoff * (0.5 + self._clock.random() / 2)
        if pause >= self.remaining_seconds:
            return None
        self.retries += 1
        return pause


def read_retry_after(response: httpx.Response, now: datetime) -> float:
    """Seconds that the answer asks us to wait: 0 when it does not, or not understandably."""
    header = response.headers.get("Retry-After", "")
    seconds = read_seconds(header)
    if seconds is not None:
        return seconds
    try:
        return max(0.0, (parsedate_to_datetime(header) - now).total_seconds())
    except (TypeError, ValueError):
        return 0.0


def read_seconds(header: str) -> float | None:
    """The seconds that a Retry-After header names; None if it names none, such as a date."""
    text = header.strip()
    return float(text[:9]) if text.isascii() and text.isdigit() else None
