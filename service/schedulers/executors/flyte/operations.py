"""What the process that has flytekit does with Flyte: one function for each kind of question."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import grpc
from flytekit.clients.grpc_utils.deadline_interceptor import scoped_grpc_deadline
from flytekit.models.admin.common import Sort
from flytekit.models.common import Annotations, Envs, Labels, RawOutputDataConfig
from flytekit.models.core.execution import WorkflowExecutionPhase
from flytekit.models.core.identifier import WorkflowExecutionIdentifier
from flytekit.models.execution import (
    ClusterAssignment,
    Execution,
    ExecutionMetadata,
    ExecutionSpec,
    NotificationList,
)
from flytekit.models.filters import ValueIn
from flytekit.models.literals import LiteralMap
from flytekit.models.security import Identity, SecurityContext

from service.domain.flyte import LABEL_OF_ATTEMPT, EntityKind, EntityName
from service.schedulers.executors.connection.redaction import redact, shorten
from service.schedulers.executors.flyte.client import find_console, find_platform, open_client
from service.schedulers.executors.flyte.errors import NoSuchEntity, describe, find_status
from service.schedulers.executors.flyte.interfaces import (
    Interfaces,
    choose_outputs,
    describe_entity,
    find_problems,
)
from service.schedulers.executors.flyte.literals import Unfit, build_literals, read_numbers
from service.schedulers.executors.flyte.outputs import OutputsAway, fetch_outputs

# So many executions there may be for each attempt, the attempts' own being the eldest.
_ROOM = 2
_BY_AGE: Final = Sort("created_at", Sort.Direction.ASCENDING)
_ENDED = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND)


class Flyte:
    """What operations need: settings, a client, and what it has learnt.

    Attributes:
        secrets: Of the settings, also those from files, which the worker does not know.
    """

    def __init__(self) -> None:
        self.platform = find_platform()
        self.secrets = (self.platform.client_credentials_secret or "",)
        self.client = open_client(self.platform)
        self.interfaces = Interfaces(self.client)


def find_console_url(flyte: Flyte) -> str:
    """Where Flyte's pages are; asks nobody."""
    return find_console(flyte.platform)


def check_entity(
    flyte: Flyte,
    *,
    kind: str,
    entity: str,
    examples: Mapping[str, Sequence[Any]],
    metrics: Sequence[str],
    outputs: Mapping[str, str],
) -> list[str]:
    """All that keeps an entity from being executed with such inputs, for people."""
    which = EntityKind(kind), EntityName.parse(entity)
    try:
        interface = flyte.interfaces.find(*which)
    except NoSuchEntity as problem:
        return [str(problem)]
    problems = find_problems(interface, examples, choose_outputs(interface, metrics, outputs))
    title = f"The {describe_entity(*which)} does not fit the sweep."
    return [title, *problems] if problems else []


def launch(
    flyte: Flyte,
    *,
    kind: str,
    entity: str,
    name: str,
    inputs: Mapping[str, Any],
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    environment: Mapping[str, str],
    options: Mapping[str, Any],
) -> str | None:
    """Starts an execution unless there is one of that name; None, or why it can never start."""
    where = EntityName.parse(entity)
    interface = flyte.interfaces.find(EntityKind(kind), where)
    try:
        literals = build_literals(inputs, interface.inputs)
    except Unfit as problem:
        return str(problem)
    spec = ExecutionSpec(
        interface.executed,
        ExecutionMetadata(ExecutionMetadata.ExecutionMode.MANUAL, "asktell", 0),
        notifications=NotificationList([]),
        labels=Labels(dict(labels)),
        annotations=Annotations(dict(annotations)),
        envs=Envs(dict(environment)),
        **_build_options(options),
    )
    try:
        flyte.client.create_execution(
            where.project, where.domain, name, spec, LiteralMap(literals=literals)
        )
    except Exception as error:
        if find_status(error) is grpc.StatusCode.NOT_FOUND:
            flyte.interfaces.forget(EntityKind(kind), where)
        return _judge_failed_launch(flyte, where, name, labels[LABEL_OF_ATTEMPT], error)
    return None


