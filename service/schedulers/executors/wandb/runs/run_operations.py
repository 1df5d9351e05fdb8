"""What the process that has wandb does with runs, and how it tells who the worker is.

Runs are asked for by the SDK's own operations under their own names, but not through its objects:
those fetch all of a run's configuration, and leave out whether somebody wants it to stop.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx
import wandb
from wandb import Api
from wandb.errors import AuthenticationError

from service.schedulers.executors.wandb.connection.errors import explain_error
from service.schedulers.executors.wandb.connection.graphql import execute
from service.schedulers.executors.wandb.connection.system import list_secrets

_MOST_AT_ONCE = 100
_MOST_ROWS = 1_000
_MOST_STEPS = 10_000
_MOST_AT_A_STOP = 50
_HTTP_TIMEOUT_SECONDS = 10.0
# W&B calls a run crashed that it has not heard of for minutes; that has not had its end either.
_UNENDED_STATES = ("pending", "running", "preempting", "crashed")
# Which runs W&B calls failed when it is asked to.
_MAY_BE_FAILED = ("pending", "running")
# What W&B answers for values that JSON does not know.
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

_VIEWER: Final = "query Viewer { viewer { id entity username } }"

_RUNS: Final = """
query Runs($entity: String!, $project: String!, $filters: JSONString, $perPage: Int) {
    project(name: $project, entityName: $entity) {
        runs(filters: $filters, first: $perPage) {
            edges { node { name state stopped summaryMetrics historyKeys heartbeatAt } }
        }
    }
}
"""

_RUN_IDS: Final = """
query Runs($entity: String!, $project: String!, $filters: JSONString, $perPage: Int) {
    project(name: $project, entityName: $entity) {
        runs(filters: $filters, first: $perPage) { edges { node { id name } } }
    }
}
"""

_RUN: Final = """
query Run($entity: String!, $project: String!, $name: String!) {
    project(name: $project, entityName: $entity) {
        run(name: $name) { state stopped sweepName }
    }
}
"""

_HISTORY: Final = """
query RunSampledHistory(
    $entity: String!, $project: String!, $name: String!, $specs: [JSONString!]!
) {
    project(name: $project, entityName: $entity) {
        run(name: $name) { historyKeys sampledHistory(specs: $specs) }
    }
}
"""


def find_account(api: Api) -> dict[str, Any]:
    """Asks W&B whose the key is; `entity` is where its runs go by default."""
    viewer = execute(api, _VIEWER, {}).get("viewer")
    if viewer is None:
        raise AuthenticationError("W&B does not know the API key.")
    entity = api.settings["entity"] or viewer["entity"]
    return {"entity": entity}


def flag_stops(
    api: Api, *, entity: str, project: str, run_ids: Sequence[str]
) -> dict[str, str | None]:
    """Asks for the end of runs of a project, as the button on the page of each does.

    Two requests for fifty. Returns by id why W&B did not take it; None where it did.
    """
    refusals: dict[str, str | None] = {
        run_id: f"Could not find run {entity}/{project}/{run_id}." for run_id in run_ids
    }
    for begin in range(0, len(run_ids), _MOST_AT_A_STOP):
        names = run_ids[begin : begin + _MOST_AT_A_STOP]
        refusals |= _stop(api, _find_ids(api, entity, project, names))
    return refusals


def find_runs(
    api: Api, *, entity: str, project: str, run_ids: Sequence[str]
) -> dict[str, dict[str, Any]] | None:
    """Returns what W&B has of some runs of a project, by id; one request for a hundred.

    None if W&B shows no such project: to a key that may not see it, it is as if it was not there.
    """
    found: dict[str, dict[str, Any]] = {}
    for begin in range(0, len(run_ids), _MOST_AT_ONCE):
        names = list(run_ids[begin : begin + _MOST_AT_ONCE])
        variables = {
            "entity": entity,
            "project": project,
            "filters": json.dumps({"name": {"$in": names}}),
            "perPage": _MOST_AT_ONCE,
        }
        shown = execute(api, _RUNS, variables).get("project")
        if shown is None:
            return None
        nodes = (edge["node"] for edge in (shown.get("runs") or {}).get("edges", ()))
        found |= {node["name"]: _describe(node) for node in nodes if node["name"] in names}
    return found


def read_history(
    api: Api,
    *,
    entity: str,
    project: str,
    run_id: str,
    keys: Sequence[str],
    min_step: int,
    max_step: int | None,
) -> dict[str, Any]:
    """Returns rows from a step on that have any of the keys, in the order of their steps.

    W&B answers with rows that have all the keys that are asked for: each is asked for apart, and
    what was logged at one step is put together again. One request, unless so many steps went by
    that W&B might leave out rows; then the SDK reads a page of each key, and no more than that:
    `read_to` says how far it came, `is_all` whether that is as far as it was to.

    Args:
        max_step: The last one to read; None for the run's.
    """
    path = (entity, project, run_id)
    last_step, sampled = _sample_rows(api, path, keys, min_step)
    end = last_step if max_step is None else max_step
    read_to = min(end, min_step + _MOST_STEPS - 1)
    # What was left out, nobody would see.
    found = sampled if last_step < min_step + _MOST_ROWS else _scan(api, path, keys, min_step)
    rows: dict[int, dict[str, Any]] = {}
    for row in found:
        if row["_step"] <= read_to:
            rows.setdefault(row["_step"], {}).update(_to_numbers(row))
    ordered = [rows[step] for step in sorted(rows)]
    return {"rows": ordered, "read_to": read_to, "is_all": read_to == end}


def end_run(api: Api, *, entity: str, project: str, run_id: str, exit_code: int) -> bool:
    """Ends a run whose process could not say it; False if it has ended already.

    W&B gives a run the state that its end makes it: killed if it was to stop, preempted if it said
    so, else by the exit code.
    """
    variables = {"entity": entity, "project": project, "name": run_id}
    run = (execute(api, _RUN, variables).get("project") or {}).get("run")
    if run is None:
        raise ValueError(f"There is no run {entity}/{project}/{run_id} at W&B.")
    if run["state"].lower() not in _UNENDED_STATES:
        return False
    if not _calls_failed(api, run, variables, exit_code):
        _send_end(api, variables, exit_code)
    return True


OPERATIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "find_account": find_account,
    "flag_stops": flag_stops,
    "find_runs": find_runs,
    "read_history": read_history,
    "end_run": end_run,
}


def _find_ids(api: Api, entity: str, project: str, names: Sequence[str]) -> dict[str, str]:
    """Returns W&B's own ids of the runs that there are, by name."""
    variables = {
        "entity": entity,
        "project": project,
        "filters": json.dumps({"name": {"$in": list(names)}}),
        "perPage": len(names),
    }
    runs = (execute(api, _RUN_IDS, variables).get("project") or {}).get("runs") or {}
    nodes = (edge["node"] for edge in runs.get("edges", ()))
    return {node["name"]: node["id"] for node in nodes if node["name"] in names}


