"""How workers launch the attempts of a sweep in Flyte."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from service.api.fields import JsonObject, Seconds, Text
from service.api.launch_parts import ExecutorBody, Label
from service.domain.flyte import EntityKind, EntityName

_MAX_ENTITY_LENGTH = 1000
_MAX_VALUE_LENGTH = 10_000
_MAX_VARIABLES = 100
# Flyte's own limit is 16; three are ours.
_MAX_LABELS = 13
_OURS = "asktell"
_LABEL_NAME = re.compile(r"([A-Za-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"|[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def refuse_odd_entity(text: str) -> str:
    """An entity is named with all four parts."""
    try:
        EntityName.parse(text)
    except ValueError:
        raise PydanticCustomError(
            "flyte_entity", "must be written project/domain/name@version, all four of them"
        ) from None
    return text


def refuse_odd_label_name(name: str) -> str:
    """Kubernetes has rules for the names of labels and annotations, and some are Asktell's own."""
    if _LABEL_NAME.fullmatch(name) is None:
        raise PydanticCustomError(
            "label", "must be a name as Kubernetes has them: at most 63 letters, digits, - _ and ."
        )
    if name.startswith(_OURS):
        raise PydanticCustomError("label", "must not begin with asktell: those are set already")
    return name


def refuse_odd_label_value(value: str) -> str:
    """Flyte refuses an execution with any other."""
    if _LABEL_VALUE.fullmatch(value) is None:
        raise PydanticCustomError(
            "label",
            "must be at most 63 letters, digits, - _ and ., and begin and end with one of the "
            "former; other text can be an annotation",
        )
    return value


def refuse_our_variable(name: str) -> str:
    """What Asktell and Flyte tell a task themselves."""
    if name.upper().startswith(("ASKTELL_", "FLYTE_")):
        raise PydanticCustomError("variable", "must not begin with ASKTELL_ or FLYTE_")
    return name


_Entity = Annotated[Text, Field(max_length=_MAX_ENTITY_LENGTH), AfterValidator(refuse_odd_entity)]
_Value = Annotated[Text, Field(max_length=_MAX_VALUE_LENGTH)]
_LabelName = Annotated[Text, AfterValidator(refuse_odd_label_name)]
_LabelValue = Annotated[Text, AfterValidator(refuse_odd_label_value)]
_Variable = Annotated[Label, AfterValidator(refuse_our_variable)]
_Names = Annotated[dict[Label, Label], Field(max_length=_MAX_VARIABLES)]


class FlyteLaunchBody(ExecutorBody):
    """An execution of Flyte. Give `task`, `workflow` or `launch_plan`, one of them."""

    executor: Literal["flyte"]
    task: _Entity | None = Field(default=None, description="project/domain/name@version")
    workflow: _Entity | None = Field(
        default=None, description="The same; executed by the launch plan that has its name"
    )
    launch_plan: _Entity | None = Field(default=None, description="The same")
    inputs: JsonObject = Field(
        default_factory=dict, description="Inputs that are the same for every trial"
    )
    input_names: _Names = Field(
        default_factory=dict,
        description="By parameter, the input that gets it; else that of its name",
    )
    outputs: _Names = Field(
        default_factory=dict,
        description="By metric, the output that is it; else that of its name, or o0, o1, …",
    )
    timeout_seconds: Seconds | None = Field(
        default=None, description="An execution that runs longer is aborted; null: none"
    )
    interruptible: StrictBool | None = Field(default=None, description="null: as registered")
    cluster_pool: Label | None = None
    service_account: Label | None = Field(default=None, description="Of Kubernetes")
    iam_role: Label | None = None
    overwrite_cache: StrictBool = False
    raw_output_prefix: _Value | None = Field(
        default=None, description="Where large outputs go; null: as configured in Flyte"
    )
    max_parallelism: Annotated[StrictInt, Field(ge=1)] | None = Field(
        default=None, description="Nodes of a workflow at the same time"
    )
    labels: Annotated[dict[_LabelName, _LabelValue], Field(max_length=_MAX_LABELS)] = Field(
        default_factory=dict
    )
    annotations: Annotated[dict[_LabelName, _Value], Field(max_length=_MAX_VARIABLES)] = Field(
        default_factory=dict
    )
    environment: Annotated[dict[_Variable, _Value], Field(max_length=_MAX_VARIABLES)] = Field(
        default_factory=dict, description="Variables of its tasks; whoever sees it sees them"
    )

    @model_validator(mode="after")
    def _check_alternatives(self) -> Self:
        if sum(getattr(self, kind) is not None for kind in EntityKind) != 1:
            raise PydanticCustomError(
                "flyte_entity", "give `task`, `workflow` or `launch_plan`, one of them"
            )
        return self

    @model_validator(mode="after")
    def _check_input_names(self) -> Self:
        taken = [*self.input_names.values(), *self.inputs]
        twice = next((name for name in taken if taken.count(name) > 1), None)
        if twice is not None:
            raise PydanticCustomError(
                "flyte_input", "the input {name} gets two values", {"name": repr(twice)}
            )
        return self
