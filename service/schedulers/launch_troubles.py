"""Whether a worker's launches succeed, by executor: what cannot be launched is left to others."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from service.schedulers.pace import Pace

_log = structlog.get_logger(__name__)


class LaunchTroubles:
    """Keeps a worker from taking what it cannot launch and another one could, by executor.

    Args:
        clock: Seconds that only go up.
    """

    def __init__(self, pace: Pace, *, clock: Callable[[], float]) -> None:
        self._pace = pace
        self._clock = clock
        self._troubles: defaultdict[str, _Trouble] = defaultdict(_Trouble)

    def note_launched(self, executor: str) -> None:
        """Whatever was wrong has passed."""
        self._troubles.pop(executor, None)

    def note_failed(self, executor: str, reason: str) -> bool:
        """True if the executor's last launch did not fail for the same reason."""
        trouble = self._troubles[executor]
        is_news = reason != trouble.reason
        trouble.reason = reason
        return is_news

    def note_given_up(self, executor: str, reason: str) -> None:
        """Pauses claims, for twice as long as the last time; several at a time count once."""
        trouble = self._troubles[executor]
        if trouble.paused_until > self._clock():
            return
        doubled = self._pace.refused_pause_seconds * 2.0 ** min(trouble.given_up, 16)
        pause = min(doubled, self._pace.launch_seconds)
        trouble.given_up += 1
        trouble.paused_until = self._clock() + pause
        _log.error("claims.paused", executor=executor, reason=reason, again_in_seconds=pause)

    def list_able(self, executors: Iterable[str]) -> list[str]:
        """Those of the executors for which the worker may take something new."""
        now = self._clock()
        return [name for name in executors if self._troubles[name].paused_until <= now]

    def get_pause(self) -> float | None:
        """Seconds until one executor more is able; None if all are."""
        now = self._clock()
        ends = (trouble.paused_until for trouble in self._troubles.values())
        return min((end - now for end in ends if end > now), default=None)


@dataclass(slots=True)
class _Trouble:
    """What was wrong with an executor's launches since one succeeded."""

    reason: str | None = None
    given_up: int = 0
    paused_until: float = -math.inf