def _stop(api: Api, ids: Mapping[str, str]) -> dict[str, str | None]:
    """Has them all told; one by one if W&B refuses, so that each has its own refusal."""
    if not ids:
        return {}
    try:
        execute(api, _build_stops(len(ids)), {f"id{i}": id_ for i, id_ in enumerate(ids.values())})
    except Exception as error:
        failure = explain_error(error)
        if failure.kind != "refused" or failure.is_about_key:
            raise
        if len(ids) == 1:
            secrets = list_secrets(api.api_key, api.settings["base_url"])
            return dict.fromkeys(ids, failure.redact(secrets).message)
        refusals = (_stop(api, {name: id_}) for name, id_ in ids.items())
        return dict(chain.from_iterable(each.items() for each in refusals))
    return dict.fromkeys(ids)


def _build_stops(count: int) -> str:
    """Returns the SDK's own mutation, so many times in one request."""
    wanted = ", ".join(f"$id{i}: ID!" for i in range(count))
    stops = " ".join(f"run{i}: stopRun(input: {{id: $id{i}}}) {{ success }}" for i in range(count))
    return f"mutation StopRuns({wanted}) {{ {stops} }}"


def _describe(run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "state": run["state"].lower(),
        "summary": _to_numbers(json.loads(run["summaryMetrics"] or "{}", strict=False)),
        "last_step": (run["historyKeys"] or {}).get("lastStep", -1),
        "is_stopped": bool(run["stopped"]),
        "heartbeat_at": run.get("heartbeatAt"),
    }


