"""Operations on launch queues, of those who push and of the agents who take."""

import json
from typing import Any

from tests.wandb_backend.launch_items import DELETABLE_STATES, LaunchQueue, QueueItem
from tests.wandb_backend.paging import cut_page
from tests.wandb_backend.projects import answer_project, name_project
from tests.wandb_backend.world import Answer, Refused, Variables, World, make_id


def create_resource_config(world: World, variables: Variables) -> Answer:
    config_id = make_id("DefaultResourceConfig", world.make_name())
    created = {"defaultResourceConfigID": config_id, "success": True}
    return {"createDefaultResourceConfig": created}


def create_queue(world: World, variables: Variables) -> Answer:
    queue = add_queue(world, variables["queueName"], variables)
    queue.access = variables.get("access") or queue.access
    queue.prioritization = variables.get("prioritizationMode") or queue.prioritization
    queue.resource_config_id = variables.get("defaultResourceConfigID")
    return {"createRunQueue": {"success": True, "queueID": queue.id}}


def add_queue(world: World, name: str, variables: Variables) -> LaunchQueue:
    entity, project = name_project(world, variables)
    queue_id = make_id("RunQueue", entity, project, name)
    queue = LaunchQueue(id=queue_id, entity=entity, project=project, name=name)
    world.projects.add((entity, project))
    return world.queues.setdefault(queue.path, queue)


def list_queues(world: World, variables: Variables) -> Answer:
    entity, project = name_project(world, variables)
    place = (entity, project)
    queues = [each for each in world.queues.values() if (each.entity, each.project) == place]
    described = [_describe_queue(world, queue, variables) for queue in queues]
    return answer_project(world, variables, runQueues=described)


def find_queue(world: World, variables: Variables) -> Answer:
    queue = _find_queue(world, variables)
    described = queue and _describe_queue(world, queue, variables)
    return answer_project(world, variables, runQueue=described)


def push(world: World, variables: Variables) -> Answer:
    """Null if there is no such queue, which is what the SDK expects."""
    queue = _find_queue(world, variables)
    if queue is None:
        return {"pushToRunQueueByName": None}
    item = _add_item(world, queue, variables)
    pushed = {"runQueueItemId": item.id, "runSpec": json.dumps(item.spec)}
    return {"pushToRunQueueByName": pushed}


def delete_item(world: World, variables: Variables) -> Answer:
    """Without success for an item of another queue, and for one that is no longer waiting."""
    item = world.items.get(variables["runQueueItemId"])
    is_deletable = (
        item is not None
        and world.queues[item.queue_path].id == variables["queueID"]
        and item.state in DELETABLE_STATES
    )
    if is_deletable:
        del world.items[variables["runQueueItemId"]]
    return {"deleteFromRunQueue": {"success": is_deletable, "clientMutationId": None}}


def pop(world: World, variables: Variables) -> Answer:
    item = take_next(world, _find_queue(world, variables))
    taken = item and {"runQueueItemId": item.id, "runSpec": item.spec}
    return {"popFromRunQueue": taken}


def take_next(world: World, queue: LaunchQueue | None) -> QueueItem | None:
    """Leases the item whose turn it is: priority 0 first, then the oldest."""
    if queue is None:
        return None
    waiting = [item for item in _list_items(world, queue) if item.state == "PENDING"]
    taken = min(
        waiting, key=lambda item: 2 if item.priority is None else item.priority, default=None
    )
    if taken is not None:
        taken.state = "LEASED"
    return taken


def acknowledge(world: World, variables: Variables) -> Answer:
    item = _get_item(world, variables["itemId"])
    is_leased = item.state == "LEASED"
    if is_leased:
        item.state, item.run_id = "CLAIMED", variables["runId"]
    return {"ackRunQueueItem": {"success": is_leased}}


def fail_item(world: World, variables: Variables) -> Answer:
    item = _get_item(world, variables["runQueueItemId"])
    item.state, item.error = "FAILED", variables["message"]
    return {"failRunQueueItem": {"success": True}}


def _find_queue(world: World, variables: Variables) -> LaunchQueue | None:
    entity, project = name_project(world, variables)
    spellings = ("runQueue", "runQueueName", "queueName")
    name = next((variables[each] for each in spellings if variables.get(each)), "")
    return world.queues.get(f"{entity}/{project}/{name}")


def _describe_queue(world: World, queue: LaunchQueue, variables: Variables) -> dict[str, Any]:
    items = [_describe_item(world, item) for item in _list_items(world, queue)]
    wanted = [item for item in items if item["id"] == variables.get("itemId")]
    return {
        "id": queue.id,
        "name": queue.name,
        "createdBy": None,
        "access": queue.access,
        "prioritizationMode": queue.prioritization,
        "defaultResourceConfigID": queue.resource_config_id,
        "externalLinks": None,
        "runQueueItem": wanted[0] if wanted else None,
        "runQueueItems": cut_page(items, variables | {"first": variables.get("first", 100)}),
    }


def _describe_item(world: World, item: QueueItem) -> dict[str, Any]:
    return {
        "id": item.id,
        "state": item.state,
        "error": lambda: _describe_error(world, item),
        "associatedRunId": item.run_id,
        "runSpec": item.spec,
        "launchAgentId": None,
        "priority": item.priority,
        "createdAt": item.created_at,
        "updatedAt": item.created_at,
    }


def _describe_error(world: World, item: QueueItem) -> dict[str, Any] | None:
    """A guess: agents give this reason, but no public schema or tool shows where it is read."""
    if not world.has_item_errors:
        raise Refused('Cannot query field "error" on type "RunQueueItem".')
    if item.error is None:
        return None
    return {"message": item.error, "stage": "agent", "filePaths": []}


def _list_items(world: World, queue: LaunchQueue) -> list[QueueItem]:
    return [item for item in world.items.values() if item.queue_path == queue.path]


def _add_item(world: World, queue: LaunchQueue, variables: Variables) -> QueueItem:
    templates = variables.get("templateVariableValues")
    item = QueueItem(
        id=make_id("RunQueueItem", world.make_name()),
        queue_path=queue.path,
        spec=json.loads(variables["runSpec"]),
        created_at=world.now(),
        priority=variables.get("priority"),
        template_variables=templates and json.loads(templates),
    )
    world.items[item.id] = item
    return item


def _get_item(world: World, item_id: str) -> QueueItem:
    if item_id not in world.items:
        raise Refused("There is no such item in the queue.")
    return world.items[item_id]


OPERATIONS = {
    "CreateDefaultResourceConfig": create_resource_config,
    "CreateRunQueue": create_queue,
    "ProjectRunQueues": list_queues,
    "GetRunQueueMetadata": find_queue,
    "GetRunQueueItem": find_queue,
    "GetRunQueueItems": find_queue,
    "fetchRunQueuesFromProject": find_queue,
    "pushToRunQueueByName": push,
    "DeleteFromRunQueue": delete_item,
    "popFromRunQueue": pop,
    "ackRunQueueItem": acknowledge,
    "failRunQueueItem": fail_item,
}
