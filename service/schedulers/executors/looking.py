"""Looks at attempts that run in an outside system: in the background, one look at a time."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import structlog

from service.schedulers.executors.base import Launch, Sighting, Watch
from service.schedulers.executors.connection.connection import SystemAway, SystemRefused

_log = structlog.get_logger(__name__)


class Seen(Protocol):
    """An attempt as it was seen last.

    Attributes:
        trouble: Why it cannot be looked at now; None if it can.
    """

    trouble: str | None


class Followed(Protocol):
    """An attempt whose metrics were read as far as it was seen.

    Attributes:
        is_found: The system has it, or was asked for it.
    """

    is_found: bool

    def build_sighting(self, cursor: int) -> Sighting: ...


def build_sightings(watches: Iterable[Watch], known: Mapping[str, Followed]) -> dict[str, Sighting]:
    """Returns what was seen last of those that were found, by attempt id."""
    found = ((watch, known.get(watch.launch.attempt_id)) for watch in watches)
    return {
        watch.launch.attempt_id: attempt.build_sighting(watch.cursor)
        for watch, attempt in found
        if attempt is not None and attempt.is_found
    }


class BackgroundLooks:
    """Looks at all attempts that somebody wants to see, together; nobody waits for it.

    What keeps a look from seeing everything is logged once, not again by the looks that follow.

    Args:
        executor: Whose attempts they are, for the log.
        look_at: Looks at attempts, each of them once.
        is_expected: Whether something is to happen soon to the attempt of that id.
        tick_seconds: From the end of one look to the next.
        soonest_seconds: The same where something is expected.
        clock: Seconds that only go up.
    """

    def __init__(
        self,
        executor: str,
        look_at: Callable[[Sequence[Launch]], Awaitable[None]],
        *,
        is_expected: Callable[[str], bool],
        tick_seconds: float,
        soonest_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._executor = executor
        self._look_at = look_at
        self._is_expected = is_expected
        self._tick_seconds = tick_seconds
        self._soonest_seconds = soonest_seconds
        self._clock = clock
        self._wanted: dict[str, Launch] = {}
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = -math.inf
        self._trouble = ""

    def want(self, launches: Iterable[Launch]) -> None:
        """Has these looked at by the next look, which begins now if it is due."""
        self._wanted |= {launch.attempt_id: launch for launch in launches}
        if self._looking is None and self._clock() >= self._looked_at + self._choose_pause():
            self._looking = asyncio.create_task(self._look())

    def forget(self, attempt_id: str) -> None:
        """Nobody wants to see that attempt any more."""
        self._wanted.pop(attempt_id, None)

    def note_trouble(self, reason: str) -> None:
        """Something cannot be seen by the look that is under way."""
        self._trouble = reason

    @contextmanager
    def noting_trouble(self, attempts: Iterable[Seen]) -> Iterator[None]:
        """What the system has against some must not hide others, and says nothing of any."""
        try:
            yield
        except (SystemAway, SystemRefused) as error:
            self.note_trouble(str(error))
            for attempt in attempts:
                attempt.trouble = str(error)

    def _choose_pause(self) -> float:
        is_expecting = any(map(self._is_expected, self._wanted))
        return self._soonest_seconds if is_expecting else self._tick_seconds

    async def _look(self) -> None:
        launches, self._wanted = list(self._wanted.values()), {}
        self._trouble, had_trouble = "", bool(self._trouble)
        try:
            with self.noting_trouble(()):
                await self._look_at(launches)
        except Exception:
            _log.exception("look.broken", executor=self._executor)
        finally:
            self._looked_at, self._looking = self._clock(), None
        if self._trouble and not had_trouble:
            _log.warning("look.failed", executor=self._executor, reason=self._trouble)
