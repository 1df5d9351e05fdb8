"""Bodies about sweeps: what makes a study one, and how its attempts are launched."""

from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from service.api.bodies import Body
from service.api.fields import Count, FiniteNumber, Seconds, Text
from service.api.study_bodies import BudgetBody, CreateStudyBody
from service.domain.commands import find_macro_problem, find_program_problem
from service.domain.limits import MAX_NAME_LENGTH
from service.domain.sweeps import DEFAULT_QUEUE, SWEEP_SETTINGS, LaunchSpec
from service.engine.create import NewStudy

MAX_LABEL_LENGTH = 255
_MAX_PATH_LENGTH = 4096
_MAX_PARTS = 1000
_MAX_PART_LENGTH = 10_000
_MAX_STOP_SECONDS = 3600


def refuse_relative(path: str) -> str:
    """A path on another machine means the same there only if it begins at the root."""
    if not path.startswith("/"):
        raise PydanticCustomError(
            "relative_path", "must be an absolute path on the workers' machines, such as /srv/train"
        )
    return path


def refuse_odd_macro(item: str) -> str:
    """An item of a command that can never be expanded would fail every attempt."""
    if problem := find_macro_problem(item):
        raise PydanticCustomError("macro", "{problem}", {"problem": problem})
    return item


Label = Annotated[Text, Field(min_length=1, max_length=MAX_LABEL_LENGTH)]
Directory = Annotated[Text, Field(max_length=_MAX_PATH_LENGTH), AfterValidator(refuse_relative)]
_Program = Annotated[Text, Field(min_length=1, max_length=_MAX_PATH_LENGTH)]
_Part = Annotated[Text, Field(max_length=_MAX_PART_LENGTH), AfterValidator(refuse_odd_macro)]
_Parts = Annotated[list[_Part], Field(min_length=1, max_length=_MAX_PARTS)]
_MetricName = Annotated[Text, Field(min_length=1, max_length=MAX_NAME_LENGTH)]


class ProcessLaunchBody(Body):
    """A program that workers start as a process. Give `program`, or a `command` without it."""

    executor: Literal["process"] = "process"
    queue: Label = Field(default=DEFAULT_QUEUE, description="Only workers of this queue take it")
    program: _Program | None = Field(
        default=None, description="What the macro ${program} of the command stands for"
    )
    command: _Parts | None = Field(
        default=None,
        description="Program and arguments, with the macros of W&B's sweeps; null: "
        '["${env}", "${interpreter}", "${program}", "${args}"]',
    )
    directory: Directory | None = Field(
        default=None,
        description="Absolute, on the worker's machine, to work in; null: the worker's workdir",
    )
    timeout_seconds: Seconds | None = Field(
        default=None, description="A program that runs longer is stopped and has failed; null: none"
    )
    stop_seconds: Annotated[FiniteNumber, Field(ge=0, le=_MAX_STOP_SECONDS)] = Field(
        default=15, description="How long a program has to end after it was asked to"
    )
    step_metric: _MetricName | None = Field(
        default=None,
        description="What the program calls a step in the lines it prints; null: step",
    )

    @model_validator(mode="after")
    def _check_program(self) -> Self:
        if problem := find_program_problem(self.command, self.program):
            raise PydanticCustomError("program", "{problem}", {"problem": problem})
        return self

    def to_launch(self) -> LaunchSpec:
        arguments = self.model_dump(exclude={"executor", "queue"})
        return LaunchSpec(self.executor, arguments, self.queue)


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
    launch: ProcessLaunchBody

    @model_validator(mode="after")
    def _check_step_metric(self) -> Self:
        names = [objective.name for objective in self._to_objectives()]
        if self.launch.step_metric in names:
            raise PydanticCustomError(
                "step_metric", "launch.step_metric must be no objective; a step is not a result"
            )
        return self

    def to_command(self, idempotency_key: str | None) -> NewStudy:
        return replace(super().to_command(idempotency_key), launch=self.launch.to_launch())