def _to_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_numbers(each) for key, each in value.items()}
    return _NON_FINITE.get(value, value) if isinstance(value, str) else value


def _sample_rows(
    api: Api, path: tuple[str, str, str], keys: Sequence[str], min_step: int
) -> tuple[int, Iterator[dict[str, Any]]]:
    """Returns the run's last step, and rows of each key; of many steps only some."""
    sample = {"minStep": min_step, "samples": _MOST_ROWS}
    specs = [json.dumps({"keys": ["_step", key], **sample}) for key in keys]
    variables = dict(zip(("entity", "project", "name"), path, strict=True))
    found = execute(api, _HISTORY, {**variables, "specs": specs})
    run = (found.get("project") or {}).get("run")
    if run is None:
        raise ValueError(f"There is no run {'/'.join(path)} at W&B.")
    last_step = (run["historyKeys"] or {}).get("lastStep", -1)
    return last_step, chain.from_iterable(run["sampledHistory"])


def _scan(
    api: Api, path: tuple[str, str, str], keys: Sequence[str], min_step: int
) -> Iterator[dict[str, Any]]:
    run = api.run("/".join(path))
    for key in keys:
        yield from run.scan_history(
            keys=["_step", key],
            min_step=min_step,
            max_step=min_step + _MOST_STEPS,
            page_size=_MOST_STEPS,
            use_cache=False,
        )


def _calls_failed(
    api: Api, run: Mapping[str, Any], variables: Mapping[str, str], exit_code: int
) -> bool:
    """Has W&B call it failed, which it does for some runs, if that is what it is to be."""
    may_be_failed = run["state"].lower() in _MAY_BE_FAILED and not run["stopped"]
    if exit_code == 0 or not may_be_failed or run["sweepName"] is not None:
        return False
    try:
        path = "/".join(variables[part] for part in ("entity", "project", "name"))
        return api.run(path).update_state("failed")
    except Exception as error:
        if explain_error(error).kind == "away":
            raise
        # An older server cannot; any server takes what the run itself would have said.
        return False


def _send_end(api: Api, variables: Mapping[str, str], exit_code: int) -> None:
    """Says what the run's own process would have said last."""
    if api.api_key is None:
        raise ValueError("The end of a run can only be told with an API key, not by other tokens.")
    names = (quote(variables[part], safe="") for part in ("entity", "project", "name"))
    base_url: str = api.settings["base_url"]
    settings = wandb.setup().settings
    answer = httpx.post(
        "/".join((base_url, "files", *names, "file_stream")),
        auth=("api", api.api_key),
        headers=settings.x_extra_http_headers,
        proxy=_find_proxy(settings, urlsplit(base_url).scheme),
        json={"complete": True, "exitcode": exit_code, "files": {}},
        timeout=_HTTP_TIMEOUT_SECONDS,
    )
    answer.raise_for_status()


def _find_proxy(settings: wandb.Settings, scheme: str) -> str | None:
    """None: the one that the environment names for everybody, if any."""
    own = settings.https_proxy if scheme == "https" else settings.http_proxy
    return own or (settings.x_proxies or {}).get(scheme)
