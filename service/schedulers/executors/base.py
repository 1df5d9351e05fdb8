"""What a worker needs of whatever launches attempts.

An executor belongs to one worker and to its event loop; its methods may be called at the same
time for different attempts, never for the same one. Everything is addressed by the attempt's id,
which is also its name outside: whoever takes over from a worker that died finds what that one
left by the same names.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from service.domain.attempts import Ending


@dataclass(frozen=True, slots=True)
class Launch:
    """An attempt to be launched.

    Attributes:
        attempt_id: Its name, which no other attempt anywhere has.
        params: As the program gets them, nested.
        metrics: Names of the values that the program is to produce.
        arguments: The executor's own, from the sweep.
        environment: ASKTELL_* variables for the program; one of them is a secret.
    """

    attempt_id: str
    params: Mapping[str, Any]
    metrics: tuple[str, ...]
    arguments: Mapping[str, Any]
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Watch:
    """An attempt to look at.

    Attributes:
        cursor: How many of its metric rows were seen before.
        log_offset: How many bytes of its log were.
    """

    launch: Launch
    cursor: int = 0
    log_offset: int = 0


@dataclass(frozen=True, slots=True)
class MetricRow:
    """Metrics that a program gave at one step, by name; NaN and infinities are values too."""

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Sighting:
    """What there is to see of an attempt.

    Attributes:
        is_running: Seen at work; False before it is, and once it has ended.
        rows: Metric rows from the cursor on, in the order in which they were given.
        log_offset: Of the first byte of `log`: larger than asked for if a part is gone already.
        log: What it has printed from there on, as much of it as is sent at a time.
        ending: Once it has ended and `rows` holds the last one, be there more of the log or not.
            `values` is filled.
    """

    is_running: bool
    rows: Sequence[MetricRow] = ()
    log_offset: int = 0
    log: bytes = b""
    ending: Ending | None = None


class StopKind(StrEnum):
    """How much a program may do before it is gone.

    `GRACEFUL`: it is asked, then told, then killed. `AT_ONCE`: it is killed.
    """

    GRACEFUL = "graceful"
    AT_ONCE = "at_once"


class ErrorKind(StrEnum):
    """Whether trying again can help."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"


class LaunchRefused(Exception):
    """The attempt can never start here; the message says why, for people."""


class StillRunning(Exception):
    """An attempt that has not ended cannot be forgotten."""


class Executor(Protocol):
    """One way to launch attempts, follow them and stop them.

    Attributes:
        name: As sweeps name it.
    """

    name: str

    async def launch(self, launch: Launch) -> str:
        """Starts the attempt unless it was started before, and returns its outside reference.

        Idempotent by the attempt's id, across the death of the worker at any point: one attempt
        is executed at most once, and never again once it has ended.

        Raises:
            LaunchRefused: It can never start; `classify` calls this permanent.
            Exception: `classify` tells whether to try again.
        """

    async def poll(self, watches: Sequence[Watch]) -> Mapping[str, Sighting]:
        """Looks at attempts that were launched, all at once; returns sightings by attempt id.

        Changes nothing: the same cursor gives the same rows again. What is not in the answer
        could not be looked at this time; what nothing is known of has vanished.
        """

    async def stop(self, attempt_id: str, kind: StopKind) -> None:
        """Has an attempt ended; returns before it is. Idempotent, also for what has ended.

        A graceful stop becomes harder by itself as time goes by. What was never launched is never
        going to be.
        """

    async def forget(self, attempt_id: str) -> None:
        """Removes what is kept of an attempt that has ended; idempotent.

        Raises:
            StillRunning: It has not; nothing was removed.
        """

    async def list_left_over(self, known: Collection[str]) -> list[str]:
        """Attempts of earlier lives of this worker that are still here, except the known ones."""

    def url(self, external_ref: str) -> str | None:
        """Where a person can look at the attempt outside, if there is such a place."""

    def classify(self, error: Exception) -> ErrorKind:
        """Tells whether an operation that failed like this may be tried again."""
