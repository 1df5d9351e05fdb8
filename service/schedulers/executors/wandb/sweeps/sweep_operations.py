"""What the process that has wandb does with sweeps.

The SDK's own functions are not used: creating a sweep sets variables of the process, and creates a
second one if the first answer was lost; reading one reads its runs too, and reading a list reads
each sweep of it again. Their GraphQL operations are, under the same names.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import yaml
from wandb import Api
from wandb.proto import wandb_internal_pb2

from service.schedulers.executors.wandb.connection.graphql import execute
from service.schedulers.executors.wandb.runs.runs import strip_credentials

_PAGE_SIZE = 100

_GET: Final = """
query GetSweepState($entity: String, $project: String, $sweep: String!) {
    project(name: $project, entityName: $entity) {
        sweep(sweepName: $sweep) { id name state }
    }
}
"""

_LIST: Final = """
query GetSweeps($entity: String!, $project: String!, $cursor: String, $perPage: Int) {
    project(name: $project, entityName: $entity) {
        sweeps(after: $cursor, first: $perPage) {
            edges { node { name description config createdAt state } }
            pageInfo { hasNextPage endCursor }
        }
    }
}
"""

_LIST_STATES: Final = """
query GetSweeps($entity: String!, $project: String!, $filters: JSONString!, $perPage: Int) {
    project(name: $project, entityName: $entity) {
        sweeps(first: $perPage, filters: $filters) { edges { node { name state } } }
    }
}
"""

_CREATE: Final = """
mutation UpsertSweep(
    $config: String, $description: String, $entityName: String, $projectName: String,
    $state: String
) {
    upsertSweep(input: {
        config: $config, description: $description, entityName: $entityName,
        projectName: $projectName, state: $state
    }) {
        sweep { name createdAt state project { name entity { name } } }
    }
}
"""

_SET_STATE: Final = """
mutation UpsertSweepState($id: ID!, $state: String!) {
    upsertSweep(input: {id: $id, state: $state}) { sweep { state } }
}
"""


def find_sweeps(
    api: Api, *, entity: str | None, project: str, marker: str, cursor: str | None
) -> dict[str, Any]:
    """Looks through one page of a project's sweeps for those whose description has the marker.

    Returns:
        The `sweeps`, and the `cursor` of the next page, None after the last one.
    """
    entity = entity or str(api.default_entity)
    variables = {"entity": entity, "project": project, "cursor": cursor, "perPage": _PAGE_SIZE}
    found = (execute(api, _LIST, variables).get("project") or {}).get("sweeps")
    if found is None:
        return {"sweeps": [], "cursor": None}
    nodes = [edge["node"] for edge in found["edges"]]
    page = found["pageInfo"]
    return {
        "sweeps": [
            _describe(api, entity, project, node) for node in nodes if _is_marked(node, marker)
        ],
        "cursor": page["endCursor"] if page["hasNextPage"] else None,
    }


def create_sweep(
    api: Api, *, entity: str | None, project: str, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Creates a sweep that runs; its project too, if there is none.

    Not idempotent, and wandb-core does it twice if the first answer is lost.
    """
    variables = {
        "config": yaml.dump(config, Dumper=_QuotingDumper, sort_keys=False),
        "description": config["description"],
        "entityName": entity or api.default_entity,
        "projectName": project,
        "state": "RUNNING",
    }
    sweep = execute(api, _CREATE, variables)["upsertSweep"]["sweep"]
    place = sweep["project"]
    return _describe(api, place["entity"]["name"], place["name"], sweep)


def read_sweep_states(
    api: Api, *, entity: str, project: str, names: Sequence[str]
) -> dict[str, str | None]:
    """Returns W&B's word for the state of each sweep; None for those that are not there.

    One request for all, and one more for each that the answer to it leaves out.

    Raises:
        ValueError: The project is not there, or not for this key.
    """
    states: dict[str, str | None] = dict(_list_states(api, entity, project, names))
    for name in names:
        if name not in states:
            sweep = get_sweep(api, entity, project, name)
            states[name] = sweep["state"] if sweep else None
    return states


def set_sweep_state(api: Api, *, entity: str, project: str, name: str, state: str) -> bool:
    """Gives a sweep a state unless it has it, by W&B's word for it; False if it is not there.

    Raises:
        ValueError: As for `get_sweep`.
    """
    sweep = get_sweep(api, entity, project, name)
    if sweep is not None and sweep["state"].upper() != state:
        execute(api, _SET_STATE, {"id": sweep["id"], "state": state})
    return sweep is not None


def get_sweep(api: Api, entity: str, project: str, name: str) -> dict[str, Any] | None:
    """Returns the id and the state of a sweep; None if it is not there.

    Raises:
        ValueError: The project is not there, or not for this key.
    """
    answer = execute(api, _GET, {"entity": entity, "project": project, "sweep": name})
    if answer.get("project") is None:
        # A key that may not see a project gets the same answer, and nothing was deleted then.
        raise ValueError(
            f"W&B shows no project {entity}/{project} to this key; give its user access to it."
        )
    sweep: dict[str, Any] | None = answer["project"]["sweep"]
    return sweep


OPERATIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "find_sweeps": find_sweeps,
    "create_sweep": create_sweep,
    "read_sweep_states": read_sweep_states,
    "set_sweep_state": set_sweep_state,
}


class _QuotingDumper(yaml.SafeDumper):
    """Writes texts so that they are texts to every reader of YAML, also 008 and 1e5."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if text.isidentifier() else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_QuotingDumper.add_representer(str, _represent_text)


def _is_marked(sweep: Mapping[str, Any], marker: str) -> bool:
    # People may change the description of a sweep, not that of its configuration.
    return marker in (sweep["description"] or "") or marker in (sweep["config"] or "")


def _describe(api: Api, entity: str, project: str, sweep: Mapping[str, Any]) -> dict[str, Any]:
    path = "/".join(quote(part, safe="") for part in (entity, project, "sweeps", sweep["name"]))
    return {
        "entity": entity,
        "project": project,
        "name": sweep["name"],
        "created_at": sweep["createdAt"],
        "state": sweep["state"],
        "url": f"{strip_credentials(api._service_api.app_url)}{path}",
    }


def _list_states(api: Api, entity: str, project: str, names: Collection[str]) -> dict[str, str]:
    # An older server would answer with all sweeps of the project, and one needs no list.
    feature = wandb_internal_pb2.SWEEPS_QUERY_FILTERING  # type: ignore[attr-defined]  # made at its import
    if len(names) < 2 or not api._service_api.feature_enabled(feature):
        return {}
    variables = {
        "entity": entity,
        "project": project,
        "filters": json.dumps({"name": {"$in": list(names)}}),
        "perPage": len(names),
    }
    found = (execute(api, _LIST_STATES, variables).get("project") or {}).get("sweeps") or {}
    nodes = [edge["node"] for edge in found.get("edges", ())]
    return {node["name"]: node["state"] for node in nodes if node["name"] in names}
