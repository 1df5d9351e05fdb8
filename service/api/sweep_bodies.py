"""Bodies about sweeps: what makes a study one."""

from dataclasses import replace
from typing import Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from service.api.fields import Count, Seconds
from service.api.flyte_launch_body import FlyteLaunchBody
from service.api.launch_bodies import (
    LaunchBody,
    WandbAgentLaunchBody,
    WandbLaunchBody,
    WandbQueueLaunchBody,
)
from service.api.study_bodies import BudgetBody, CreateStudyBody
from service.domain.sweeps import SWEEP_SETTINGS
from service.engine.create import NewStudy


class SweepBudgetBody(BudgetBody):
    """When a sweep stops by itself; null is no limit."""

    max_failures: Count | None = Field(
        default=SWEEP_SETTINGS.budget.max_failures, description="FAIL trials in a row"
    )


class CreateSweepBody(CreateStudyBody):
    """A study to make, and how workers launch its trials. Its objectives name the metrics."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "digits",
                    "objectives": [{"name": "accuracy", "direction": "maximize"}],
                    "space": {
                        "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
                        "layers": {"type": "int", "low": 1, "high": 4},
                    },
                    "pruner": {"type": "MedianPruner"},
                    "budget": {"max_trials": 100},
                    "launch": {"program": "train.py", "directory": "/srv/digits"},
                }
            ]
        }
    )

    budget: SweepBudgetBody | None = Field(
        default_factory=SweepBudgetBody, description="null: no limits"
    )
    lease_seconds: Seconds | None = Field(
        default=SWEEP_SETTINGS.lease_seconds,
        description="An attempt whose worker was not heard of for so long is lost; null is refused",
    )
    launch: LaunchBody

    @model_validator(mode="after")
    def _check_step_metric(self) -> Self:
        names = [objective.name for objective in self._to_objectives()]
        if not isinstance(self.launch, FlyteLaunchBody) and self.launch.step_metric in names:
            raise PydanticCustomError(
                "step_metric", "launch.step_metric must be no objective; a step is not a result"
            )
        return self

    @model_validator(mode="after")
    def _check_value(self) -> Self:
        if not isinstance(
            self.launch, WandbLaunchBody | WandbQueueLaunchBody | WandbAgentLaunchBody
        ):
            return self
        if self.launch.value == "best" and len(self._to_objectives()) > 1:
            raise PydanticCustomError(
                "value", "launch.value best is of a single objective; several have no best step"
            )
        return self

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if not isinstance(self.launch, WandbLaunchBody | WandbQueueLaunchBody):
            return self
        if "asktell" in {name.partition(".")[0] for name in self.space or {}}:
            raise PydanticCustomError(
                "parameter",
                "asktell is no parameter's name here: the config of a run says there "
                "which trial it is",
            )
        return self

    @model_validator(mode="after")
    def _check_flyte(self) -> Self:
        if not isinstance(self.launch, FlyteLaunchBody):
            return self
        names = [objective.name for objective in self._to_objectives()]
        odd = next((name for name in self.launch.outputs if name not in names), None)
        if odd is not None:
            raise PydanticCustomError(
                "flyte_output",
                "launch.outputs names {name}, which is no objective",
                {"name": repr(odd)},
            )
        return self

    @model_validator(mode="after")
    def _check_flyte_inputs(self) -> Self:
        if not isinstance(self.launch, FlyteLaunchBody) or self.space is None:
            return self
        launch, names = self.launch, {name.partition(".")[0] for name in self.space}
        odd = next((name for name in launch.input_names if name not in names), None)
        if odd is not None:
            raise PydanticCustomError(
                "flyte_input",
                "launch.input_names names {name}, which is no parameter; a nested one has the "
                "name before its first dot",
                {"name": repr(odd)},
            )
        own = names - set(launch.input_names)
        given = (*launch.inputs, *launch.input_names.values())
        twice = next((name for name in given if name in own), None)
        if twice is not None:
            raise PydanticCustomError(
                "flyte_input",
                "the input {name} gets two values: it is a parameter as well",
                {"name": repr(twice)},
            )
        return self

    @classmethod
    def _explain(cls, part: ErrorDetails) -> InitErrorDetails:
        """Names parts of `launch` as clients wrote them, without the kind of launch it is."""
        details = super()._explain(part)
        match details["loc"]:
            case ("launch", _, *path):
                # Of what is wrong with a name, pydantic says that after it.
                details["loc"] = ("launch", *(part for part in path if part != "[key]"))
        return details

    def to_command(self, idempotency_key: str | None) -> NewStudy:
        return replace(super().to_command(idempotency_key), launch=self.launch.to_launch())
