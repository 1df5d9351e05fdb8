"""`wandb agent`, which runs what somebody enqueued for a sweep."""

import json
from typing import Any

from tests.wandb_backend.projects import answer_project
from tests.wandb_backend.run_records import RunRecord
from tests.wandb_backend.sweep_records import AgentRecord, SweepRecord
from tests.wandb_backend.sweeps import find_sweep
from tests.wandb_backend.world import Answer, Refused, Variables, World, make_id


def enqueue_run(world: World, variables: Variables) -> Answer:
    sweeps = world.sweeps.values()
    sweep = next((each for each in sweeps if make_id("Sweep", each.path) == variables["id"]), None)
    if sweep is None:
        raise Refused("There is no such sweep.")
    run = RunRecord(
        entity=sweep.entity,
        project=sweep.project,
        name=world.make_name(),
        created_at=world.now(),
        display_name=variables.get("displayName"),
        config=json.loads(variables["config"]),
        sweep=sweep.name,
    )
    world.runs[run.path] = run
    sweep.enqueued.append(run.name)
    item_id = make_id("RunQueueItem", run.name)
    return {"enqueueSweepRun": {"id": run.name, "runQueueItemId": item_id}}


def register_agent(world: World, variables: Variables) -> Answer:
    sweep = find_sweep(world, variables)
    if sweep is None:
        raise Refused("There is no such sweep.")
    agent = AgentRecord(make_id("Agent", world.make_name()), sweep.path)
    world.agents[agent.id] = agent
    return {"createAgent": {"agent": {"id": agent.id}}}


def receive_heartbeat(world: World, variables: Variables) -> Answer:
    """Tells the agent what to do: stop runs, begin one, or leave."""
    agent = world.agents.get(variables["id"])
    if agent is None:
        raise Refused("There is no such agent.")
    running = json.loads(variables.get("runState") or "{}")
    commands = _list_commands(world, world.sweeps[agent.sweep_path], running)
    agent.taken.extend(each["run_id"] for each in commands if each["type"] == "run")
    beat = {"agent": {"id": agent.id}, "commands": json.dumps(commands)}
    return {"agentHeartbeat": beat}


def list_agents(world: World, variables: Variables) -> Answer:
    """The agents of a sweep, and the newest runs that each of them took."""
    sweep = find_sweep(world, variables)
    agents = [each for each in world.agents.values() if sweep and each.sweep_path == sweep.path]
    nodes = [_describe_agent(agent, variables["first"]) for agent in agents]
    found = sweep and {"agents": {"edges": [{"node": node} for node in nodes]}}
    return answer_project(world, variables, sweep=found)


def _describe_agent(agent: AgentRecord, count: int) -> dict[str, Any]:
    newest = agent.taken[::-1][:count]
    return {"runs": {"edges": [{"node": {"name": name}} for name in newest]}}


def _list_commands(
    world: World, sweep: SweepRecord, running: dict[str, Any]
) -> list[dict[str, Any]]:
    if sweep.state == "CANCELED":
        return [{"type": "exit"}]
    commands = [_stop(name) for name in running if _is_stopped(world, sweep, name)]
    if not running and sweep.state == "FINISHED":
        return [{"type": "exit"}]
    if not running and sweep.state != "PAUSED" and (name := _take_next(world, sweep)) is not None:
        commands.append(_begin(world, sweep, name))
    return commands


def _take_next(world: World, sweep: SweepRecord) -> str | None:
    """The oldest run that waits; those that were stopped, or deleted, do not."""
    while sweep.enqueued:
        name = sweep.enqueued.pop(0)
        run = world.runs.get(f"{sweep.entity}/{sweep.project}/{name}")
        if run is not None and run.state == "pending":
            return name
    return None


def _is_stopped(world: World, sweep: SweepRecord, name: str) -> bool:
    run = world.runs.get(f"{sweep.entity}/{sweep.project}/{name}")
    return run is not None and run.is_stopped


def _stop(name: str) -> dict[str, Any]:
    return {"type": "stop", "run_id": name}


def _begin(world: World, sweep: SweepRecord, name: str) -> dict[str, Any]:
    run = world.runs[f"{sweep.entity}/{sweep.project}/{name}"]
    program = sweep.config.get("program")
    args = {key: value for key, value in run.config.items() if key != "_wandb"}
    return {"type": "run", "run_id": name, "program": program, "args": args}


OPERATIONS = {
    "EnqueueSweepRun": enqueue_run,
    "CreateAgent": register_agent,
    "GetSweepAgents": list_agents,
    "Heartbeat": receive_heartbeat,
}
