"""What the server tells about sweeps, their attempts and the workers, as immutable values.

Fields that this version does not know are ignored, as in `_records`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asktell._json import read_time
from asktell._records import StudySummary, read_optional_time, read_summary

OVER = frozenset({"finished", "failed", "cancelled"})
OPEN_ATTEMPTS = frozenset({"launching", "running", "stopping"})


@dataclass(frozen=True, slots=True)
class Mirror:
    """The sweep that an outside system has for the runs of one of ours.

    Attributes:
        external_ref: Its name there; None if there is none.
        url: Its page there.
        state: What both were when they were last the same: `running`, `paused`, `finished` or
            `cancelled`.
        problem: Why there is none, or it cannot be kept for now.
    """

    external_ref: str | None
    url: str | None
    state: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class SweepSummary:
    """A sweep at one moment.

    Attributes:
        name: That of its study, by which it is found.
        id: Eight letters and digits, with which the ids of its attempts begin.
        state: `active`, `paused`, `stopping` while the last trials run; then `finished`,
            `failed` (too many trials in a row, or none can start) or `cancelled`.
        queue: Only workers of this queue take its trials.
        executor: How its trials are launched.
        wanted: How many trials could start now if a worker had room; None: any number.
        waiting_since: Since when one could, and none did.
        mirror: The sweep that an outside system has for its runs; None: none is wanted.
        attempts: How many of its attempts are in which state; without those that are in none.
        study: Its study at that moment: counts of trials, progress, the best one.
    """

    name: str
    id: str
    state: str
    queue: str
    executor: str
    wanted: int | None
    waiting_since: datetime | None
    mirror: Mirror | None
    attempts: dict[str, int]
    study: StudySummary

    @property
    def is_over(self) -> bool:
        """Whether nothing of it runs, and nothing will unless its budget is raised."""
        return self.state in OVER

    @property
    def open_attempts(self) -> int:
        """How many attempts workers are at."""
        return sum(count for state, count in self.attempts.items() if state in OPEN_ATTEMPTS)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of a sweep's trial.

    Attributes:
        id: Its name everywhere, such as `k3v9x2ab-12-1`.
        trial: Number of its trial.
        attempt: Which execution of the trial it is, from 1.
        state: `launching`, `running` or `stopping`; then `succeeded`, `failed`, `pruned`,
            `cancelled`, `preempted` or `lost`.
        worker: Name of the worker that has or had it.
        external_ref: What the outside calls it.
        url: Its page there.
        note: What its worker has to say of it.
        exit_code: None while it runs, and where a signal ended it.
        signal: Number of that signal.
        reason: Why it failed, in words.
        log_bytes: How much it has written so far.
    """

    id: str
    trial: int
    attempt: int
    state: str
    worker: str | None
    worker_id: str | None
    host: str | None
    external_ref: str | None
    url: str | None
    note: str | None
    claimed_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    signal: int | None
    reason: str | None
    log_bytes: int

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state not in OPEN_ATTEMPTS


@dataclass(frozen=True, slots=True)
class AttemptLog:
    """A part of what an attempt has written.

    Attributes:
        start: Offset in bytes of its first; larger than the one asked for where the server has
            dropped what was there.
        end: Offset after its last; ask for this one to go on.
    """

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker, as it was heard of last.

    Attributes:
        slots: How many attempts it runs at a time at most.
        busy: How many it runs.
        state: `active`, or `draining` when it takes no more.
        is_away: Nothing was heard of it for half a minute.
    """

    id: str
    name: str
    host: str
    queue: str
    executors: tuple[str, ...]
    slots: int
    busy: int
    state: str
    is_away: bool
    started_at: datetime
    last_seen_at: datetime


def read_sweep_summary(document: Mapping[str, Any]) -> SweepSummary:
    sweep = document["sweep"]
    return SweepSummary(
        name=document["name"],
        id=sweep["id"],
        state=sweep["state"],
        queue=sweep["queue"],
        executor=sweep["executor"],
        wanted=sweep["wanted"],
        waiting_since=read_optional_time(sweep["waiting_since"]),
        mirror=_read_mirror(sweep["mirror"]),
        attempts={state: count for state, count in sweep["attempts"].items() if count},
        study=read_summary(document),
    )


def read_attempt(document: Mapping[str, Any]) -> Attempt:
    return Attempt(
        id=document["id"],
        trial=document["trial"],
        attempt=document["attempt"],
        state=document["state"],
        worker=document["worker"],
        worker_id=document["worker_id"],
        host=document["host"],
        external_ref=document["external_ref"],
        url=document["url"],
        note=document["note"],
        claimed_at=read_optional_time(document["claimed_at"]),
        started_at=read_optional_time(document["started_at"]),
        ended_at=read_optional_time(document["ended_at"]),
        exit_code=document["exit_code"],
        signal=document["signal"],
        reason=document["reason"],
        log_bytes=document["log_bytes"],
    )


def read_log(text: str, headers: Mapping[str, str]) -> AttemptLog:
    return AttemptLog(text, int(headers["Asktell-Log-Start"]), int(headers["Asktell-Log-End"]))


def read_worker(document: Mapping[str, Any]) -> Worker:
    return Worker(
        id=document["id"],
        name=document["name"],
        host=document["host"],
        queue=document["queue"],
        executors=tuple(document["executors"]),
        slots=document["slots"],
        busy=document["busy"],
        state=document["state"],
        is_away=document["is_away"],
        started_at=read_time(document["started_at"]),
        last_seen_at=read_time(document["last_seen_at"]),
    )


def _read_mirror(document: Mapping[str, Any] | None) -> Mirror | None:
    if document is None:
        return None
    return Mirror(
        external_ref=document["external_ref"],
        url=document["url"],
        state=document["state"],
        problem=document["problem"],
    )
