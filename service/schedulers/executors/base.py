"""What a worker needs of whatever launches attempts.

An executor belongs to one worker and to its event loop; its methods may be called at the same
time for different attempts, never for the same one. Everything is addressed by names that the
server gives: whoever takes over from a worker that died finds what that one left by the same
names.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from service.domain.attempts import Ending

MOST_ROWS = 1_000
"""Of one sighting that the server is told at once."""


@dataclass(frozen=True, slots=True)
class Launch:
    """An attempt to be launched; of one that nobody wants any more only the id is known.

    Attributes:
        attempt_id: Its name, which no other attempt anywhere has.
        run_id: Its name outside: its own, or, of an attempt that goes on where a preempted one
            had to leave off, that one's.
        study: The name of its study.
        trial: Number of its trial.
        attempt: Which execution of the trial it is, from 1.
        params: As the program gets them, nested.
        metrics: Names of the values that the program is to produce, one per objective.
        directions: Of the objectives, "minimize" or "maximize".
        arguments: The executor's own, from the sweep.
        mirror_ref: The sweep in the outside system that it belongs to, if there is one.
        environment: ASKTELL_* variables for the program; one of them is a secret.
        external_ref: What an earlier launch of it returned, if that is known.
        stop_reason: Why it is stopped, in a word, once that is known.
    """

    attempt_id: str
    run_id: str = ""
    study: str = ""
    trial: int = 0
    attempt: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    directions: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    mirror_ref: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    external_ref: str | None = None
    stop_reason: str | None = None

    @property
    def is_resumed(self) -> bool:
        """Whether it goes on where a preempted attempt had to leave off."""
        return self.run_id not in ("", self.attempt_id)


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
        rows: Metric rows from the cursor on, in the order in which they were given. More than
            `MOST_ROWS`, be it only by one, say that there are more to see than can be told.
        log_offset: Of the first byte of `log`: larger than asked for if a part is gone already.
        log: What it has printed from there on, as much of it as is sent at a time.
        ending: Once it has ended and all its rows are known, be there more of them, or of the log,
            than this sighting holds, or not. `values` is filled.
        note: What people should know of it while it runs.
    """

    is_running: bool
    rows: Sequence[MetricRow] = ()
    log_offset: int = 0
    log: bytes = b""
    ending: Ending | None = None
    note: str | None = None


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


class SweepRefused(LaunchRefused):
    """No attempt of its sweep can ever start, whoever tries; the message says why, for people."""


class Unanswered(Exception):
    """The operation was begun, and nobody knows whether it was done."""


class StillRunning(Exception):
    """An attempt that has not ended cannot be forgotten."""


class Executor(Protocol):
    """One way to launch attempts, follow them and stop them.

    Attributes:
        name: As sweeps name it.
        is_shared: Whether a worker can follow and stop what another one has launched. If not, an
            attempt is bound to its worker.
    """

    name: str
    is_shared: bool

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

    async def stop(self, launch: Launch, kind: StopKind) -> None:
        """Has an attempt ended; returns before it is. Idempotent, also for what has ended.

        A graceful stop becomes harder by itself as time goes by. What was never launched is never
        going to be.
        """

    async def forget(self, launch: Launch) -> None:
        """Removes what is kept of an attempt that has ended; idempotent.

        A shared executor removes what it keeps of any attempt: another worker may go on with it.

        Raises:
            StillRunning: It has not ended; nothing was removed.
        """

    async def list_left_over(self, known: Collection[str]) -> list[str]:
        """Attempts of earlier lives of this worker that are still here, except the known ones."""

    def url(self, external_ref: str) -> str | None:
        """Where a person can look at the attempt outside, if there is such a place."""

    def classify(self, error: Exception) -> ErrorKind:
        """Tells whether an operation that failed like this may be tried again."""

    async def tend(self) -> None:
        """Does what there is to do on the side, as long as the worker runs; then it is cancelled.

        It returns if there is nothing of the kind.
        """
