"""Request bodies: their shape, and their translation into the engine's commands."""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StrictInt,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from service.api.fields import (
    Attributes,
    JsonObject,
    Number,
    Numbers,
    Step,
    Text,
)
from service.domain.limits import MAX_NAME_LENGTH
from service.domain.studies import Component, Direction, IfExists, Objective
from service.domain.trials import Outcome, TrialState
from service.engine.ask import Ask
from service.engine.create import NewStudy

MAX_ASK_COUNT = 1000
MAX_POINTS = 10_000


class Body(BaseModel):
    """Base of all bodies: an unknown field is refused, with the known one nearest to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="wrap")
    @classmethod
    def _name_nearest_field(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return validate(data)
        except ValidationError as error:
            details = [cls._explain(part) for part in error.errors(include_url=False)]
            raise ValidationError.from_exception_data(cls.__name__, details) from None

    @classmethod
    def _explain(cls, part: ErrorDetails) -> InitErrorDetails:
        message = part["msg"]
        if part["type"] == "extra_forbidden" and len(part["loc"]) == 1:
            message = _describe_unknown(str(part["loc"][0]), cls.model_fields)
        kind = PydanticCustomError(part["type"], "{message}", {"message": message})
        return InitErrorDetails(type=kind, loc=part["loc"], input=part["input"])


class ObjectiveBody(Body):
    """One value that a trial is told, and which way it improves."""

    name: Annotated[Text, Field(min_length=1, max_length=MAX_NAME_LENGTH)]
    direction: Direction


class ComponentBody(Body):
    """A sampler or a pruner: Optuna's class name and its arguments."""

    type: Text
    args: JsonObject = Field(default_factory=dict)

    def to_component(self) -> Component:
        return Component(self.type, self.args)


class CreateStudyBody(Body):
    """A study to make. Give `direction` for one objective or `objectives` for several."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "digits",
                    "direction": "maximize",
                    "space": {
                        "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
                        "layers": {"type": "int", "low": 1, "high": 4},
                        "optimizer": {"type": "categorical", "choices": ["adam", "sgd"]},
                    },
                    "pruner": {"type": "MedianPruner", "args": {"n_startup_trials": 5}},
                    "if_exists": "load",
                }
            ]
        }
    )

    name: str
    direction: Direction | None = None
    objectives: Annotated[list[ObjectiveBody], Field(min_length=1)] | None = None
    space: JsonObject | None = Field(
        default=None, description="Parameters by name; left out, each trial declares its own."
    )
    sampler: ComponentBody | None = None
    pruner: ComponentBody | None = None
    seed: Annotated[StrictInt, Field(ge=0, lt=2**32)] | None = None
    user_attrs: Attributes = Field(default_factory=dict)
    if_exists: IfExists = IfExists.FAIL

    @model_validator(mode="after")
    def _check_objectives(self) -> Self:
        if (self.direction is None) == (self.objectives is None):
            raise PydanticCustomError(
                "objectives", "give either direction (one objective) or objectives (several)"
            )
        names = [objective.name for objective in self.objectives or ()]
        if len(set(names)) != len(names):
            raise PydanticCustomError("objective_names", "objectives must have different names")
        return self

    def to_command(self) -> NewStudy:
        return NewStudy(
            name=self.name,
            objectives=self._to_objectives(),
            space=self.space,
            sampler=self.sampler.to_component() if self.sampler else None,
            pruner=self.pruner.to_component() if self.pruner else None,
            seed=self.seed,
            user_attrs=self.user_attrs,
            if_exists=self.if_exists,
        )

    def _to_objectives(self) -> tuple[Objective, ...]:
        if self.direction is not None:
            return (Objective("value", self.direction),)
        return tuple(Objective(each.name, each.direction) for each in self.objectives or ())


class AskBody(Body):
    """How many trials to hand out, and parameters that they shall all have."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{}, {"count": 4}, {"params": {"lr": 0.001}}]}
    )

    count: Annotated[StrictInt, Field(ge=1, le=MAX_ASK_COUNT)] = 1
    params: JsonObject | None = None
    client_id: Annotated[Text, Field(max_length=MAX_NAME_LENGTH)] | None = None

    def to_command(self, idempotency_key: str | None) -> Ask:
        return Ask(
            count=self.count,
            params=self.params,
            client_id=self.client_id,
            idempotency_key=idempotency_key,
        )


class PointBody(Body):
    """One reported value."""

    step: Step
    value: Number


class ReportBody(Body):
    """One point (`step`, `value`), or many (`points`)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"step": 3, "value": 0.91},
                {"points": [{"step": 0, "value": 0.5}, {"step": 1, "value": "NaN"}]},
            ]
        }
    )

    step: Step | None = None
    value: Number | None = None
    points: Annotated[list[PointBody], Field(min_length=1, max_length=MAX_POINTS)] | None = None

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


class TellBody(Body):
    """How a trial ended."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"state": "COMPLETE", "values": 0.97},
                {"state": "PRUNED"},
                {"state": "FAIL", "reason": "out of memory"},
            ]
        }
    )

    state: Literal["COMPLETE", "PRUNED", "FAIL"]
    values: Numbers | None = Field(
        default=None, description="One number, or one per objective in a list."
    )
    reason: Text | None = None
    user_attrs: Attributes | None = None

    def to_outcome(self) -> Outcome:
        return Outcome(
            state=TrialState(self.state),
            values=self.values,
            reason=self.reason,
            user_attrs=self.user_attrs,
        )


def _describe_unknown(name: str, known: Mapping[str, Any]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    if nearest:
        return f'unknown field; did you mean "{nearest[0]}"?'
    return f"unknown field; known are {', '.join(known)}"
