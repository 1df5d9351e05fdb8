"""What the worker asks and tells Flyte."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.domain.flyte import EntityKind, EntityName, build_execution_name
from service.schedulers.executors.base import Launch
from service.schedulers.executors.connection.connection import Connection

_SECONDS = 30.0
# Meanwhile nothing else is asked.
_OUTPUTS_SECONDS = 10.0

# Flyte's own names of phases.
QUEUED = frozenset({"UNDEFINED", "QUEUED"})
RUNNING = "RUNNING"
ABORTING = "ABORTING"
OVER = frozenset({"SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"})


@dataclass(frozen=True, slots=True)
class Place:
    """What is executed, and so where executions are."""

    kind: EntityKind
    entity: EntityName

    @classmethod
    def of(cls, launch: Launch) -> "Place":
        """Reads it from the arguments of a sweep, which name one entity."""
        kind = next(kind for kind in EntityKind if launch.arguments.get(kind))
        return cls(kind, EntityName.parse(launch.arguments[kind]))

    @property
    def words(self) -> dict[str, str]:
        return {"kind": self.kind.value, "entity": str(self.entity)}


@dataclass(frozen=True, slots=True)
class ExecutionView:
    """An execution as Flyte has it.

    Attributes:
        phase: In Flyte's words, such as RUNNING.
        started_at: Seconds since the epoch; None before it started.
        error: Code and message; None if it has not failed.
        abort: Who ended it, and why.
        values: Of its metrics, by name; None before they were read.
        outputs_problem: Why they cannot be read now; None if they can, or there are none.
    """

    phase: str
    started_at: float | None = None
    error: Mapping[str, str] | None = None
    abort: Mapping[str, str] | None = None
    values: Mapping[str, float] | None = None
    outputs_problem: str | None = None


@dataclass(frozen=True, slots=True)
class NewExecution:
    """What is to be started for an attempt.

    Attributes:
        inputs: By name, as JSON values.
        environment: For every task of it; one of the variables is a secret.
        options: Of the execution, as sweeps give them.
    """

    inputs: Mapping[str, Any]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    environment: Mapping[str, str] = field(repr=False)
    options: Mapping[str, Any]


class FlyteApi:
    """Asks and tells Flyte through the worker's connection.

    Everything raises SystemAway if Flyte does not answer in time, and SystemRefused if it does not
    want to.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def find_console_url(self) -> str:
        """Where Flyte's pages are."""
        return str(await self._call("find_console_url"))

    async def check(
        self,
        place: Place,
        examples: Mapping[str, Sequence[Any]],
        metrics: Sequence[str],
        outputs: Mapping[str, str],
    ) -> list[str]:
        """All that keeps what is executed from being so with such inputs, for people."""
        problems: list[str] = await self._call(
            "check_entity", **place.words, examples=examples, metrics=metrics, outputs=outputs
        )
        return problems

    async def launch(self, place: Place, attempt_id: str, new: NewExecution) -> str | None:
        """Starts the attempt's execution unless it was started before.

        Returns:
            None, or why it can never start.
        """
        problem: str | None = await self._call(
            "launch",
            **place.words,
            name=build_execution_name(attempt_id),
            inputs=new.inputs,
            labels=new.labels,
            annotations=new.annotations,
            environment=new.environment,
            options=new.options,
        )
        return problem

    async def find(
        self, project: str, domain: str, attempts: Sequence[str]
    ) -> dict[str, ExecutionView]:
        """What Flyte has of executions, by attempt; at most 100 attempts at once."""
        found = await self._call(
            "find_executions", project=project, domain=domain, attempts=list(attempts)
        )
        views = {attempt: found.get(build_execution_name(attempt)) for attempt in attempts}
        return {attempt: ExecutionView(**view) for attempt, view in views.items() if view}

    async def read(
        self, place: Place, attempt_id: str, metrics: Sequence[str], outputs: Mapping[str, str]
    ) -> ExecutionView | None:
        """All that Flyte has of one execution; None: there is no such one."""
        view = await self._call(
            "read_execution",
            **place.words,
            name=build_execution_name(attempt_id),
            metrics=list(metrics),
            outputs=outputs,
            outputs_seconds=_OUTPUTS_SECONDS,
        )
        return None if view is None else ExecutionView(**view)

    async def terminate(self, place: Place, attempt_id: str, cause: str) -> bool:
        """Has an execution ended; False if there is none that could be."""
        return bool(
            await self._call(
                "terminate",
                project=place.entity.project,
                domain=place.entity.domain,
                name=build_execution_name(attempt_id),
                cause=cause,
            )
        )

    async def _call(self, operation: str, **arguments: Any) -> Any:
        return await self._connection.call(operation, arguments, deadline_seconds=_SECONDS)
