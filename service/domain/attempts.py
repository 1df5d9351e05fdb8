"""What an attempt is while a worker handles it: its state, what is seen of it, how it ends."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AttemptState(StrEnum):
    """Where an attempt is that a worker was given.

    `LAUNCHING`: a worker has it. `RUNNING`: it was seen at work. `STOPPING`: it was told to end.
    `SUCCEEDED`, `FAILED` and `PRUNED` are the ends of its trial, or `FAILED` that of the attempt
    alone. `CANCELLED`: a person had it stopped. `PREEMPTED`: its worker had to go. `LOST`: nobody
    knows.
    """

    LAUNCHING = "launching"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PRUNED = "pruned"
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"
    LOST = "lost"

    @property
    def is_over(self) -> bool:
        return self not in _OPEN


_OPEN = frozenset({AttemptState.LAUNCHING, AttemptState.RUNNING, AttemptState.STOPPING})


class StopCause(StrEnum):
    """Why a worker is told to end an attempt.

    `PRUNED`: the pruner has decided. `CANCELLED`: a person has. `OVER`: its trial has ended; what
    still runs may finish what it is at, for a moment.
    """

    PRUNED = "pruned"
    CANCELLED = "cancelled"
    OVER = "over"


class EndingKind(StrEnum):
    """How an execution ended, as its worker saw it.

    `EXITED`: by itself or by a signal. `FAILED`: what it ran as in the outside system did, and its
    message says how. `TIMED_OUT`: the worker stopped it at its time limit. `PREEMPTED`: the worker
    stopped it because it had to go itself. `NOT_STARTED`: it can never start. `REFUSED`: neither
    can any other of its sweep, and the message says why. `VANISHED`: it is gone, and nothing tells
    how it went. `CANCELLED`: a person ended it in the outside system.
    """

    EXITED = "exited"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    PREEMPTED = "preempted"
    NOT_STARTED = "not_started"
    REFUSED = "refused"
    VANISHED = "vanished"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of an execution.

    Attributes:
        exit_code: Of its process; None if a signal ended that, or nobody has seen one.
        signal: Number of the signal that ended it.
        message: What there is to say beyond that, for people; of what has `FAILED`, all there is.
        values: The last value of each metric that was seen, by name.
    """

    kind: EndingKind
    exit_code: int | None = None
    signal: int | None = None
    message: str | None = None
    values: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What a worker saw of an attempt since the last time.

    Attributes:
        claim: The right by which it speaks.
        state: RUNNING or STOPPING; LAUNCHING before it was seen at work.
        external_ref: Its id in the outside system, once there is one.
        url: Where people can look at it there.
        note: What they should know of it; empty: nothing any more; None: as before.
        points: (step, value) of the only objective.
        ending: Once it has ended.
    """

    attempt: int
    claim: int
    state: AttemptState
    external_ref: str | None = None
    url: str | None = None
    note: str | None = None
    points: tuple[tuple[int, float], ...] = ()
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class Instruction:
    """What a worker is to do with an attempt.

    Attributes:
        stop: None: nothing, let it run.
        is_over: Nothing more needs to be said of the attempt; its trial has ended, or waits for
            another attempt.
        lease_expires_at: The attempt counts as lost without a word until then; None: never.
    """

    stop: StopCause | None
    is_over: bool
    lease_expires_at: datetime | None


def build_attempt_id(sweep_id: str, number: int, attempt: int) -> str:
    """Returns the name of an attempt, the same everywhere outside: `k3v9x2ab-12-1`."""
    return f"{sweep_id}-{number}-{attempt}"


def find_run_attempt(attempt: int, preempted: Collection[int]) -> int:
    """Returns the attempt under whose name `attempt` is known in an outside system.

    What a worker's leaving has ended goes on there under the same name: it is the first of the
    row of preempted attempts just before this one, or itself.

    Args:
        preempted: Those attempts of the same trial that ended because their worker had to go.
    """
    while attempt - 1 in preempted:
        attempt -= 1
    return attempt


def parse_attempt_id(attempt_id: str) -> tuple[str, int, int] | None:
    """Returns sweep id, trial number and attempt; None for what is no attempt's name."""
    match = _ATTEMPT_ID.fullmatch(attempt_id)
    return None if match is None else (match[1], int(match[2]), int(match[3]))


_ATTEMPT_ID = re.compile(r"([0-9a-z]{8})-(0|[1-9][0-9]{0,9})-([1-9][0-9]{0,9})")
