"""Request bodies: what they have in common."""

from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from service.api.fields import JsonObject, Text
from service.api.nearest import describe_unknown
from service.domain.studies import Component


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
            message = cls._describe_unknown(str(part["loc"][0]))
        kind = PydanticCustomError(part["type"], "{message}", {"message": message})
        return InitErrorDetails(type=kind, loc=part["loc"], input=part["input"])

    @classmethod
    def _describe_unknown(cls, name: str) -> str:
        return describe_unknown("field", name, cls.model_fields)


class ComponentBody(Body):
    """A sampler or a pruner: Optuna's class name and its arguments."""

    type: Text
    args: JsonObject = Field(default_factory=dict)

    def to_component(self) -> Component:
        return Component(self.type, self.args)
