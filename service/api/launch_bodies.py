"""Bodies about how workers launch the attempts of a sweep, one for each executor."""

import re
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from service.api.fields import FiniteNumber, JsonObject, Seconds, Text
from service.api.flyte_launch_body import FlyteLaunchBody
from service.api.launch_parts import ExecutorBody, Label
from service.domain.commands import find_macro_problem, find_program_problem
from service.domain.limits import MAX_NAME_LENGTH
from service.domain.sweeps import LaunchSpec

_MAX_PATH_LENGTH = 4096
_MAX_PARTS = 1000
_MAX_PART_LENGTH = 10_000
_MAX_STOP_SECONDS = 3600
_MAX_TAGS = 20
_MAX_TAG_LENGTH = 64
_MAX_WANDB_NAME_LENGTH = 128
_ODD_IN_WANDB_NAMES = "/\\#?%:"
_LAST_PRIORITY = 3
_JOB = re.compile(r"[^/:\s]+/[^/:\s]+/[^/:\s]+:[^/:\s]+")


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


def refuse_comma(tag: str) -> str:
    """W&B takes the tags of a run from one variable."""
    if "," in tag:
        raise PydanticCustomError("tag", "must not contain a comma; give several tags instead")
    return tag


def refuse_odd_job(name: str) -> str:
    """Jobs are artifacts, and named like these."""
    if _JOB.fullmatch(name) is None:
        raise PydanticCustomError("job", "must be written entity/project/name:version")
    return name


def refuse_odd_wandb_name(name: str) -> str:
    """Names of W&B become parts of URLs; these are the characters that W&B refuses in them."""
    if any(letter in _ODD_IN_WANDB_NAMES or letter.isspace() for letter in name):
        raise PydanticCustomError("wandb_name", "must have no spaces, and none of / \\ # ? % :")
    return name


Directory = Annotated[Text, Field(max_length=_MAX_PATH_LENGTH), AfterValidator(refuse_relative)]
_Program = Annotated[Text, Field(min_length=1, max_length=_MAX_PATH_LENGTH)]
_Part = Annotated[Text, Field(max_length=_MAX_PART_LENGTH), AfterValidator(refuse_odd_macro)]
_Parts = Annotated[list[_Part], Field(min_length=1, max_length=_MAX_PARTS)]
_Job = Annotated[_Program, AfterValidator(refuse_odd_job)]
_MetricName = Annotated[Text, Field(min_length=1, max_length=MAX_NAME_LENGTH)]
_Tag = Annotated[
    Text, Field(min_length=1, max_length=_MAX_TAG_LENGTH), AfterValidator(refuse_comma)
]
_WandbName = Annotated[
    Text,
    Field(min_length=1, max_length=_MAX_WANDB_NAME_LENGTH),
    AfterValidator(refuse_odd_wandb_name),
]
_EntryPoint = Annotated[
    list[Annotated[Text, Field(max_length=_MAX_PART_LENGTH)]],
    Field(min_length=1, max_length=_MAX_PARTS),
]
_Priority = Annotated[StrictInt, Field(ge=0, le=_LAST_PRIORITY)]
_Value = Annotated[
    Literal["last", "best", "summary"],
    Field(description="Of a metric, what counts: its last value, its best one, the run's summary"),
]


class CommandBody(ExecutorBody):
    """A program and how it is called. Give `program`, or a `command` without it."""

    program: _Program | None = Field(
        default=None, description="What the macro ${program} of the command stands for"
    )
    command: _Parts | None = Field(
        default=None,
        description="Program and arguments, with the macros of W&B's sweeps; null: "
        '["${env}", "${interpreter}", "${program}", "${args}"]',
    )

    @model_validator(mode="after")
    def _check_program(self) -> Self:
        if problem := find_program_problem(self.command, self.program):
            raise PydanticCustomError("program", "{problem}", {"problem": problem})
        return self


class ProgramLaunchBody(CommandBody):
    """A program that workers start as a process."""

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


class ProcessLaunchBody(ProgramLaunchBody):
    """A program that prints its metrics, or reports them."""

    executor: Literal["process"] = "process"
    step_metric: _MetricName | None = Field(
        default=None,
        description="What the program calls a step in the lines it prints; null: step",
    )


