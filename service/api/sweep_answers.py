"""Answers about sweeps, attempts and workers: their shape, and how they become JSON."""

from datetime import datetime
from typing import Any

from pydantic import Field

from service.api.answers import (
    Answer,
    StudyAnswer,
    StudyDetailAnswer,
    to_study,
    to_study_detail,
    to_timestamp,
)
from service.domain.attempts import AttemptState, Instruction, StopCause, build_attempt_id
from service.domain.mirrors import Mirror, MirrorState, describe_problem
from service.domain.studies import Direction
from service.domain.sweeps import LaunchSpec, SweepState
from service.domain.workers import KnownWorker, WorkerState
from service.engine.claim import ClaimedAttempt
from service.storage.attempts import StoredAttempt
from service.storage.reads import StoredStudy
from service.storage.sweeps import AttemptCounts, SweepSummary


class AttemptCountsAnswer(Answer):
    """Attempts by their states."""

    launching: int
    running: int
    stopping: int
    succeeded: int
    failed: int
    pruned: int
    cancelled: int
    preempted: int
    lost: int


class MirrorAnswer(Answer):
    """The sweep that an outside system has for the runs."""

    external_ref: str | None = Field(description="Its name there; null: there is none")
    url: str | None = Field(description="Its page there")
    state: MirrorState | None = Field(description="Of both, when they were last the same")
    problem: str | None = Field(description="Why there is none, or it cannot be kept for now")


class LaunchingAnswer(Answer):
    """What makes a study a sweep, and how its launches stand."""

    id: str
    state: SweepState
    queue: str
    executor: str
    wanted: int | None = Field(
        description="Attempts that could start now if workers had slots; null: any number"
    )
    waiting_since: datetime | None = Field(description="null if none are wanted")
    mirror: MirrorAnswer | None = Field(description="null: none is wanted")
    attempts: AttemptCountsAnswer


class LaunchingDetailAnswer(LaunchingAnswer):
    launch: dict[str, Any] = Field(description="How attempts are launched, as it was created")


class SweepAnswer(StudyAnswer):
    """A sweep as lists show it: a study, with what makes it a sweep."""

    sweep: LaunchingAnswer


class SweepDetailAnswer(StudyDetailAnswer):
    """A sweep: a study with everything about it, and with what makes it a sweep."""

    sweep: LaunchingDetailAnswer


class CreatedSweepAnswer(SweepDetailAnswer):
    notes: list[str] = Field(
        description="What was made of a sweep file, or of Python, and may surprise"
    )


class SweepPageAnswer(Answer):
    sweeps: list[SweepAnswer]
    next_cursor: str | None = Field(description="Pass it as cursor for the next page")


class AttemptAnswer(Answer):
    """An attempt that a worker was given."""

    id: str
    trial: int
    attempt: int
    state: AttemptState
    worker: str
    worker_id: str
    host: str
    external_ref: str | None = Field(description="Its id in the outside system")
    url: str | None = Field(description="Its page in the outside system")
    note: str | None = Field(description="What its worker has to say of it")
    claimed_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    signal: int | None = Field(description="That ended the program")
    reason: str | None = Field(description="Why it failed")
    log_bytes: int = Field(description="How much its program has printed")


class AttemptPageAnswer(Answer):
    attempts: list[AttemptAnswer]
    next_cursor: str | None = Field(description="Pass it as cursor for the next page")


class ClaimedAttemptAnswer(Answer):
    """An attempt for a worker to launch, or to go on with."""

    id: str
    study: str
    trial: int
    attempt: int
    claim: int = Field(description="To be sent with everything that is said of the attempt")
    state: AttemptState
    external_ref: str | None
    params: dict[str, Any]
    metrics: list[str] = Field(description="Names of the values to look for, one per objective")
    directions: list[Direction] = Field(description="Of the objectives")
    run_id: str = Field(
        description="Its name in an outside system: its id, or that of the preempted attempt that "
        "it goes on with"
    )
    mirror_ref: str | None = Field(
        description="The sweep in the outside system that it belongs to, if there is one"
    )
    launch: dict[str, Any]
    lease_expires_at: datetime | None
    token: str | None = Field(description="For the program; good for this attempt only")


class ClaimAnswer(Answer):
    attempts: list[ClaimedAttemptAnswer]
    unreachable: list[str] = Field(
        description="Ids of attempts that the worker has and does not hold, and that it cannot be "
        "given just now: leave their programs alone"
    )