def find_executions(
    flyte: Flyte, *, project: str, domain: str, attempts: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """What Flyte tells of executions at once, by name; of long errors only the beginning.

    There may be others with the same label: Flyte's pages copy it when a person relaunches one.
    What is missing because there are too many has to be read by itself.
    """
    filters = [
        ValueIn("execution_tag.key", [LABEL_OF_ATTEMPT]),
        ValueIn("execution_tag.value", list(attempts)),
    ]
    found, _ = flyte.client.list_executions_paginated(
        project, domain, limit=_ROOM * len(attempts), filters=filters, sort_by=_BY_AGE
    )
    return {each.id.name: _view(each) for each in found}


def read_execution(
    flyte: Flyte,
    *,
    kind: str,
    entity: str,
    name: str,
    metrics: Sequence[str],
    outputs: Mapping[str, str],
    outputs_seconds: float,
) -> dict[str, Any] | None:
    """All that Flyte tells of one execution, values of metrics too; None: there is no such one.

    Args:
        outputs_seconds: How long outputs may take that Flyte does not send itself.
    """
    where = EntityName.parse(entity)
    identifier = WorkflowExecutionIdentifier(where.project, where.domain, name)
    try:
        view = _view(flyte.client.get_execution(identifier))
    except Exception as error:
        if find_status(error) is not grpc.StatusCode.NOT_FOUND:
            raise
        return None
    if view["phase"] == "SUCCEEDED":
        interface = flyte.interfaces.find(EntityKind(kind), where)
        chosen = choose_outputs(interface, metrics, outputs)
        try:
            found = fetch_outputs(flyte.client, identifier, seconds=outputs_seconds)
            view["values"] = read_numbers(found, chosen)
        except OutputsAway as problem:
            view["outputs_problem"] = str(problem)
    return view


def terminate(flyte: Flyte, *, project: str, domain: str, name: str, cause: str) -> bool:
    """Has an execution ended; False if there is none that could be."""
    try:
        flyte.client.terminate_execution(WorkflowExecutionIdentifier(project, domain, name), cause)
    except Exception as error:
        if find_status(error) in _ENDED:
            return False
        raise
    return True


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        find_console_url,
        check_entity,
        launch,
        find_executions,
        read_execution,
        terminate,
    )
}


def call(name: str, flyte: Flyte, arguments: Mapping[str, Any], seconds: float) -> Any:
    """Does an operation; each of its calls has as long as the whole of it."""
    with scoped_grpc_deadline(seconds):
        return OPERATIONS[name](flyte, **arguments)


def _judge_failed_launch(
    flyte: Flyte, where: EntityName, name: str, attempt: str, error: Exception
) -> str | None:
    status = find_status(error)
    if status is grpc.StatusCode.INVALID_ARGUMENT:
        return f"Flyte refuses it: {shorten(redact(describe(error), flyte.secrets))}"
    if status is not grpc.StatusCode.ALREADY_EXISTS:
        raise error
    there = flyte.client.get_execution(
        WorkflowExecutionIdentifier(where.project, where.domain, name)
    )
    if there.spec.labels.values.get(LABEL_OF_ATTEMPT) == attempt:
        return None
    return f"Flyte has an execution {name} already, and it is not this attempt's."


def _build_options(options: Mapping[str, Any]) -> dict[str, Any]:
    prefix, pool = options.get("raw_output_prefix"), options.get("cluster_pool")
    account, role = options.get("service_account"), options.get("iam_role")
    identity = Identity(iam_role=role, k8s_service_account=account)
    return {
        "interruptible": options.get("interruptible"),
        "overwrite_cache": options.get("overwrite_cache"),
        "max_parallelism": options.get("max_parallelism"),
        "raw_output_data_config": None if prefix is None else RawOutputDataConfig(prefix),
        "cluster_assignment": None if pool is None else ClusterAssignment(cluster_pool=pool),
        "security_context": SecurityContext(run_as=identity) if account or role else None,
    }


def _view(execution: Execution) -> dict[str, Any]:
    closure = execution.closure
    error, abort = closure.error, closure.abort_metadata
    return {
        "phase": WorkflowExecutionPhase.enum_to_string(closure.phase),
        "started_at": _to_seconds(closure.started_at),
        "error": None if error is None else {"code": error.code, "message": error.message},
        "abort": None if abort is None else {"cause": abort.cause, "principal": abort.principal},
    }


def _to_seconds(moment: datetime) -> float | None:
    """Since the epoch; flytekit takes what is not set for the epoch itself."""
    return moment.timestamp() or None