class WandbLaunchBody(ProgramLaunchBody):
    """A program that is a run of Weights & Biases, started by a worker on its own machine."""

    executor: Literal["wandb"]
    step_metric: _MetricName | None = Field(
        default=None, description="The metric that is the step; null: W&B's own step"
    )
    value: _Value = "last"
    project: _WandbName | None = Field(
        default=None, description="null: the worker's WANDB_PROJECT, or uncategorized"
    )
    entity: _WandbName | None = Field(
        default=None, description="null: the worker's WANDB_ENTITY, or that of its key"
    )
    mode: Literal["online", "offline"] = Field(
        default="online", description="offline: runs stay on the worker's machine, for wandb sync"
    )
    group: Label | None = Field(default=None, description="Of the runs; null: the study's name")
    job_type: Label | None = Field(default=None, description="Of the runs; null: trial")
    tags: Annotated[list[_Tag], Field(max_length=_MAX_TAGS)] = Field(default_factory=list)
    sweep: StrictBool = Field(
        default=True, description="Have a sweep on W&B for the runs; never for offline ones"
    )

    def to_launch(self) -> LaunchSpec:
        launch = super().to_launch()
        has_sweep = self.sweep and self.mode == "online"
        return replace(launch, arguments={**launch.arguments, "sweep": has_sweep})


class WandbQueueLaunchBody(ExecutorBody):
    """A job or an image that agents of W&B Launch run. Give `job` or `image`."""

    executor: Literal["wandb-launch"]
    job: _Job | None = Field(default=None, description="As W&B names it: entity/project/name:alias")
    image: _Program | None = Field(default=None, description="A Docker image")
    launch_queue: Label = Field(description="The queue of W&B Launch")
    launch_queue_project: _WandbName | None = Field(
        default=None, description="The project that has it; null: model-registry"
    )
    resource: Label | None = Field(default=None, description="null: that of the queue")
    resource_args: JsonObject = Field(default_factory=dict)
    template_variables: JsonObject = Field(default_factory=dict)
    priority: _Priority | None = Field(default=None, description="From 0, the most urgent")
    entry_point: _EntryPoint | None = Field(default=None, description="null: that of the job")
    project: _WandbName = Field(description="Of the runs")
    entity: _WandbName | None = Field(
        default=None, description="null: the worker's WANDB_ENTITY, or that of its key"
    )
    step_metric: _MetricName | None = Field(
        default=None, description="The metric that is the step; null: W&B's own step"
    )
    value: _Value = "last"
    sweep: StrictBool = Field(default=True, description="Have a sweep on W&B for the runs")
    timeout_seconds: Seconds | None = Field(
        default=None, description="A run that takes longer is stopped and has failed; null: none"
    )
    start_timeout_seconds: Seconds | None = Field(
        default=None,
        description="A run that no program has begun after so long has failed, whether an agent "
        "took it or not; null: a day from when an agent has taken it",
    )

    @model_validator(mode="after")
    def _check_alternatives(self) -> Self:
        if (self.job is None) == (self.image is None):
            raise PydanticCustomError("job", "give `job` or `image`, one of them")
        if self.resource_args and self.template_variables:
            raise PydanticCustomError(
                "resource_args", "give `resource_args` or `template_variables`; W&B takes one"
            )
        return self


class WandbAgentLaunchBody(CommandBody):
    """A program that people's own `wandb agent` processes run, as W&B's sweeps have it."""

    executor: Literal["wandb-agent"]
    project: _WandbName | None = Field(
        default=None, description="null: the worker's WANDB_PROJECT, or uncategorized"
    )
    entity: _WandbName | None = Field(
        default=None, description="null: the worker's WANDB_ENTITY, or that of its key"
    )
    step_metric: _MetricName | None = Field(
        default=None, description="The metric that is the step; null: W&B's own step"
    )
    value: _Value = "last"
    timeout_seconds: Seconds | None = Field(
        default=None, description="A run that takes longer is stopped and has failed; null: none"
    )
    start_timeout_seconds: Seconds | None = Field(
        default=None,
        description="A run that no program has begun after so long has failed, whether an agent "
        "took it or not; null: ten minutes from when W&B has given it to an agent",
    )

    def to_launch(self) -> LaunchSpec:
        launch = super().to_launch()
        # Agents take runs of a sweep, and of nothing else.
        return replace(launch, arguments={**launch.arguments, "sweep": True})


def _find_executor(launch: Any) -> Any:
    """A launch that does not say is a process."""
    if isinstance(launch, dict):
        return launch.get("executor", "process")
    return getattr(launch, "executor", "process")


LaunchBody = Annotated[
    Annotated[ProcessLaunchBody, Tag("process")]
    | Annotated[WandbLaunchBody, Tag("wandb")]
    | Annotated[WandbQueueLaunchBody, Tag("wandb-launch")]
    | Annotated[WandbAgentLaunchBody, Tag("wandb-agent")]
    | Annotated[FlyteLaunchBody, Tag("flyte")],
    Discriminator(
        _find_executor,
        custom_error_type="executor",
        custom_error_message="executor must be process, wandb, wandb-launch, wandb-agent or flyte",
    ),
]
