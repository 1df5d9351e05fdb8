"""Static workflows: their nodes one after another, each a task."""

from collections.abc import Iterable
from typing import Any

from flyteidl.core.literals_pb2 import Literal, LiteralMap

from tests.flyte_admin.records import ExecutionRecord
from tests.flyte_admin.tasks import Failed, TaskRunner
from tests.flyte_admin.world import Unknown

_START, _END = "start-node", "end-node"


def run_workflow(
    runner: TaskRunner, record: ExecutionRecord, template: Any, inputs: LiteralMap
) -> LiteralMap:
    """The outputs of a workflow.

    Raises:
        Aborted, Failed: As of its tasks; a failure node has been run by then.
        Unknown: A node that is no task.
    """
    outputs = {"": inputs, _START: inputs}
    waiting = [node for node in template.nodes if node.id not in (_START, _END)]
    try:
        while waiting:
            node = _find_ready(waiting, outputs)
            waiting.remove(node)
            outputs[node.id] = _run_node(runner, record, node, outputs)
    except Failed:
        if template.HasField("failure_node"):
            _run_node(runner, record, template.failure_node, outputs)
        raise
    return _bind_all(template.outputs, outputs)


def _find_ready(waiting: list[Any], outputs: dict[str, LiteralMap]) -> Any:
    return next(node for node in waiting if all(each in outputs for each in node.upstream_node_ids))


def _run_node(
    runner: TaskRunner, record: ExecutionRecord, node: Any, outputs: dict[str, LiteralMap]
) -> LiteralMap:
    if not node.HasField("task_node"):
        raise Unknown(f"node {node.id} of kind {node.WhichOneof('target')}")
    metadata = node.metadata
    timeout_seconds = metadata.timeout.ToTimedelta().total_seconds()
    return runner.run(
        record,
        node.id or "failure-node",
        node.task_node.reference_id,
        _bind_all(node.inputs, outputs),
        retries=metadata.retries.retries or None,
        timeout_seconds=timeout_seconds or None,
    )


def _bind_all(bindings: Iterable[Any], outputs: dict[str, LiteralMap]) -> LiteralMap:
    bound = LiteralMap()
    for binding in bindings:
        bound.literals[binding.var].CopyFrom(_bind(binding.binding, outputs))
    return bound


def _bind(binding: Any, outputs: dict[str, LiteralMap]) -> Literal:
    literal = Literal()
    match binding.WhichOneof("value"):
        case "promise" if not binding.promise.attr_path:
            source = outputs[binding.promise.node_id]
            literal.CopyFrom(source.literals[binding.promise.var])
        case "scalar":
            literal.scalar.CopyFrom(binding.scalar)
        case "collection":
            bound = [_bind(each, outputs) for each in binding.collection.bindings]
            literal.collection.literals.extend(bound)
            literal.collection.SetInParent()
        case "map":
            literal.map.SetInParent()
            for name, each in binding.map.bindings.items():
                literal.map.literals[name].CopyFrom(_bind(each, outputs))
        case kind:
            raise Unknown(f"binding of kind {kind}")
    return literal
