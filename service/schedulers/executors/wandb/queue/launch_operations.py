"""What the process that has wandb does with launch queues and the jobs in them.

The SDK's own functions are not used: they push before they look whether there is such a job, take
any failure of a push for a queue that is not there, wait without end, and list ids only. Their
GraphQL operations are, under the same names.
"""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from wandb import Api
from wandb.errors import CommError

from service.schedulers.executors.wandb.connection.graphql import execute

# Why an item failed; the SDK never asks for it, so an older server may have no such field.
_REASON: Final = "error { message }"

_ITEMS: Final = """
query GetRunQueueItems(
    $entityName: String!, $projectName: String!, $runQueue: String!, $cursor: String
) {
    project(name: $projectName, entityName: $entityName) {
        runQueue(name: $runQueue) {
            id
            runQueueItems(first: 100, after: $cursor) {
                edges { node { id state associatedRunId runSpec %s } }
                pageInfo { hasNextPage endCursor }
            }
        }
    }
}
"""

_PUSH: Final = """
mutation pushToRunQueueByName(
    $entityName: String!
    $projectName: String!
    $queueName: String!
    $runSpec: JSONString!
    %s
) {
    pushToRunQueueByName(input: {
        entityName: $entityName
        projectName: $projectName
        queueName: $queueName
        runSpec: $runSpec
        %s
    }) { runQueueItemId }
}
"""

_DELETE: Final = """
mutation DeleteFromRunQueue($queueID: ID!, $runQueueItemId: ID!) {
    deleteFromRunQueue(input: { queueID: $queueID, runQueueItemId: $runQueueItemId }) { success }
}
"""


def find_job_problem(api: Api, *, job: str) -> str | None:
    """Returns why there is no such job, for people; None if there is one. Downloads nothing."""
    try:
        api.artifact(job, type="job")
    except CommError as error:
        # What W&B answered is in the SDK's hands by then; anything else is a failure to ask, also
        # an answer that is not understood, whose error is a kind of ValueError.
        if type(error.exc) is ValueError:
            return str(error)
        raise
    return None


def list_queue_items(
    api: Api,
    *,
    entity: str,
    project: str,
    queue: str,
    run_ids: Collection[str],
    cursor: str | None,
) -> dict[str, Any] | None:
    """Returns what one page of a queue holds of some runs; None if there is no such queue.

    `cursor` is that of the next page, None after the last one.
    """
    variables: dict[str, Any] = {
        "entityName": entity,
        "projectName": project,
        "runQueue": queue,
        "cursor": cursor,
    }
    found = _read_page(api, variables)
    if found is None:
        return None
    page = found["runQueueItems"]
    described = [_describe_item(edge["node"]) for edge in page["edges"]]
    items = [item for item in described if item["run_id"] in run_ids]
    info = page["pageInfo"]
    next_cursor = info["endCursor"] if info["hasNextPage"] else None
    return {"queue_id": found["id"], "items": items, "cursor": next_cursor}


def push_queue_item(
    api: Api,
    *,
    entity: str,
    project: str,
    queue: str,
    run_spec: Mapping[str, Any],
    priority: int | None,
    template_variables: Mapping[str, Any] | None,
) -> str | None:
    """Returns the new item's id; None if W&B took nothing. Not idempotent."""
    # An older server refuses what it does not know, so only what is given is named.
    options: dict[str, tuple[str, Any]] = {}
    if priority is not None:
        options["priority"] = ("Int", priority)
    if template_variables:
        options["templateVariableValues"] = ("JSONString", json.dumps(template_variables))
    mutation = _PUSH % (
        " ".join(f"${name}: {kind}" for name, (kind, _) in options.items()),
        " ".join(f"{name}: ${name}" for name in options),
    )
    variables = {"entityName": entity, "projectName": project, "queueName": queue}
    variables["runSpec"] = json.dumps(run_spec)
    variables |= {name: value for name, (_, value) in options.items()}
    pushed = execute(api, mutation, variables).get("pushToRunQueueByName") or {}
    return pushed.get("runQueueItemId")


def delete_queue_item(api: Api, *, queue_id: str, item_id: str) -> bool:
    """Takes an item out of its queue; False if it is not there any more, or W&B keeps it."""
    answer = execute(api, _DELETE, {"queueID": queue_id, "runQueueItemId": item_id})
    return bool((answer.get("deleteFromRunQueue") or {}).get("success"))


OPERATIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "find_job_problem": find_job_problem,
    "list_queue_items": list_queue_items,
    "push_queue_item": push_queue_item,
    "delete_queue_item": delete_queue_item,
}


def _read_page(api: Api, variables: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        answer = execute(api, _ITEMS % _REASON, variables)
    except Exception as error:
        if "Cannot query field" not in str(error):
            raise
        answer = execute(api, _ITEMS % "", variables)
    found: dict[str, Any] | None = (answer.get("project") or {}).get("runQueue")
    return found


def _describe_item(node: Mapping[str, Any]) -> dict[str, Any]:
    """Only what is needed leaves this process: other people's items may hold secrets."""
    spec = _read_spec(node.get("runSpec"))
    count = spec.get("_resume_count")
    return {
        "item_id": node["id"],
        "state": str(node["state"]).lower(),
        "run_id": spec.get("run_id") or node.get("associatedRunId"),
        "attempt": _dig(spec, "overrides", "run_config", "asktell", "attempt"),
        "message": _dig(node, "error", "message"),
        "resume_count": count if type(count) is int else 0,
    }


def _read_spec(spec: Any) -> dict[str, Any]:
    """The SDK has it as JSON in one place, as a text of JSON in the other."""
    if isinstance(spec, str):
        try:
            spec = json.loads(spec)
        except ValueError:
            return {}
    return spec if isinstance(spec, dict) else {}


def _dig(document: Any, *names: str) -> Any:
    """What is in the documents within; None where there is none of that name, or no document."""
    for name in names:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document
