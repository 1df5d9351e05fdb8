"""What a worker is to whoever gives it attempts."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Worker:
    """Who handles attempts.

    Attributes:
        worker_id: Its own, kept wherever it keeps its attempts; another worker has another.
        name: For people.
        host: The machine.
    """

    worker_id: str
    name: str
    host: str


class WorkerState(StrEnum):
    """Whether a worker takes attempts: `DRAINING` ends those that it has, and leaves."""

    ACTIVE = "active"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker says of itself.

    Attributes:
        queue: It takes attempts of sweeps of this queue only.
        executors: It takes those that one of these launches.
        slots: How many attempts it handles at a time.
        busy: How many it is at.
    """

    worker: Worker
    queue: str
    executors: tuple[str, ...]
    slots: int
    busy: int
    state: WorkerState
    version: str


@dataclass(frozen=True, slots=True)
class KnownWorker:
    """A worker that has not left, as it last reported."""

    report: WorkerReport
    started_at: datetime
    last_seen_at: datetime

    def is_away(self, now: datetime) -> bool:
        """Whether it has missed several reports."""
        return self.last_seen_at < compute_away_since(now)


def compute_away_since(now: datetime) -> datetime:
    """Returns since when a worker has to be unheard of to count as away."""
    return now - _AWAY_AFTER


_AWAY_AFTER = timedelta(seconds=30)
