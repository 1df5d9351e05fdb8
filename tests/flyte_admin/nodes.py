"""The nodes of executions and the attempts of their tasks, as `FlyteRemote.wait` reads them."""

from typing import Any

import grpc
from flyteidl.admin import node_execution_pb2, task_execution_pb2
from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier, TaskExecutionIdentifier

from tests.flyte_admin.executions import find_record
from tests.flyte_admin.records import AttemptRecord, ExecutionRecord, NodeRecord
from tests.flyte_admin.world import Refused, World


def list_node_executions(world: World, request: Any) -> Any:
    record = find_record(world, request.workflow_execution_id)
    return node_execution_pb2.NodeExecutionList(
        node_executions=[_describe_node(record, node) for node in record.nodes.values()]
    )


def get_node_execution(world: World, request: Any) -> Any:
    return _describe_node(find_record(world, request.id.execution_id), _find(world, request.id))


def get_node_execution_data(world: World, request: Any) -> Any:
    node = _find(world, request.id)
    return node_execution_pb2.NodeExecutionGetDataResponse(
        full_inputs=node.inputs, full_outputs=node.outputs
    )


def list_task_executions(world: World, request: Any) -> Any:
    identifier = request.node_execution_id
    node = _find(world, identifier)
    return task_execution_pb2.TaskExecutionList(
        task_executions=[
            _describe_attempt(identifier, node, number, attempt)
            for number, attempt in enumerate(node.attempts)
        ]
    )


def get_task_execution(world: World, request: Any) -> Any:
    identifier, number = request.id.node_execution_id, request.id.retry_attempt
    node = _find(world, identifier)
    if number >= len(node.attempts):
        raise Refused(grpc.StatusCode.NOT_FOUND, f"missing attempt {number}")
    return _describe_attempt(identifier, node, number, node.attempts[number])


def get_task_execution_data(world: World, request: Any) -> Any:
    node = _find(world, request.id.node_execution_id)
    return task_execution_pb2.TaskExecutionGetDataResponse(
        full_inputs=node.inputs, full_outputs=node.outputs
    )


OPERATIONS = {
    "ListNodeExecutions": list_node_executions,
    "GetNodeExecution": get_node_execution,
    "GetNodeExecutionData": get_node_execution_data,
    "ListTaskExecutions": list_task_executions,
    "GetTaskExecution": get_task_execution,
    "GetTaskExecutionData": get_task_execution_data,
}


def _find(world: World, identifier: NodeExecutionIdentifier) -> NodeRecord:
    node = find_record(world, identifier.execution_id).nodes.get(identifier.node_id)
    if node is None:
        raise Refused(grpc.StatusCode.NOT_FOUND, f"missing node execution {identifier.node_id}")
    return node


def _describe_node(record: ExecutionRecord, node: NodeRecord) -> Any:
    execution = node_execution_pb2.NodeExecution(
        id=NodeExecutionIdentifier(node_id=node.node_id, execution_id=record.message.id)
    )
    execution.metadata.spec_node_id = node.node_id
    closure = execution.closure
    closure.phase = node.phase
    if node.error is not None:
        closure.error.CopyFrom(node.error)
    closure.created_at.FromNanoseconds(int(node.queued_at * 1e9))
    for moment in (closure.started_at, closure.updated_at):
        moment.CopyFrom(closure.created_at)
    return execution


def _describe_attempt(
    identifier: NodeExecutionIdentifier, node: NodeRecord, number: int, attempt: AttemptRecord
) -> Any:
    execution = task_execution_pb2.TaskExecution(
        id=TaskExecutionIdentifier(
            task_id=node.task, node_execution_id=identifier, retry_attempt=number
        )
    )
    execution.closure.phase = attempt.phase
    if attempt.error is not None:
        execution.closure.error.CopyFrom(attempt.error)
    return execution
