"""How a program is made to end: which signal is due, and when."""

import signal
from typing import NamedTuple


class Step(NamedTuple):
    """A signal, so many seconds after the stop began."""

    after_seconds: float
    number: signal.Signals


AT_ONCE = (Step(0.0, signal.SIGKILL),)

# What outlives its program gets a moment to end by itself.
FOR_LEFT_OVERS = (Step(0.2, signal.SIGTERM), Step(2.0, signal.SIGKILL))


def build_graceful_steps(stop_seconds: float, kill_seconds: float) -> tuple[Step, ...]:
    """Ask, then tell after `stop_seconds`, then kill `kill_seconds` later."""
    return (
        Step(0.0, signal.SIGINT),
        Step(stop_seconds, signal.SIGTERM),
        Step(stop_seconds + kill_seconds, signal.SIGKILL),
    )


class Ladder:
    """A stop under way; the times are those of one monotonic clock."""

    def __init__(self, steps: tuple[Step, ...], begun: float) -> None:
        self._steps = list(steps)
        self._begun = begun

    @property
    def next_at(self) -> float | None:
        """When there is something to do; None once all was done."""
        return self._begun + self._steps[0].after_seconds if self._steps else None

    def take_due(self, now: float) -> signal.Signals | None:
        """Returns the hardest signal that is due and was not taken yet."""
        due = None
        while self._steps and self._begun + self._steps[0].after_seconds <= now:
            due = self._steps.pop(0).number
        return due
