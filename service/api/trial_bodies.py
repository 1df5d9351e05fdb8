"""Bodies about one trial: their shape, and their translation into the engine's commands."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from service.api.bodies import Body
from service.api.fields import (
    Attributes,
    Constraints,
    Count,
    FiniteNumber,
    JsonObject,
    Number,
    Numbers,
    Reason,
    Seconds,
    Step,
    Text,
)
from service.domain.limits import MAX_NAME_LENGTH
from service.domain.studies import AttemptEnd
from service.domain.trials import Outcome, TrialState
from service.engine.ask import Ask

MAX_ASK_COUNT = 1000
MAX_POINTS = 10_000
MAX_WAIT_SECONDS = 60

Attempt = Annotated[
    Count | None,
    Field(description="Which attempt speaks; left out: whichever is at it"),
]


class AskBody(Body):
    """How many trials to hand out, how, and parameters that they shall all have."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {},
                {"count": 4, "lease_seconds": 120, "wait_seconds": 30},
                {"params": {"lr": 0.001}},
                {"distributions": {"lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True}}},
            ]
        }
    )

    count: Annotated[StrictInt, Field(ge=1, le=MAX_ASK_COUNT)] = 1
    params: JsonObject | None = None
    client_id: Annotated[Text, Field(max_length=MAX_NAME_LENGTH)] | None = None
    # By a factory, so that OpenAPI does not show null as what leaving it out means.
    lease_seconds: Seconds | None = Field(
        default_factory=lambda: None, description="Left out: the study's; null: no lease"
    )
    distributions: JsonObject | None = Field(
        default=None, description="A space for this ask alone, of a study that declares none"
    )
    wait_seconds: Annotated[FiniteNumber, Field(ge=0, le=MAX_WAIT_SECONDS)] = Field(
        default=0, description="How long to wait for a trial instead of being refused at once"
    )

    def to_command(
        self, idempotency_key: str | None, is_wanted: Callable[[], Awaitable[bool]]
    ) -> Ask:
        return Ask(
            count=self.count,
            params=self.params,
            client_id=self.client_id,
            idempotency_key=idempotency_key,
            lease_seconds=self._choose_lease(),
            distributions=self.distributions,
            wait_seconds=self.wait_seconds,
            is_wanted=is_wanted,
        )

    def _choose_lease(self) -> float | Literal["study"] | None:
        return self.lease_seconds if "lease_seconds" in self.model_fields_set else "study"


class PointBody(Body):
    """One reported value."""

    step: Step
    value: Number


class ReportBody(Body):
    """One point (`step`, `value`), or many (`points`)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"step": 3, "value": 0.91, "attempt": 1},
                {"points": [{"step": 0, "value": 0.5}, {"step": 1, "value": "NaN"}]},
            ]
        }
    )

    step: Step | None = None
    value: Number | None = None
    points: Annotated[list[PointBody], Field(min_length=1, max_length=MAX_POINTS)] | None = None
    attempt: Attempt = None

    @model_validator(mode="after")
    def _check_alternatives(self) -> Self:
        one = (self.step is not None, self.value is not None)
        if (self.points is None and not all(one)) or (self.points is not None and any(one)):
            raise PydanticCustomError("points", "give either step and value, or points")
        return self

    def to_points(self) -> list[tuple[int, float]]:
        if self.points is not None:
            return [(point.step, point.value) for point in self.points]
        assert self.step is not None
        assert self.value is not None
        return [(self.step, self.value)]


class AttemptBody(Body):
    """Who is calling."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"attempt": 1}]})

    attempt: Attempt = None


class TellBody(Body):
    """How a trial ended."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"state": "COMPLETE", "values": 0.97, "constraints": {"memory": -1.5}},
                {"state": "PRUNED"},
                {"state": "FAIL", "reason": "out of memory"},
                {"state": "FAIL", "cause": "preempted", "attempt": 1},
            ]
        }
    )

    state: Literal["COMPLETE", "PRUNED", "FAIL"]
    values: Numbers | None = Field(
        default=None, description="One number, or one per objective in a list."
    )
    constraints: Constraints | None = Field(
        default=None, description="Satisfied if ≤ 0, by name; a list names them by position."
    )
    reason: Reason | None = None
    user_attrs: Attributes | None = None
    attempt: Attempt = None
    cause: Literal["failed", "preempted"] | None = Field(
        default=None, description="Of a FAIL; decides whether the trial is tried again."
    )

    @model_validator(mode="after")
    def _check_cause(self) -> Self:
        if self.cause is not None and self.state != "FAIL":
            raise PydanticCustomError("cause", "only a FAIL has a cause; leave it out")
        return self

    def to_outcome(self) -> Outcome:
        return Outcome(
            state=TrialState(self.state),
            values=self.values,
            reason=self.reason,
            user_attrs=self.user_attrs,
            constraints=self.constraints or None,
            attempt=self.attempt,
            cause=AttemptEnd(self.cause or AttemptEnd.FAILED),
        )
