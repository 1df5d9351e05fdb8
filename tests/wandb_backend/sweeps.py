"""Operations on sweeps. Their controller is somebody else: W&B's own search is not here."""

from typing import Any

import yaml

from tests.wandb_backend.filters import filter_found
from tests.wandb_backend.paging import cut_page
from tests.wandb_backend.projects import answer_project, describe_project, name_project
from tests.wandb_backend.run_records import RunRecord
from tests.wandb_backend.sweep_records import OPEN_STATES, SweepRecord
from tests.wandb_backend.world import Answer, Refused, Variables, World, make_id


def find_sweep(world: World, variables: Variables) -> SweepRecord | None:
    """The sweep that a request is about, if it is about one."""
    entity, project = name_project(world, variables)
    name = variables.get("sweep") or variables.get("name")
    return world.sweeps.get(f"{entity}/{project}/{name}")


def list_runs_of(world: World, sweep: SweepRecord) -> list[RunRecord]:
    place = (sweep.entity, sweep.project, sweep.name)
    return [run for run in world.runs.values() if (run.entity, run.project, run.sweep) == place]


def cancel_sweep(world: World, sweep: SweepRecord) -> None:
    """Ends a sweep and asks its runs to end."""
    sweep.state = "CANCELED"
    for run in list_runs_of(world, sweep):
        run.stop()


def get_sweep(world: World, variables: Variables) -> Answer:
    sweep = find_sweep(world, variables)
    return answer_project(world, variables, sweep=sweep and _describe_sweep(world, sweep))


def list_sweeps(world: World, variables: Variables) -> Answer:
    entity, project = name_project(world, variables)
    sweeps = [each for each in world.sweeps.values() if _is_in(each, entity, project)]
    found = filter_found(sweeps, variables.get("filters"), _describe_for_filters)
    nodes = [_describe_sweep(world, sweep) for sweep in found]
    return answer_project(
        world, variables, totalSweeps=len(found), sweeps=cut_page(nodes, variables)
    )


def upsert_sweep(world: World, variables: Variables) -> Answer:
    """Creates a sweep, or changes the one whose id is given."""
    sweep = _get_by_id(world, variables["id"]) if variables.get("id") else None
    if sweep is None:
        sweep = _create_sweep(world, variables)
    elif variables.get("config"):
        sweep.config = yaml.safe_load(variables["config"])
    sweep.display_name = variables.get("displayName") or sweep.display_name
    sweep.description = variables.get("description") or sweep.description
    if variables.get("state"):
        _set_state(world, sweep, variables["state"])
    described = _describe_sweep(world, sweep)
    return {"upsertSweep": {"sweep": described, "configValidationWarnings": []}}


def _is_in(sweep: SweepRecord, entity: str, project: str) -> bool:
    return (sweep.entity, sweep.project) == (entity, project)


def _describe_sweep(world: World, sweep: SweepRecord) -> dict[str, Any]:
    return {
        "__typename": "Sweep",
        "id": make_id("Sweep", sweep.path),
        "name": sweep.name,
        "displayName": sweep.display_name,
        "description": sweep.description,
        "method": sweep.config.get("method"),
        "state": sweep.state,
        "config": yaml.safe_dump(sweep.config),
        "createdAt": sweep.created_at,
        "updatedAt": sweep.created_at,
        "heartbeatAt": sweep.created_at,
        "bestLoss": None,
        "earlyStopJobRunning": False,
        "controller": sweep.controller,
        "scheduler": sweep.scheduler,
        "controllerRunName": None,
        "runCount": len(list_runs_of(world, sweep)),
        "runCountExpected": None,
        "project": describe_project(sweep.entity, sweep.project),
        "runs": {
            "edges": [{"node": _describe_run(world, run)} for run in list_runs_of(world, sweep)]
        },
    }


def _describe_run(world: World, run: RunRecord) -> dict[str, Any]:
    """The little that the SDK reads of runs when it sets the state of their sweep."""
    return {
        "name": run.name,
        "state": run.state,
        "config": world.dump(run.config),
        "exitcode": run.exit_code,
        "heartbeatAt": run.created_at,
        "shouldStop": run.is_stopped,
        "stopped": run.is_stopped,
        "failed": run.state == "failed",
        "running": run.state == "running",
        "summaryMetrics": world.dump(run.summary),
        "sampledHistory": [run.history],
    }


def _describe_for_filters(sweep: SweepRecord) -> dict[str, Any]:
    return {
        "name": sweep.name,
        "displayName": sweep.display_name,
        "state": sweep.state,
        "description": sweep.description,
    }


def _get_by_id(world: World, sweep_id: str) -> SweepRecord:
    for sweep in world.sweeps.values():
        if make_id("Sweep", sweep.path) == sweep_id:
            return sweep
    raise Refused("There is no such sweep.")


def _create_sweep(world: World, variables: Variables) -> SweepRecord:
    entity, project = name_project(world, variables)
    config = yaml.safe_load(variables["config"])
    sweep = SweepRecord(
        entity=entity,
        project=project,
        name=world.make_name(),
        created_at=world.now(),
        config=config,
        display_name=config.get("name"),
        controller=variables.get("controller"),
        scheduler=variables.get("scheduler"),
    )
    world.projects.add((entity, project))
    world.sweeps[sweep.path] = sweep
    return sweep


def _set_state(world: World, sweep: SweepRecord, state: str) -> None:
    if state not in (*OPEN_STATES, "FINISHED", "CANCELED"):
        raise Refused(f"{state!r} is no state of a sweep.")
    if sweep.state == "CANCELED" and state != "CANCELED":
        raise Refused("A canceled sweep stays canceled.")
    if state == "CANCELED":
        cancel_sweep(world, sweep)
    sweep.state = state


OPERATIONS = {
    "GetSweep": get_sweep,
    "GetSweepState": get_sweep,
    "SweepWithRuns": get_sweep,
    "SweepConfig": get_sweep,
    "GetSweeps": list_sweeps,
    "UpsertSweep": upsert_sweep,
    "UpsertSweepState": upsert_sweep,
}
