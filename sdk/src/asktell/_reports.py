"""Reports of one attempt that the server has not taken yet, and its last decision.

A report is kept until the server has confirmed it. While the server is away reports pile up here,
and heartbeats, the next report or the tell deliver them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from asktell import _protocol
from asktell._json import encode_number
from asktell._requests import Request
from asktell._retries import Clock, Patience

LARGEST_STEP = 2**31 - 1

# Some ten megabytes; an hour of thirty reports a second.
MOST_KEPT = 100_000

# The server has its pruner decide after each, one by one.
MOST_DELIVERED = 500

_logger = logging.getLogger("asktell")


@dataclass(frozen=True, slots=True)
class Delivery:
    """The oldest points on their way to the server.

    Attributes:
        indices: Which of the attempt's points they are.
    """

    request: Request
    indices: range


class Reports:
    """The points of one attempt, in the order in which they were reported.

    One thread adds points. It and the one for heartbeats may deliver at the same time: the server
    takes a point once, and every delivery begins with the oldest point that is not confirmed, so
    none overtakes another. There is no lock that a fork could leave locked; each access to the
    dictionary is atomic.

    Attributes:
        should_prune: The last decision that was heard of; None before the first.
    """

    def __init__(self, study: str, number: int, *, attempt: int) -> None:
        self.should_prune: bool | None = None
        self._study = study
        self._number = number
        self._attempt = attempt
        self._points: dict[int, tuple[int, float | str]] = {}
        self._added = 0
        self._patience: Patience | None = None

    @property
    def is_away(self) -> bool:
        """Whether the server was away when it was last needed, and something waits for it."""
        return self._patience is not None

    @property
    def is_full(self) -> bool:
        """Whether no more points are kept."""
        return len(self._points) >= MOST_KEPT

    def keep(self, value: Any, step: Any) -> None:
        """Adds a point.

        Raises:
            TypeError: The value is no number, or the step is not whole.
            ValueError: The step is out of range.
        """
        self._points[self._added] = (_read_step(step), encode_number(value))
        self._added += 1

    def next_delivery(self) -> Delivery | None:
        """The oldest points; None if there are none."""
        points = dict(islice(self._points.copy().items(), MOST_DELIVERED))
        if not points:
            return None
        request = _protocol.report(
            self._study, self._number, attempt=self._attempt, points=points.values()
        )
        return Delivery(request, range(min(points), max(points) + 1))

    def confirm(self, delivery: Delivery, answer: Mapping[str, Any]) -> None:
        """Forgets what the server has taken, and notes its decision; a yes is for good."""
        was_away = self.is_away
        self.drop(delivery)
        self.should_prune = bool(self.should_prune) or bool(answer["should_prune"])
        if was_away and not self.is_away:
            _logger.info("All reports of trial %d are delivered.", self._number)

    def drop(self, delivery: Delivery) -> None:
        """Forgets what the server has taken, or will not take."""
        for index in delivery.indices:
            self._points.pop(index, None)
        if not self._points:
            self._patience = None

    def clear(self) -> None:
        """Forgets all points."""
        self._points.clear()
        self._patience = None

    def await_server(self, error: Exception, clock: Clock) -> None:
        """From now on, keeps points without a try at delivering each."""
        if not self.is_away:
            _logger.warning("Reports of trial %d are kept for now: %s", self._number, error)
            self._patience = Patience(clock, max_retries=None, deadline_seconds=math.inf)

    def next_pause(self) -> float | None:
        """How long to wait before the next try; None while the server is not away."""
        patience = self._patience
        return None if patience is None else patience.next_pause(0.0)


def _read_step(step: Any) -> int:
    whole = int(step)
    if whole != step:
        raise TypeError(f"A step is a whole number, not {step!r}.")
    if not 0 <= whole <= LARGEST_STEP:
        raise ValueError(f"Step {whole} is out of range: use 0 to {LARGEST_STEP}.")
    return whole