class InstructionAnswer(Answer):
    """What a worker is to do with an attempt."""

    stop: StopCause | None = Field(description="null: nothing, let it run")
    is_over: bool = Field(description="Nothing more needs to be said of it")
    lease_expires_at: datetime | None


class WorkerAnswer(Answer):
    """A worker as it last reported."""

    id: str
    name: str
    host: str
    queue: str
    slots: int
    busy: int
    executors: list[str]
    state: WorkerState
    version: str
    started_at: datetime
    last_seen_at: datetime
    is_away: bool = Field(description="It has missed its last reports")


class WorkersAnswer(Answer):
    workers: list[WorkerAnswer] = Field(description="By name")


def to_sweep(sweep: SweepSummary, attempts: AttemptCounts) -> dict[str, Any]:
    return {**to_study(sweep.study), "sweep": _to_launching(sweep, attempts)}


def to_sweep_detail(
    study: StoredStudy, sweep: SweepSummary, attempts: AttemptCounts
) -> dict[str, Any]:
    launching = _to_launching(sweep, attempts)
    launching["launch"] = to_launch(sweep.sweep.launch)
    return {**to_study_detail(study), "sweep": launching}


def to_launch(launch: LaunchSpec) -> dict[str, Any]:
    """As clients write it."""
    return {"executor": launch.executor, "queue": launch.queue, **launch.arguments}


def to_attempt(sweep_id: str, attempt: StoredAttempt) -> dict[str, Any]:
    launch = attempt.launch
    return {
        "id": build_attempt_id(sweep_id, launch.number, launch.attempt),
        "trial": launch.number,
        "attempt": launch.attempt,
        "state": launch.state,
        "worker": launch.worker_name,
        "worker_id": launch.worker_id,
        "host": launch.host,
        "external_ref": launch.external_ref,
        "url": launch.url,
        "note": launch.note,
        "claimed_at": to_timestamp(launch.claimed_at),
        "started_at": to_timestamp(launch.started_at),
        "ended_at": to_timestamp(launch.ended_at),
        "exit_code": launch.exit_code,
        "signal": launch.signal,
        "reason": launch.reason,
        "log_bytes": attempt.log_bytes,
    }


def to_claimed_attempt(claimed: ClaimedAttempt, token: str) -> dict[str, Any]:
    return {
        "id": claimed.attempt_id,
        "study": claimed.study,
        "trial": claimed.asked.number,
        "attempt": claimed.asked.attempt,
        "claim": claimed.launch.claim,
        "state": claimed.launch.state,
        "external_ref": claimed.launch.external_ref,
        "params": claimed.asked.params,
        "metrics": [objective.name for objective in claimed.objectives],
        "directions": [objective.direction for objective in claimed.objectives],
        "run_id": claimed.run_id,
        "mirror_ref": claimed.mirror_ref,
        "launch": to_launch(claimed.spec),
        "lease_expires_at": to_timestamp(claimed.asked.lease_expires_at),
        "token": token,
    }


def to_instruction(instruction: Instruction) -> dict[str, Any]:
    return {
        "stop": instruction.stop,
        "is_over": instruction.is_over,
        "lease_expires_at": to_timestamp(instruction.lease_expires_at),
    }


def to_worker(worker: KnownWorker, now: datetime) -> dict[str, Any]:
    report = worker.report
    return {
        "id": report.worker.worker_id,
        "name": report.worker.name,
        "host": report.worker.host,
        "queue": report.queue,
        "slots": report.slots,
        "busy": report.busy,
        "executors": report.executors,
        "state": report.state,
        "version": report.version,
        "started_at": to_timestamp(worker.started_at),
        "last_seen_at": to_timestamp(worker.last_seen_at),
        "is_away": worker.is_away(now),
    }


def _to_launching(sweep: SweepSummary, attempts: AttemptCounts) -> dict[str, Any]:
    return {
        "id": sweep.sweep.sweep_id,
        "state": sweep.state,
        "queue": sweep.sweep.launch.queue,
        "executor": sweep.sweep.launch.executor,
        "wanted": sweep.wanted,
        "waiting_since": to_timestamp(sweep.waiting_since),
        "mirror": None if sweep.mirror is None else _to_mirror(sweep.mirror, sweep.state),
        "attempts": {state.value: attempts.get(state, 0) for state in AttemptState},
    }


def _to_mirror(mirror: Mirror, ours: SweepState) -> dict[str, Any]:
    return {
        "external_ref": mirror.external_ref,
        "url": mirror.url,
        "state": mirror.agreed,
        "problem": describe_problem(mirror, ours),
    }
