"""Bodies about many trials: their shape, and their translation into the engine's commands."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from service.api.bodies import Body
from service.api.fields import (
    Attributes,
    Constraints,
    JsonObject,
    Moment,
    Numbers,
    Reason,
    TrialNumber,
)
from service.api.trial_bodies import MAX_POINTS, PointBody, TellBody
from service.domain.trials import Outcome, TrialState
from service.engine.enqueue import MAX_ENQUEUED, EnqueuedTrial
from service.engine.import_trials import ImportedTrial

MAX_BATCH = 1000


class NumberedTellBody(TellBody):
    """How one of many trials ended."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"number": 0, "state": "COMPLETE", "values": 0.97}]}
    )

    number: TrialNumber


class TellManyBody(Body):
    """How several trials ended."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "tells": [
                        {"number": 0, "state": "COMPLETE", "values": 0.97},
                        {"number": 1, "state": "FAIL", "reason": "out of memory"},
                    ]
                }
            ]
        }
    )

    tells: Annotated[list[NumberedTellBody], Field(min_length=1, max_length=MAX_BATCH)]

    def to_outcomes(self) -> list[tuple[int, Outcome]]:
        return [(tell.number, tell.to_outcome()) for tell in self.tells]


class EnqueuedTrialBody(Body):
    """Parameters that a later ask hands out; the sampler chooses those that are left out."""

    params: JsonObject
    user_attrs: Attributes = Field(default_factory=dict)

    def to_trial(self) -> EnqueuedTrial:
        return EnqueuedTrial(params=self.params, user_attrs=self.user_attrs)


class EnqueueBody(Body):
    """One trial (`params`, `user_attrs`), or many (`trials`)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"params": {"lr": 0.001, "layers": 2}, "user_attrs": {"why": "the paper's"}},
                {"trials": [{"params": {"lr": 0.001}}, {"params": {"lr": 0.01}}]},
            ]
        }
    )

    params: JsonObject | None = None
    user_attrs: Attributes | None = None
    trials: (
        Annotated[list[EnqueuedTrialBody], Field(min_length=1, max_length=MAX_ENQUEUED)] | None
    ) = None

    @model_validator(mode="after")
    def _check_alternatives(self) -> Self:
        has_attrs_alone = self.params is None and self.user_attrs is not None
        if (self.params is None) == (self.trials is None) or has_attrs_alone:
            raise PydanticCustomError("trials", "give either params (and user_attrs), or trials")
        return self

    def to_trials(self) -> list[EnqueuedTrial]:
        if self.trials is not None:
            return [trial.to_trial() for trial in self.trials]
        assert self.params is not None
        return [EnqueuedTrial(params=self.params, user_attrs=self.user_attrs or {})]


class ImportedTrialBody(Body):
    """A trial that ended elsewhere."""

    state: Literal["COMPLETE", "PRUNED", "FAIL"]
    params: JsonObject
    distributions: JsonObject | None = Field(
        default=None, description="Of the parameters, when the study does not declare them."
    )
    values: Numbers | None = Field(
        default=None, description="One number, or one per objective in a list."
    )
    intermediate_values: Annotated[list[PointBody], Field(max_length=MAX_POINTS)] = Field(
        default_factory=list
    )
    user_attrs: Attributes = Field(default_factory=dict)
    constraints: Constraints | None = Field(
        default=None, description="Satisfied if ≤ 0, by name; a list names them by position."
    )
    reason: Reason | None = None
    started_at: Moment | None = None
    finished_at: Moment | None = None

    @model_validator(mode="after")
    def _check_steps(self) -> Self:
        steps = [point.step for point in self.intermediate_values]
        if len(set(steps)) != len(steps):
            raise PydanticCustomError("intermediate_values", "give one value for each step")
        return self

    def to_trial(self) -> ImportedTrial:
        return ImportedTrial(
            state=TrialState(self.state),
            params=self.params,
            distributions=self.distributions,
            values=self.values,
            intermediate_values={point.step: point.value for point in self.intermediate_values},
            user_attrs=self.user_attrs,
            constraints=self.constraints or None,
            reason=self.reason,
            started_at=self.started_at,
            finished_at=self.finished_at,
        )


class ImportBody(Body):
    """Trials that ended elsewhere."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "trials": [
                        {
                            "state": "COMPLETE",
                            "params": {"lr": 0.001},
                            "distributions": {"lr": {"type": "float", "low": 1e-5, "high": 0.1}},
                            "values": 0.93,
                            "intermediate_values": [{"step": 0, "value": 0.5}],
                            "started_at": "2026-01-31T12:00:00Z",
                            "finished_at": "2026-01-31T12:10:00Z",
                        }
                    ]
                }
            ]
        }
    )

    trials: Annotated[list[ImportedTrialBody], Field(min_length=1, max_length=MAX_BATCH)]

    def to_trials(self) -> list[ImportedTrial]:
        return [trial.to_trial() for trial in self.trials]
