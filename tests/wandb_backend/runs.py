"""Operations on runs: their life, except for what they stream."""

import json
from typing import Any

from tests.wandb_backend.filters import filter_found
from tests.wandb_backend.history import describe_history
from tests.wandb_backend.paging import cut_page
from tests.wandb_backend.projects import (
    answer_project,
    describe_project,
    name_project,
    number_project,
)
from tests.wandb_backend.run_records import EVENTS, HISTORY, OUTPUT, RunRecord
from tests.wandb_backend.sweep_records import OPEN_STATES, SweepRecord
from tests.wandb_backend.sweeps import find_sweep
from tests.wandb_backend.world import Answer, Refused, Variables, World, make_id, write_time

# Which states a run may be given, and from which: the docstring of the SDK's Run.update_state.
_STATE_CHANGES = {
    "pending": ("running", "failed", "crashed", "preempted"),
    "failed": ("pending", "running"),
}


def find_run(world: World, variables: Variables) -> Answer:
    run = _find_run(world, variables)
    return answer_project(world, variables, run=run and describe_run(world, run, variables))


def find_run_to_resume(world: World, variables: Variables) -> Answer:
    run = _find_run(world, variables)
    return answer_project(world, variables, bucket=run and describe_run(world, run))


def list_runs(world: World, variables: Variables) -> Answer:
    """All runs of a project that match, or those that a sweep's scheduler watches."""
    entity, project = name_project(world, variables)
    runs = [run for run in world.runs.values() if (run.entity, run.project) == (entity, project)]
    found = filter_found(runs, variables.get("filters"), _describe_for_filters)
    if (variables.get("order") or "").startswith("-"):
        found.reverse()
    nodes = [describe_run(world, run, variables) for run in found]
    sweep = find_sweep(world, variables)
    return answer_project(
        world,
        variables,
        runCount=len(found),
        runs=cut_page(nodes, variables),
        sweep=sweep and {"state": sweep.state},
    )


def upsert_run(world: World, variables: Variables) -> Answer:
    """Creates a run, goes on with one, or changes what is known of it."""
    run = _find_by_id(world, variables["id"]) if variables.get("id") else None
    run = run or _find_run(world, variables)
    sweep = _find_sweep_to_join(world, run, variables) if variables.get("sweep") else None
    is_new = run is None
    if run is None:
        run = _create_run(world, variables)
    if sweep is not None:
        _join_sweep(run, sweep)
    _update_run(world, run, variables)
    return {"upsertBucket": {"bucket": describe_run(world, run), "inserted": is_new}}


def stop_run(world: World, variables: Variables) -> Answer:
    _get_by_id(world, variables["id"]).stop()
    return {"stopRun": {"success": True, "clientMutationId": None}}


def stop_runs(world: World, variables: Variables) -> Answer:
    """Each variable is the id of a run."""
    runs = [_get_by_id(world, run_id) for run_id in variables.values()]
    for run in runs:
        run.stop()
    return {"stopRun": {"success": True, "clientMutationId": None}}


def update_run_state(world: World, variables: Variables) -> Answer:
    """Requeues a run or calls it failed; see `_STATE_CHANGES`."""
    run, state = _get_by_id(world, variables["input"]["id"]), variables["input"]["state"]
    if run.sweep is not None:
        raise Refused("The state of a run that belongs to a sweep cannot be updated.")
    if run.state not in _STATE_CHANGES.get(state, ()):
        raise Refused(f"A run that is {run.state} cannot become {state}.")
    run.state = state
    return {"updateRunState": {"success": True}}


def delete_run(world: World, variables: Variables) -> Answer:
    run = _get_by_id(world, variables["id"])
    del world.runs[run.path]
    return {"deleteRun": {"clientMutationId": None}}


def create_run_files(world: World, variables: Variables) -> Answer:
    """Says where the files of a run are to be uploaded."""
    run = _find_run(world, variables)
    if run is None:
        raise Refused(f"There is no run {variables['run']}.")
    address = f"{world.base_url}/storage/{run.path}"
    files = [{"name": name, "uploadUrl": f"{address}/{name}"} for name in variables["files"]]
    created = {"runID": describe_run(world, run)["id"], "uploadHeaders": [], "files": files}
    return {"createRunFiles": created}


