"""Answers: their shape for OpenAPI, and how domain objects become JSON.

The models describe and are not run: hot answers are written straight from domain objects.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic_core import to_json

from service.api.fields import NUMBER_SCHEMA
from service.domain.studies import (
    AttemptEnd,
    BestTrial,
    Direction,
    Objective,
    RetryMode,
    StopReason,
    StudyState,
    StudySummary,
)
from service.domain.trials import AskedTrial, AttemptPhase, Decision, TrialState, TrialView
from service.domain.user_code import Role, UserCode
from service.storage.reads import StoredStudy
from service.storage.specs import settings_to_document

JsonNumber = Annotated[float, WithJsonSchema(NUMBER_SCHEMA)]

_LEASE_END = "Without a report or heartbeat until then the attempt counts as lost; null: never"


class Answer(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(extra="forbid")


class ObjectiveAnswer(Answer):
    name: str
    direction: Direction


class ComponentAnswer(Answer):
    type: str
    args: dict[str, Any]


class CountsAnswer(Answer):
    """Trials by Optuna's states, and their sum."""

    waiting: int
    running: int
    complete: int
    pruned: int
    fail: int
    total: int


class BestAnswer(Answer):
    number: int
    value: JsonNumber


class ProgressAnswer(Answer):
    started: int = Field(description="Trials that count towards max_trials")
    max_trials: int | None


class StudyAnswer(Answer):
    """A study as lists show it."""

    name: str
    state: StudyState
    stop_reason: StopReason | None = Field(
        description="Why no new trials are started; null while they are, or the study is paused"
    )
    progress: ProgressAnswer
    objectives: list[ObjectiveAnswer]
    counts: CountsAnswer
    best: BestAnswer | None = Field(description="null with several objectives or no result yet")
    revision: int = Field(description="Rises with every change of the study")
    created_at: datetime
    last_activity_at: datetime


class BudgetAnswer(Answer):
    """When the study stops by itself; null is no limit."""

    max_trials: int | None
    max_seconds: float | None
    max_failures: int | None
    target: float | None
    patience: int | None


class RetryAnswer(Answer):
    max_attempts: int
    on: list[AttemptEnd]
    mode: RetryMode


class PythonAnswer(Answer):
    """The user's Python of a study."""

    sha256: str
    functions: dict[Role, str] = Field(description="The names of those that count, by purpose")


class StudyDetailAnswer(StudyAnswer):
    """A study with everything that decides what it suggests and prunes, and how long it goes on."""

    space: dict[str, Any] | None
    python: PythonAnswer | None = Field(description="Its text is at /studies/{study}/python")
    sampler: ComponentAnswer
    pruner: ComponentAnswer | None
    seed: int
    budget: BudgetAnswer
    parallelism: int | None
    lease_seconds: float | None
    retry: RetryAnswer
    user_attrs: dict[str, Any]
    is_sweep: bool = Field(description="Whether workers launch its trials, see /sweeps/{study}")


class StudyPageAnswer(Answer):
    studies: list[StudyAnswer]
    next_cursor: str | None = Field(description="Pass it as cursor for the next page")


class AskedTrialAnswer(Answer):
    number: int
    attempt: int
    params: dict[str, Any]
    user_attrs: dict[str, Any] = Field(
        description="Enqueued with the trial, or kept of an earlier attempt"
    )
    lease_expires_at: datetime | None = Field(description=_LEASE_END)


class AskAnswer(Answer):
    trials: list[AskedTrialAnswer]


class SuggestAnswer(Answer):
    params: dict[str, Any]


class DecisionAnswer(Answer):
    should_prune: bool
    lease_expires_at: datetime | None = Field(description=_LEASE_END)
    lease_seconds: float | None = Field(
        description="Of this attempt, whatever the study's is by now; null: none"
    )


class PointAnswer(Answer):
    step: int
    value: JsonNumber


class TrialAnswer(Answer):
    """A trial as of the last commit."""

    number: int
    state: TrialState
    params: dict[str, Any]
    values: list[JsonNumber] | None
    intermediate_values: list[PointAnswer]
    user_attrs: dict[str, Any]
    constraints: dict[str, JsonNumber] | None = Field(description="null if none were told")
    attempt: int = Field(description="0 for an enqueued trial that nobody has asked for")
    phase: AttemptPhase
    should_prune: bool
    lease_expires_at: datetime | None
    reason: str | None
    started_at: datetime | None
    finished_at: datetime | None
    ask_seq: int | None
    tell_seq: int | None


