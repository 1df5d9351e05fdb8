"""A sweep whose runs the real `wandb agent` takes, beside a stand-in for W&B's backend."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.storage.database import Database
from tests.acceptance.wandb_world import PROJECT, WandbWorld, open_wandb_world

PROGRAM = Path(__file__).with_name("agent_program.py")
LAUNCH = {
    "executor": "wandb-agent",
    "program": str(PROGRAM),
    "command": [sys.executable, "${program}", "${args}"],
    "project": PROJECT,
}
THREE_TRIALS: dict[str, Any] = {
    "space": {"what": {"type": "categorical", "choices": ["fine", "slow", "bad"]}},
    "sampler": {"type": "BruteForceSampler"},
    "pruner": {"type": "ThresholdPruner", "args": {"upper": 0.7}},
    "budget": {"max_trials": 3},
}


@pytest.fixture
def world(tmp_path: Path, shared_database: Database) -> Iterator[WandbWorld]:
    with open_wandb_world(tmp_path, shared_database) as opened:
        yield opened


@pytest.mark.timeout(400)
def test_agents_of_people_run_every_trial_once(world: WandbWorld) -> None:
    world.create("agents", LAUNCH, **THREE_TRIALS)
    # The worker dies after the first run was enqueued, and before it hears of that.
    with world.backend.keep_answers("EnqueueSweepRun"):
        world.start_worker("ada")
        world.wait_until(lambda: len(world.backend.runs) == 1)
        world.kill_worker("ada")
    world.start_worker("ada")
    world.wait_until(lambda: _list_notes(world) == [True, True])
    (sweep,) = world.backend.sweeps.values()
    with ExitStack() as agents:
        started = [agents.enter_context(_agent(world, f"{i}", sweep.path)) for i in range(2)]
        world.wait_over("agents")
        world.wait_until(lambda: sweep.state == "FINISHED")
        # They leave by themselves.
        assert [agent.wait(60) for agent in started] == [0, 0]

    expected = {"fine": ("COMPLETE", "finished"), "slow": ("PRUNED", "killed")}
    expected["bad"] = ("FAIL", "failed")
    trials = {each["number"]: each for each in world.list_trials("agents")}
    attempts = world.list_attempts("agents")
    assert len(attempts) == len(world.backend.runs) == 3
    for attempt in attempts:
        trial, run = trials[attempt["trial"]], _find_run(world, attempt)
        assert (trial["state"], run.state) == expected[trial["params"]["what"]]
        assert attempt["url"] == f"{world.backend.url}/acme/{PROJECT}/runs/{run.name}"
        assert (run.starts, run.params, run.sweep) == (1, trial["params"], sweep.name)
    taken = [name for agent in world.backend.world.agents.values() for name in agent.taken]
    assert sorted(taken) == sorted(run.name for run in world.backend.runs.values())
    assert sweep.config["scheduler"] == {"engine": "optuna"}
    assert sweep.config["command"] == LAUNCH["command"]


def _list_notes(world: WandbWorld) -> list[bool]:
    """Whether each attempt waits for an agent."""
    notes = [each["note"] or "" for each in world.list_attempts("agents")]
    return [note.startswith("No agent has begun it yet") for note in notes]


def _find_run(world: WandbWorld, attempt: dict[str, Any]) -> Any:
    path, _, attempt_id = attempt["external_ref"].rpartition("/")
    assert attempt_id == attempt["id"]
    return world.backend.runs[path]


@contextmanager
def _agent(world: WandbWorld, name: str, sweep: str) -> Iterator[subprocess.Popen[bytes]]:
    """`wandb agent` as people start it."""
    home = world.make_home(f"agent-{name}")
    environment = {**world.isolate(home), "WANDB_DIR": str(home)}
    with (home / "log").open("wb") as log:
        agent = subprocess.Popen(
            [sys.executable, "-m", "wandb", "agent", sweep],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield agent
        finally:
            agent.kill()
            agent.wait()
