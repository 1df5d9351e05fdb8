"""What a worker hears of attempts and says of them, as immutable values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from asktell._json import encode_number
from asktell._records import read_optional_time


@dataclass(frozen=True, slots=True)
class ClaimedAttempt:
    """An attempt that a worker was given.

    Attributes:
        attempt_id: Its name, unlike that of any other attempt anywhere.
        trial: Number of its trial.
        attempt: Which execution of the trial it is, from 1.
        claim: The right by which the worker speaks for it; a later one ends this one.
        state: `launching`, or `running` or `stopping` if an earlier life of the worker has seen
            it at work: it must not be launched a second time.
        external_ref: Its id in an outside system, if one was told.
        params: As the program gets them, nested.
        metrics: Names of the values to look for, one per objective.
        directions: Of the objectives, `minimize` or `maximize`.
        run_id: Its name in an outside system: its own id, or that of the preempted attempt that it
            goes on with.
        mirror_ref: The sweep in the outside system that it belongs to, if there is one.
        executor: What is to launch it.
        arguments: What that executor wants to know.
        token: Opens its own trial for the program, and nothing else; None if there is none.
    """

    attempt_id: str
    study: str
    trial: int
    attempt: int
    claim: int
    state: str
    external_ref: str | None
    params: Mapping[str, Any]
    metrics: tuple[str, ...]
    directions: tuple[str, ...]
    run_id: str
    mirror_ref: str | None
    executor: str
    arguments: Mapping[str, Any]
    lease_expires_at: datetime | None
    token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Claimed:
    """The answer to a claim.

    Attributes:
        unreachable: Ids of attempts that the worker has and does not hold, and that it cannot be
            given just now: their programs are to be left alone and keep their slots. What a later
            answer neither names nor gives back is not this worker's any more.
    """

    attempts: Sequence[ClaimedAttempt]
    unreachable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Ending:
    """How the execution of an attempt ended.

    Attributes:
        kind: `exited`, `failed` (what it ran as in the outside system did), `timed_out`,
            `preempted` (the worker had to go), `not_started` (it can never start), `refused`
            (nor can any other of its sweep), `vanished` (nothing tells how it ended) or
            `cancelled` (a person ended it in the outside system).
        exit_code: Of its process; None if a signal ended that, or nobody has seen one.
        signal: Number of the signal that ended it.
        message: What there is to say beyond that, for people; if it `failed`, the whole reason.
        values: The last value of each metric that was seen, by name.
    """

    kind: str
    exit_code: int | None = None
    signal: int | None = None
    message: str | None = None
    values: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Instruction:
    """What to do with an attempt.

    Attributes:
        stop: `pruned` or `cancelled`: end it; `over`: its trial has ended, let it finish what it
            is at, for a moment; None: let it run.
        is_over: Nothing more needs to be said of it.
        lease_expires_at: It counts as lost without another observation until then.
    """

    stop: str | None
    is_over: bool
    lease_expires_at: datetime | None


def read_claimed(document: Mapping[str, Any]) -> ClaimedAttempt:
    arguments = dict(document["launch"])
    return ClaimedAttempt(
        attempt_id=document["id"],
        study=document["study"],
        trial=document["trial"],
        attempt=document["attempt"],
        claim=document["claim"],
        state=document["state"],
        external_ref=document["external_ref"],
        params=document["params"],
        metrics=tuple(document["metrics"]),
        directions=tuple(document["directions"]),
        run_id=document["run_id"],
        mirror_ref=document["mirror_ref"],
        executor=arguments.pop("executor"),
        arguments=arguments,
        lease_expires_at=read_optional_time(document["lease_expires_at"]),
        token=document["token"],
    )


def describe_ending(ending: Ending) -> dict[str, Any]:
    values = ending.values
    return {
        "kind": ending.kind,
        "exit_code": ending.exit_code,
        "signal": ending.signal,
        "message": ending.message,
        "values": values and {name: encode_number(value) for name, value in values.items()},
    }