class TrialsAnswer(Answer):
    trials: list[TrialAnswer]


class NumbersAnswer(Answer):
    numbers: list[int] = Field(
        description="Of the new trials, in the order in which they were given"
    )


class HealthAnswer(Answer):
    status: Literal["ok"]


class LoginLinkAnswer(Answer):
    url: str = Field(description="Works once, for ten minutes")
    expires_at: datetime


class FieldErrorAnswer(Answer):
    field: str
    message: str


class ProblemAnswer(Answer):
    """RFC 9457. `code` is stable; `detail` says what to do."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str | None
    errors: list[FieldErrorAnswer] | None = None


class JsonAnswer(Response):
    """A response made from plain JSON data."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return render_json(content)


def render_json(content: Any) -> bytes:
    """Plain JSON data as text."""
    try:
        return orjson.dumps(content)
    except TypeError:
        # Integers beyond 64 bits, as attributes may hold them, are too long for orjson.
        return to_json(content)


def to_study(summary: StudySummary) -> dict[str, Any]:
    counts = summary.counts
    return {
        "name": summary.name,
        "state": summary.state,
        "stop_reason": summary.stop_reason,
        "progress": {"started": summary.started, "max_trials": summary.max_trials},
        "objectives": [_to_objective(objective) for objective in summary.objectives],
        "counts": {
            "waiting": counts.waiting,
            "running": counts.running,
            "complete": counts.complete,
            "pruned": counts.pruned,
            "fail": counts.fail,
            "total": counts.total,
        },
        "best": _to_best(summary.best),
        "revision": summary.revision,
        "created_at": to_timestamp(summary.created_at),
        "last_activity_at": to_timestamp(summary.last_activity_at),
    }


def to_study_detail(study: StoredStudy) -> dict[str, Any]:
    spec = study.spec
    pruner = spec.pruner
    return {
        **to_study(study.summary),
        "space": spec.space,
        "python": None if spec.user_code is None else _to_python(spec.user_code),
        "sampler": {"type": spec.sampler.type, "args": spec.sampler.args},
        "pruner": None if pruner is None else {"type": pruner.type, "args": pruner.args},
        "seed": spec.seed,
        **settings_to_document(study.settings),
        "user_attrs": study.user_attrs,
        "is_sweep": study.is_sweep,
    }


def _to_python(code: UserCode) -> dict[str, Any]:
    return {"sha256": code.digest, "functions": code.functions}


def to_asked_trials(trials: Iterable[AskedTrial]) -> dict[str, Any]:
    return {
        "trials": [
            {
                "number": trial.number,
                "attempt": trial.attempt,
                "params": trial.params,
                "user_attrs": trial.user_attrs,
                "lease_expires_at": to_timestamp(trial.lease_expires_at),
            }
            for trial in trials
        ]
    }


def to_decision(decision: Decision) -> dict[str, Any]:
    return {
        "should_prune": decision.should_prune,
        "lease_expires_at": to_timestamp(decision.lease_expires_at),
        "lease_seconds": decision.lease_seconds,
    }


def to_trial(trial: TrialView) -> dict[str, Any]:
    points = sorted(trial.intermediate_values.items())
    return {
        "number": trial.number,
        "state": trial.state,
        "params": trial.params,
        "values": None if trial.values is None else [to_number(value) for value in trial.values],
        "intermediate_values": [{"step": s, "value": to_number(v)} for s, v in points],
        "user_attrs": trial.user_attrs,
        "constraints": _encode_constraints(trial.constraints),
        "attempt": trial.attempt,
        "phase": trial.phase,
        "should_prune": trial.decision.should_prune,
        "lease_expires_at": to_timestamp(trial.decision.lease_expires_at),
        "reason": trial.reason,
        "started_at": to_timestamp(trial.started_at),
        "finished_at": to_timestamp(trial.finished_at),
        "ask_seq": trial.ask_seq,
        "tell_seq": trial.tell_seq,
    }


def _encode_constraints(constraints: Mapping[str, float] | None) -> dict[str, float | str] | None:
    if constraints is None:
        return None
    return {name: to_number(value) for name, value in constraints.items()}


def to_number(value: float) -> float | str:
    """JSON has no NaN and no infinities; they travel as strings."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def to_timestamp(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC, ending in Z."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _to_objective(objective: Objective) -> dict[str, Any]:
    return {"name": objective.name, "direction": objective.direction}


def _to_best(best: BestTrial | None) -> dict[str, Any] | None:
    return None if best is None else {"number": best.number, "value": to_number(best.value)}
