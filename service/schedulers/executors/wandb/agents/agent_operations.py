"""What the process that has wandb does with runs that wait in a sweep for an agent.

The SDK's own functions are not used: enqueuing reads the sweep with its runs first, and runs come
with all of their configuration. Their GraphQL operations are, under the same names.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from wandb import Api
from wandb.proto import wandb_internal_pb2

from service.schedulers.executors.wandb.connection.graphql import execute
from service.schedulers.executors.wandb.sweeps.sweep_operations import get_sweep

_PAGE_SIZE = 100

_ENQUEUE: Final = """
mutation EnqueueSweepRun($id: ID!, $config: JSONString!, $displayName: String) {
    enqueueSweepRun(input: {id: $id, config: $config, displayName: $displayName}) { id }
}
"""

_LIST: Final = """
query Runs(
    $entity: String!, $project: String!, $filters: JSONString, $perPage: Int, $cursor: String
) {
    project(name: $project, entityName: $entity) {
        runs(filters: $filters, first: $perPage, after: $cursor) {
            edges { node { name displayName state createdAt } }
            pageInfo { hasNextPage endCursor }
        }
    }
}
"""

# What the SDK asks for in two: the agents, then the runs of each.
_TAKEN: Final = """
query GetSweepAgents(
    $entity: String, $project: String, $sweep: String!, $first: Int, $order: String
) {
    project(name: $project, entityName: $entity) {
        sweep(sweepName: $sweep) {
            agents { edges { node { runs(first: $first, order: $order) {
                edges { node { name } }
            } } } }
        }
    }
}
"""

_HEARTBEAT: Final = """
query Run($entity: String!, $project: String!, $name: String!) {
    project(name: $project, entityName: $entity) { run(name: $name) { heartbeatAt } }
}
"""


def enqueue_run(
    api: Api, *, entity: str, project: str, sweep: str, params: Mapping[str, Any], label: str
) -> str | None:
    """Has an agent of a sweep run something, and returns the run's name; W&B chooses that.

    None if this W&B cannot do it. Not idempotent, and wandb-core does it twice if the first answer
    is lost.

    Raises:
        ValueError: The sweep is not there.
    """
    feature = wandb_internal_pb2.SWEEPS_LOCAL_SCHEDULER  # type: ignore[attr-defined]  # made at its import
    if not api._service_api.feature_enabled(feature):
        return None
    found = get_sweep(api, entity, project, sweep)
    if found is None:
        raise ValueError(f"There is no sweep {entity}/{project}/{sweep} at W&B any more.")
    config = {name: {"value": value} for name, value in params.items()}
    variables = {"id": found["id"], "config": json.dumps(config), "displayName": label}
    name: str = execute(api, _ENQUEUE, variables)["enqueueSweepRun"]["id"]
    return name


def list_enqueued_runs(
    api: Api, *, entity: str, project: str, sweep: str, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Returns the runs of a sweep that have these display names, whatever has become of them."""
    wanted = [{"sweep": sweep}, {"displayName": {"$in": list(labels)}}]
    variables = {
        "entity": entity,
        "project": project,
        "filters": json.dumps({"$and": wanted}),
        "perPage": _PAGE_SIZE,
        "cursor": None,
    }
    runs: list[dict[str, Any]] = []
    while True:
        page = (execute(api, _LIST, variables).get("project") or {}).get("runs") or {}
        nodes = [edge["node"] for edge in page.get("edges", ())]
        runs += [_describe(node) for node in nodes if node["displayName"] in labels]
        if not page.get("pageInfo", {}).get("hasNextPage"):
            return runs
        variables["cursor"] = page["pageInfo"]["endCursor"]


def list_taken_runs(api: Api, *, entity: str, project: str, sweep: str) -> list[str]:
    """Returns the names of a sweep's runs that agents have, of each agent the newest ones."""
    place = {"entity": entity, "project": project, "sweep": sweep}
    page = {"first": _PAGE_SIZE, "order": "-created_at"}
    found = (execute(api, _TAKEN, {**place, **page}).get("project") or {}).get("sweep") or {}
    return [
        edge["node"]["name"]
        for agent in found.get("agents", {}).get("edges", ())
        for edge in agent["node"]["runs"]["edges"]
    ]


def read_heartbeat(api: Api, *, entity: str, project: str, run_id: str) -> str | None:
    """Returns when W&B heard of a run last, as it writes that; None if it is not there."""
    variables = {"entity": entity, "project": project, "name": run_id}
    run = (execute(api, _HEARTBEAT, variables).get("project") or {}).get("run")
    return None if run is None else run["heartbeatAt"]


OPERATIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "enqueue_run": enqueue_run,
    "list_enqueued_runs": list_enqueued_runs,
    "list_taken_runs": list_taken_runs,
    "read_heartbeat": read_heartbeat,
}


def _describe(run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": run["name"],
        "label": run["displayName"],
        "state": run["state"].lower(),
        "created_at": run["createdAt"],
    }
