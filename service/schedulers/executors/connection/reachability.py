"""Whether a system answers, since when not, and how soon it may be asked again."""

import math
from collections.abc import Callable
from datetime import datetime

import structlog

from service.schedulers.executors.connection.limits import Breaker, Clock, TokenBucket
from service.schedulers.executors.connection.system import OutsideSystem

_BURST = 10
_SLOW_SECONDS = 2.0
_JUST_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class Reachability:
    """What is known of an outside system.

    Args:
        now: Tells the time of day, aware.
        chance: From 0 up to 1.
    """

    def __init__(
        self,
        system: OutsideSystem,
        *,
        calls_per_second: float,
        clock: Clock,
        now: Callable[[], datetime],
        chance: Callable[[], float],
    ) -> None:
        self._system = system
        self._clock = clock
        self._now = now
        self._bucket = TokenBucket(per_second=calls_per_second, burst=_BURST, clock=clock)
        self._breaker = Breaker(clock=clock, chance=chance)
        self._silent_since: datetime | None = None
        self._reason = ""
        self._throttle: str | None = None
        self._heard_at: float | None = None
        self._is_asked = False

    @property
    def place(self) -> str:
        """The system and its host, for people."""
        return f"{self._system.name} at {self._system.host}"

    @property
    def is_away(self) -> bool:
        """Whether calls are to fail at once, but for one now and then."""
        return self._breaker.is_open

    @property
    def is_throttled(self) -> bool:
        """Whether the last that it said is that it is asked too often."""
        return self._throttle is not None

    @property
    def is_answering(self) -> bool:
        """Whether it said anything within the last seconds, refusals too, and no call failed since.

        A call that is not made then says nothing about the system, only that there are too many.
        Nor does one that is under way: it may take its time, and fails at its deadline.
        """
        if self._heard_at is None:
            return False
        return self._is_asked or self._clock() - self._heard_at < _JUST_SECONDS

    def get_pause(self) -> float:
        """Seconds until the next call."""
        return max(self._breaker.get_pause(), self._bucket.get_pause())

    def note_call(self) -> None:
        """A call is made."""
        self._bucket.take()
        self._is_asked = True

    def note_answer(self, seconds: float) -> None:
        """It answered after so long, a refusal perhaps."""
        was_away = self.is_away
        # Packages tell that they were asked to slow down only if they gave up for it.
        self._breaker.note_success(was_slow=seconds > _SLOW_SECONDS)
        self._throttle = None
        self._note_heard(was_away=was_away)

    def note_throttled(self, reason: str) -> None:
        """It answered that it is asked too often."""
        was_away, was_throttled = self.is_away, self.is_throttled
        self._breaker.note_throttled()
        self._throttle = reason
        self._note_heard(was_away=was_away)
        if not was_throttled:
            _log.warning(
                "system.throttled", system=self._system.name, host=self._system.host, reason=reason
            )

    def note_failure(self, reason: str) -> None:
        """It did not answer, or said that it could not."""
        was_away = self.is_away
        self._breaker.note_failure()
        self._silent_since = self._silent_since or self._now()
        self._reason = reason
        self._throttle = None
        self._is_asked = False
        self._heard_at = None
        if self.is_away and not was_away:
            _log.warning(
                "system.away", system=self._system.name, host=self._system.host, reason=reason
            )

    def describe(self) -> str:
        """Says why a call is not made, for people."""
        next_try = f"next try in {max(1, math.ceil(self.get_pause()))} s"
        if self._throttle is not None:
            return f"{self.place} takes no more calls for now; {next_try}. {self._throttle}"
        if self._silent_since is None:
            return f"{self.place} is asked too often; {next_try}."
        since = f"{self._silent_since:%Y-%m-%d %H:%M:%S} UTC"
        return f"{self.place} has not answered since {since}; {next_try}. {self._reason}"

    def _note_heard(self, *, was_away: bool) -> None:
        self._silent_since = None
        self._is_asked = False
        self._heard_at = self._clock()
        if was_away:
            _log.info("system.back", system=self._system.name, host=self._system.host)
