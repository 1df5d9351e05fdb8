"""Waiting for a trial that others make room for, or that a paused study holds back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from asktell._errors import ApiError, StudyPausedError, TooManyRequestsError
from asktell._retries import LONGEST_RETRY_AFTER_SECONDS

if TYPE_CHECKING:
    from asktell._retries import Clock

# A server holds back its answer for a minute at most.
LONGEST_WAIT_SECONDS = 30.0

# After a refusal that names no time.
PAUSE_SECONDS = 1.0

_Answer = TypeVar("_Answer")


def wait_for_room(ask: Callable[[float], _Answer], *, seconds: float, clock: Clock) -> _Answer:
    """What `ask` returns, as soon as it is not refused for lack of room or during a pause.

    Args:
        ask: Takes the seconds for which the server may hold back its answer.
        seconds: After how long the refusal is raised; 0 for the first one.
        clock: Source of time.

    Raises:
        StudyPausedError: The study was paused all the time.
        TooManyRequestsError: As many trials ran as the study allows, all the time.
    """
    ends_at = clock.monotonic() + seconds
    while True:
        remaining = max(0.0, ends_at - clock.monotonic())
        try:
            return ask(min(remaining, LONGEST_WAIT_SECONDS))
        except (StudyPausedError, TooManyRequestsError) as refusal:
            pause = pause_after(refusal)
            if clock.monotonic() + pause >= ends_at:
                raise
            clock.sleep(pause)


def pause_after(refusal: ApiError) -> float:
    """Seconds until it makes sense to ask again."""
    return min(refusal.retry_after_seconds or PAUSE_SECONDS, LONGEST_RETRY_AFTER_SECONDS)
