"""What the process that has wandb does with runs, and how it tells who the worker is.

Runs are asked for by the SDK's own operations under their own names, but not through its objects:
those fetch all of a run's configuration, and leave out whether somebody wants it to stop.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final
from urllib.parse import quote

import httpx
from wandb import Api
from wandb.errors import AuthenticationError

from service.schedulers.executors.wandb.connection.errors import explain_error
from service.schedulers.executors.wandb.connection.graphql import execute

_MOST_AT_ONCE = 100
_MOST_ROWS = 1_000
_MOST_STEPS = 10_000
_HTTP_TIMEOUT_SECONDS = 10.0
_UNENDED_STATES = ("pending", "running", "preempting")
# What W&B answers for values that JSON does not know.
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

_VIEWER: Final = "query Viewer { viewer { id entity username } }"

_RUNS: Final = """
query Runs($entity: String!, $project: String!, $filters: JSONString, $perPage: Int) {
    project(name: $project, entityName: $entity) {
        runs(filters: $filters, first: $perPage) {
            edges { node { name state stopped summaryMetrics historyKeys } }
        }
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


def flag_stop(api: Api, *, entity: str, project: str, run_id: str) -> None:
    """Asks for the end of a run, as the button on its page does."""
    api.run(f"{entity}/{project}/{run_id}").stop()


def find_runs(
    api: Api, *, entity: str, project: str, run_ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Returns what W&B has of some runs of a project, by id; one request for a hundred."""
    found: dict[str, dict[str, Any]] = {}
    for begin in range(0, len(run_ids), _MOST_AT_ONCE):
        names = list(run_ids[begin : begin + _MOST_AT_ONCE])
        variables = {
            "entity": entity,
            "project": project,
            "filters": json.dumps({"name": {"$in": names}}),
            "perPage": _MOST_AT_ONCE,
        }
        runs = (execute(api, _RUNS, variables).get("project") or {}).get("runs") or {}
        nodes = (edge["node"] for edge in runs.get("edges", ()))
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
    "flag_stop": flag_stop,
    "find_runs": find_runs,
    "read_history": read_history,
    "end_run": end_run,
}


def _describe(run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "state": run["state"].lower(),
        "summary": _to_numbers(json.loads(run["summaryMetrics"] or "{}", strict=False)),
        "last_step": (run["historyKeys"] or {}).get("lastStep", -1),
        "is_stopped": bool(run["stopped"]),
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
    is_to_fail = exit_code != 0 and not run["stopped"] and run["state"].lower() != "preempting"
    if not is_to_fail or run["sweepName"] is not None:
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
    answer = httpx.post(
        "/".join((api.settings["base_url"], "files", *names, "file_stream")),
        auth=("api", api.api_key),
        json={"complete": True, "exitcode": exit_code, "files": {}},
        timeout=_HTTP_TIMEOUT_SECONDS,
    )
    answer.raise_for_status()
