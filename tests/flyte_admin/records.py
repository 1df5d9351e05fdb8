"""What the stand-in remembers of executions: their nodes, attempts and phases."""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from flyteidl.admin.execution_pb2 import Execution, ExecutionSpec
from flyteidl.core.execution_pb2 import (
    ExecutionError,
    NodeExecution,
    TaskExecution,
    WorkflowExecution,
)
from flyteidl.core.identifier_pb2 import Identifier
from flyteidl.core.literals_pb2 import LiteralMap

from tests.flyte_admin.literals import read_literals

OutputsGiven = Literal["inline", "by URL", "not"]
ENDED = frozenset({"SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"})


@dataclass(frozen=True, slots=True)
class Executed:
    """A program that was started: one attempt of one task, counted from 0."""

    execution: str
    task: str
    attempt: int
    pid: int


@dataclass(slots=True, kw_only=True)
class AttemptRecord:
    """One try of a task."""

    phase: int = TaskExecution.RUNNING
    error: ExecutionError | None = None


@dataclass(slots=True, kw_only=True)
class NodeRecord:
    """One task within an execution, with its retries."""

    node_id: str
    task: Identifier
    inputs: LiteralMap
    queued_at: float
    phase: int = NodeExecution.RUNNING
    outputs: LiteralMap | None = None
    error: ExecutionError | None = None
    attempts: list[AttemptRecord] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class ExecutionRecord:
    """One execution; `World.enter` is what changes its phase.

    Attributes:
        message: Identifier, specification as it was asked for, and closure.
        input_literals: With the defaults of a launch plan.
        number: Counts executions in the order in which they were created.
        changed: Grows with each change of any execution.
        aborting: Set as soon as somebody wants the end of it.
        told: What a test said about an execution that has no program of its own.
        outputs_given: How GetExecutionData answers. Flyte itself gives outputs by URL only where
            they are too large, and no outputs where it cannot read them.
    """

    message: Execution
    input_literals: LiteralMap
    folder: Path
    number: int
    changed: int
    output_literals: LiteralMap | None = None
    nodes: dict[str, NodeRecord] = field(default_factory=dict)
    aborting: threading.Event = field(default_factory=threading.Event)
    told: "LiteralMap | ExecutionError | None" = None
    outputs_given: OutputsGiven = "inline"

    @property
    def name(self) -> str:
        return self.message.id.name

    @property
    def spec(self) -> ExecutionSpec:
        """As it was asked for: labels, annotations, tags, envs, security context and so on."""
        return self.message.spec

    @property
    def phase(self) -> str:
        """The name of a phase of WorkflowExecution, like "RUNNING"."""
        return WorkflowExecution.Phase.Name(self.message.closure.phase)

    @property
    def has_ended(self) -> bool:
        return self.phase in ENDED

    @property
    def inputs(self) -> dict[str, Any]:
        return read_literals(self.input_literals)

    @property
    def outputs(self) -> dict[str, Any] | None:
        """None unless it succeeded."""
        return None if self.output_literals is None else read_literals(self.output_literals)

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.spec.labels.values)

    @property
    def envs(self) -> dict[str, str]:
        return {pair.key: pair.value for pair in self.spec.envs.values}

    @property
    def error(self) -> ExecutionError:
        """Empty unless it failed."""
        return self.message.closure.error

    @property
    def abort_cause(self) -> str:
        return self.message.closure.abort_metadata.cause

    def list_tags(self) -> list[tuple[str, str]]:
        """The rows of admin's table of tags: labels with values, tags without."""
        return [*self.spec.labels.values.items(), *((tag, "") for tag in self.spec.tags)]
