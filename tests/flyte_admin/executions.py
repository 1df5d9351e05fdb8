"""Executions created, read, terminated and listed."""

import uuid
from typing import Any

import grpc
from flyteidl.admin import execution_pb2
from flyteidl.core.execution_pb2 import WorkflowExecution
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

from tests.flyte_admin import execution_requests
from tests.flyte_admin.files import OUTPUTS
from tests.flyte_admin.filters import select
from tests.flyte_admin.paging import cut_page
from tests.flyte_admin.records import ExecutionRecord
from tests.flyte_admin.world import Refused, World

# Admin cuts errors in lists, not in single answers.
_LONGEST_LISTED_ERROR = 100


def create_execution(world: World, request: Any, principal: str = "") -> Any:
    """Names are unique for ever, whatever became of the execution."""
    execution_requests.check(world, request)
    inputs = execution_requests.resolve_inputs(world, request)
    identifier = WorkflowExecutionIdentifier(
        project=request.project,
        domain=request.domain,
        name=request.name or "a" + uuid.uuid4().hex[:19],
    )
    key = (identifier.project, identifier.domain, identifier.name)
    if key in world.executions:
        raise Refused(
            grpc.StatusCode.ALREADY_EXISTS,
            f"value with matching already exists ({identifier.name})",
        )
    number = world.next_number()
    record = world.executions[key] = ExecutionRecord(
        message=_build_execution(identifier, request.spec, principal),
        input_literals=inputs,
        folder=world.root.joinpath("executions", *key),
        number=number,
        changed=number,
    )
    world.queued.put(record)
    return execution_pb2.ExecutionCreateResponse(id=identifier)


def get_execution(world: World, request: Any) -> Any:
    return copy_message(find_record(world, request.id).message)


def get_execution_data(world: World, request: Any) -> Any:
    record = find_record(world, request.id)
    answer = execution_pb2.WorkflowExecutionGetDataResponse(full_inputs=record.input_literals)
    if record.output_literals is not None and record.outputs_given == "inline":
        answer.full_outputs.CopyFrom(record.output_literals)
    elif record.output_literals is not None and record.outputs_given == "by URL":
        answer.outputs.url = f"{world.files_url}{OUTPUTS}{record.number}"
        answer.outputs.bytes = record.output_literals.ByteSize()
    return answer


def terminate_execution(world: World, request: Any, principal: str = "") -> Any:
    """The end comes later; a second request before it has the last word about the cause."""
    record = find_record(world, request.id)
    if record.has_ended:
        raise Refused(
            grpc.StatusCode.FAILED_PRECONDITION,
            "Cannot abort an already terminate workflow execution",
        )
    closure = record.message.closure
    closure.abort_metadata.cause = request.cause
    closure.abort_metadata.principal = principal
    world.enter(record, "ABORTING")
    record.aborting.set()
    return execution_pb2.ExecutionTerminateResponse()


def list_executions(world: World, request: Any) -> Any:
    wanted = (request.id.project, request.id.domain)
    records = [record for key, record in world.executions.items() if key[:2] == wanted]
    page, token = cut_page(select(records, request), request)
    return execution_pb2.ExecutionList(
        executions=[_copy_for_list(record) for record in page], token=token
    )


OPERATIONS = {
    "GetExecution": get_execution,
    "GetExecutionData": get_execution_data,
    "ListExecutions": list_executions,
}
OPERATIONS_OF_SOMEBODY = {
    "CreateExecution": create_execution,
    "TerminateExecution": terminate_execution,
}


def find_record(world: World, identifier: WorkflowExecutionIdentifier) -> ExecutionRecord:
    """Raises: Refused: NOT_FOUND."""
    key = (identifier.project, identifier.domain, identifier.name)
    record = world.executions.get(key)
    if record is None:
        raise Refused(
            grpc.StatusCode.NOT_FOUND, f"missing entity of type execution {identifier.name}"
        )
    return record


def copy_message(message: Any) -> Any:
    """As it is now: the original changes while the answer is being written."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def _build_execution(
    identifier: WorkflowExecutionIdentifier, spec: Any, principal: str
) -> execution_pb2.Execution:
    execution = execution_pb2.Execution(id=identifier, spec=spec)
    execution.spec.metadata.principal = principal
    closure = execution.closure
    closure.phase = WorkflowExecution.QUEUED
    closure.created_at.GetCurrentTime()
    closure.updated_at.CopyFrom(closure.created_at)
    closure.workflow_id.CopyFrom(spec.launch_plan)
    return execution


def _copy_for_list(record: ExecutionRecord) -> execution_pb2.Execution:
    execution = copy_message(record.message)
    if execution.closure.HasField("error"):
        error = execution.closure.error
        error.message = error.message[:_LONGEST_LISTED_ERROR]
    return execution
