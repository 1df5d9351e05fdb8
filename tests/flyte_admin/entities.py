"""Registered tasks, workflows and launch plans."""

from collections.abc import Callable
from typing import Any

import grpc
from flyteidl.admin import common_pb2, launch_plan_pb2, task_pb2, workflow_pb2

from tests.flyte_admin.paging import cut_page
from tests.flyte_admin.world import Entity, EntityKey, Refused, Unknown, World, make_key


def create_task(world: World, request: Any) -> Any:
    def build() -> Any:
        task = task_pb2.Task(id=request.id)
        template = task.closure.compiled_task.template
        template.CopyFrom(request.spec.template)
        template.id.CopyFrom(request.id)
        task.closure.created_at.GetCurrentTime()
        return task

    _create(world, world.tasks, "task", request, build)
    return task_pb2.TaskCreateResponse()


def get_task(world: World, request: Any) -> Any:
    return _get(world.tasks, request)


def list_tasks(world: World, request: Any) -> Any:
    tasks, token = _list(world.tasks, request)
    return task_pb2.TaskList(tasks=tasks, token=token)


def list_task_ids(world: World, request: Any) -> Any:
    names = {key[:3] for key in world.tasks if key[:2] == (request.project, request.domain)}
    page, token = cut_page(sorted(names), request)
    return common_pb2.NamedEntityIdentifierList(
        entities=[
            common_pb2.NamedEntityIdentifier(project=project, domain=domain, name=name)
            for project, domain, name in page
        ],
        token=token,
    )


def create_workflow(world: World, request: Any) -> Any:
    def build() -> Any:
        workflow = workflow_pb2.Workflow(id=request.id)
        workflow.closure.created_at.GetCurrentTime()
        _compile(world, request.spec, workflow)
        return workflow

    _create(world, world.workflows, "workflow", request, build)
    return workflow_pb2.WorkflowCreateResponse()


def get_workflow(world: World, request: Any) -> Any:
    return _get(world.workflows, request)


def create_launch_plan(world: World, request: Any) -> Any:
    def build() -> Any:
        plan = launch_plan_pb2.LaunchPlan(id=request.id, spec=request.spec)
        _fill_in_interface(world, plan)
        plan.closure.created_at.GetCurrentTime()
        return plan

    _create(world, world.launch_plans, "launch plan", request, build)
    return launch_plan_pb2.LaunchPlanCreateResponse()


def get_launch_plan(world: World, request: Any) -> Any:
    return _get(world.launch_plans, request)


def list_launch_plans(world: World, request: Any) -> Any:
    plans, token = _list(world.launch_plans, request)
    return launch_plan_pb2.LaunchPlanList(launch_plans=plans, token=token)


def update_launch_plan(world: World, request: Any) -> Any:
    _get(world.launch_plans, request).closure.state = request.state
    return launch_plan_pb2.LaunchPlanUpdateResponse()


OPERATIONS = {
    "CreateTask": create_task,
    "GetTask": get_task,
    "ListTasks": list_tasks,
    "ListTaskIds": list_task_ids,
    "CreateWorkflow": create_workflow,
    "GetWorkflow": get_workflow,
    "CreateLaunchPlan": create_launch_plan,
    "GetLaunchPlan": get_launch_plan,
    "ListLaunchPlans": list_launch_plans,
    "UpdateLaunchPlan": update_launch_plan,
}


def _create(
    world: World,
    table: dict[EntityKey, Entity],
    kind: str,
    request: Any,
    build: Callable[[], Any],
) -> None:
    key = make_key(request.id)
    if not all(key):
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"missing parts of the id of a {kind}")
    digest = request.spec.SerializeToString(deterministic=True)
    if key not in table:
        table[key] = Entity(build(), digest)
    elif table[key].digest == digest:
        raise Refused(
            grpc.StatusCode.ALREADY_EXISTS, f"{kind} with identical structure already exists"
        )
    else:
        raise Refused(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"{request.id.name} {kind} with different structure already exists. "
            f"(Please register a new version of the {kind})",
        )


def _get(table: dict[EntityKey, Entity], request: Any) -> Any:
    entity = table.get(make_key(request.id))
    if entity is None:
        raise Refused(
            grpc.StatusCode.NOT_FOUND, f"missing entity with identifier {request.id.name}"
        )
    return entity.message


def _list(table: dict[EntityKey, Entity], request: Any) -> tuple[list[Any], str]:
    if request.filters or request.sort_by.key not in ("", "created_at"):
        raise Unknown(f"filter {request.filters!r} or order {request.sort_by.key!r}")
    wanted = (request.id.project, request.id.domain)
    found = [
        entity
        for key, entity in table.items()
        if key[:2] == wanted and request.id.name in ("", key[2])
    ]
    if request.sort_by.key and request.sort_by.direction == common_pb2.Sort.DESCENDING:
        found.reverse()
    page, token = cut_page(found, request)
    return [entity.message for entity in page], token


def _compile(world: World, spec: Any, workflow: Any) -> None:
    compiled = workflow.closure.compiled_workflow
    compiled.primary.template.CopyFrom(spec.template)
    compiled.primary.template.id.CopyFrom(workflow.id)
    for template in spec.sub_workflows:
        compiled.sub_workflows.add().template.CopyFrom(template)
    references = {
        make_key(node.task_node.reference_id): node.task_node.reference_id
        for template in [spec.template, *spec.sub_workflows]
        for node in [*template.nodes, template.failure_node]
        if node.HasField("task_node")
    }
    for reference in references.values():
        template = world.find_task(reference)
        if template is None:
            raise Refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"failed to compile workflow: task {reference.name} is not registered",
            )
        compiled.tasks.add().template.CopyFrom(template)


def _fill_in_interface(world: World, plan: Any) -> None:
    """What a launch plan expects: its own defaults, and for the rest its workflow's inputs."""
    workflow = world.workflows.get(make_key(plan.spec.workflow_id))
    if workflow is None:
        raise Refused(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"workflow {plan.spec.workflow_id.name} of the launch plan is not registered",
        )
    interface = workflow.message.closure.compiled_workflow.primary.template.interface
    plan.closure.expected_outputs.CopyFrom(interface.outputs)
    expected = plan.closure.expected_inputs
    expected.CopyFrom(plan.spec.default_inputs)
    for name, variable in interface.inputs.variables.items():
        if name in plan.spec.fixed_inputs.literals:
            expected.parameters.pop(name, None)
        elif name not in expected.parameters:
            expected.parameters[name].var.CopyFrom(variable)
            expected.parameters[name].required = True