def describe_run(
    world: World, run: RunRecord, variables: Variables | None = None
) -> dict[str, Any]:
    """Everything that can be selected of a run; `variables` hold what its history depends on."""
    return {
        "__typename": "Run",
        "id": make_id("Run", "v1", run.name, run.project, run.entity),
        "name": run.name,
        "displayName": run.display_name or run.name,
        "description": None,
        "notes": run.notes,
        "config": world.dump(run.config),
        "wandbConfig": world.dump(run.config.get("_wandb", {}).get("value", {})),
        "summaryMetrics": world.dump(run.summary),
        "systemMetrics": "{}",
        "sweepName": run.sweep,
        "state": run.state,
        "failed": run.state == "failed",
        "running": run.state == "running",
        "stopped": run.is_stopped,
        "shouldStop": run.is_stopped,
        "exitcode": run.exit_code,
        "tags": run.tags,
        "group": run.group,
        "jobType": run.job_type,
        "commit": run.commit,
        "readOnly": False,
        "createdAt": run.created_at,
        "heartbeatAt": write_time(run.heartbeat_at) if run.heartbeat_at else run.created_at,
        "user": {"name": "Tester", "username": world.entity},
        "projectId": number_project(run.entity, run.project),
        "project": describe_project(run.entity, run.project),
        "historyTail": lambda: world.dump(run.get_lines(HISTORY)[-1:]),
        "eventsTail": lambda: world.dump(run.get_lines(EVENTS)[-1:]),
        "historyLineCount": len(run.get_lines(HISTORY)),
        "eventsLineCount": len(run.get_lines(EVENTS)),
        "logLineCount": len(run.get_lines(OUTPUT)),
        **describe_history(world, run, variables or {}),
    }


def _find_run(world: World, variables: Variables) -> RunRecord | None:
    entity, project = name_project(world, variables)
    spellings = ("runName", "runId", "run", "name")
    name = next((variables[each] for each in spellings if variables.get(each)), "")
    return world.runs.get(f"{entity}/{project}/{name}")


def _find_by_id(world: World, storage_id: str) -> RunRecord | None:
    for run in world.runs.values():
        if make_id("Run", "v1", run.name, run.project, run.entity) == storage_id:
            return run
    return None


def _get_by_id(world: World, storage_id: str) -> RunRecord:
    run = _find_by_id(world, storage_id)
    if run is None:
        raise Refused("There is no such run.")
    return run


def _find_sweep_to_join(world: World, run: RunRecord | None, variables: Variables) -> SweepRecord:
    """The sweep that is asked for; one that has ended may keep the runs that it has."""
    entity, project = (run.entity, run.project) if run else name_project(world, variables)
    name = variables["sweep"]
    sweep = world.sweeps.get(f"{entity}/{project}/{name}")
    if sweep is None:
        raise Refused(f"There is no sweep {name} in {entity}/{project}.")
    is_member = run is not None and run.sweep == name
    if not (is_member or world.ended_sweeps_take_runs or sweep.state in OPEN_STATES):
        raise Refused(f"The sweep {name} is {sweep.state} and takes no more runs.")
    return sweep


def _join_sweep(run: RunRecord, sweep: SweepRecord) -> None:
    run.sweep = sweep.name
    if sweep.state == "PENDING":
        sweep.state = "RUNNING"


def _create_run(world: World, variables: Variables) -> RunRecord:
    entity, project = name_project(world, variables)
    name = variables.get("name") or world.make_name()
    run = RunRecord(entity=entity, project=project, name=name, created_at=world.now())
    world.projects.add((entity, project))
    world.runs[run.path] = run
    return run


def _update_run(world: World, run: RunRecord, variables: Variables) -> None:
    _update_labels(run, variables)
    if variables.get("config"):
        run.config = run.config | json.loads(variables["config"])
    if variables.get("summaryMetrics"):
        run.summary = json.loads(variables["summaryMetrics"])
    if variables.get("state"):
        run.state = variables["state"]
    elif variables.get("host"):
        # Only programs that begin a run say where they are.
        run.start(world.clock())


def _update_labels(run: RunRecord, variables: Variables) -> None:
    run.display_name = (
        variables.get("displayName") or variables.get("display_name") or run.display_name
    )
    run.notes = variables.get("notes") or run.notes
    run.tags = variables["tags"] if variables.get("tags") is not None else run.tags
    run.group = variables.get("groupName") or run.group
    run.job_type = variables.get("jobType") or run.job_type
    run.host = variables.get("host") or run.host
    run.program = variables.get("program") or run.program
    run.commit = variables.get("commit") or run.commit


def _describe_for_filters(run: RunRecord) -> dict[str, Any]:
    return {
        "name": run.name,
        "displayName": run.display_name,
        "display_name": run.display_name,
        "sweep": run.sweep,
        "group": run.group,
        "jobType": run.job_type,
        "state": run.state,
    }


OPERATIONS = {
    "Run": find_run,
    "RunState": find_run,
    "RunStoppedStatus": find_run,
    "QueryRunInfo": find_run,
    "RunHistoryKeys": find_run,
    "RunParquetHistory": find_run,
    "SampledHistoryPage": find_run,
    "HistoryPage": find_run,
    "RunFullHistory": find_run,
    "RunSampledHistory": find_run,
    "RunResumeStatus": find_run_to_resume,
    "Runs": list_runs,
    "SweepWatchedRuns": list_runs,
    "UpsertBucket": upsert_run,
    "StopRun": stop_run,
    "StopRuns": stop_runs,
    "UpdateRunState": update_run_state,
    "DeleteRun": delete_run,
    "CreateRunFiles": create_run_files,
}
