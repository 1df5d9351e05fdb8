"""Whole sweeps whose trials are runs of the real wandb, beside a stand-in for W&B's backend.

The tests share what they start, and whatever waits for time to pass does so during the others.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from service.storage.database import Database
from tests.acceptance.server_process import TOKEN
from tests.acceptance.wandb_world import PROGRAM, PROJECT, WandbWorld, open_wandb_world
from tests.wandb_backend import Backend
from tests.wandb_backend.run_records import RunRecord
from tests.wandb_backend.sweep_records import SweepRecord

pytestmark = pytest.mark.timeout(400)

PROCESS = {
    "program": str(PROGRAM),
    "command": ["${interpreter}", "${program}"],
    "stop_seconds": 5,
}
ONLINE = {**PROCESS, "executor": "wandb", "project": PROJECT}
# With this seed one rate of the four is beyond what the pruner lets pass.
FOUR_TRIALS: dict[str, Any] = {
    "space": {
        "lr": {"type": "float", "low": 0.0, "high": 1.0},
        "opt": {"name": {"type": "categorical", "choices": ["adam", "sgd"]}},
    },
    "seed": 1,
    "pruner": {"type": "ThresholdPruner", "args": {"upper": 0.7}},
    "budget": {"max_trials": 4},
}
PRUNED = 2
# As `wandb launch-sweep` takes it, but for what is Asktell's in the end.
LAUNCH_SWEEP = f"""job: acme/{PROJECT}/train:latest
project: {PROJECT}
metric: {{name: loss}}
run_cap: 1
scheduler:
  job: wandb/sweep-jobs/job-optuna-sweep-scheduler:latest
  num_workers: 2
  settings: {{sampler: {{type: RandomSampler}}, pruner: {{type: NopPruner}}}}
parameters:
  lr: {{min: 0.0, max: 0.5}}
  opt: {{parameters: {{name: {{values: [adam, sgd]}}}}}}
launch: {{queue: gpus}}
queue: shared
lease_seconds: 3600
"""


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, shared_database: Database
) -> Iterator[WandbWorld]:
    with open_wandb_world(tmp_path_factory.mktemp("world"), shared_database) as opened:
        yield opened


@pytest.fixture(scope="module", autouse=True)
def left_in_queue(world: WandbWorld) -> str:
    """A sweep whose only trial was pushed to a launch queue by a worker that is dead.

    It counts as away after half a minute: time for the other tests.
    """
    world.backend.plant_job("train", project=PROJECT)
    world.backend.plant_queue("gpus")
    file = world.folder / "launched.yaml"
    file.write_text(LAUNCH_SWEEP)
    world.run_cli("sweep", "run", str(file), "--name", "launched", "--detach")
    world.start_worker("bob", queue="shared")
    world.wait_until(lambda: len(world.backend.items) == 1)
    world.kill_worker("bob")
    return "launched"


def test_the_same_sweep_by_every_executor(world: WandbWorld) -> None:
    command = ["${env}", "WANDB_MODE=disabled", "${interpreter}", "${program}", "${args_json}"]
    world.create("process", {**PROCESS, "command": command}, **FOUR_TRIALS)
    world.create("offline", {**ONLINE, "mode": "offline"}, **FOUR_TRIALS)
    world.create("online", {**ONLINE, "tags": ["night"]}, **FOUR_TRIALS)
    world.start_worker("ada")
    for name in ("online", "process", "offline"):
        world.wait_over(name)

    outcomes = {name: _list_outcomes(world, name) for name in ("process", "offline", "online")}
    assert outcomes["online"] == outcomes["offline"] == outcomes["process"]
    states = [state for _, state, _ in outcomes["online"]]
    assert states == ["PRUNED" if number == PRUNED else "COMPLETE" for number in range(4)]
    _check_offline_runs(world)
    _check_online_runs(world)
    _check_pages(world)


def _list_outcomes(world: WandbWorld, name: str) -> list[tuple[Any, str, Any]]:
    return [(each["params"], each["state"], each["values"]) for each in world.list_trials(name)]


def _check_offline_runs(world: WandbWorld) -> None:
    kept = sorted(path.name for path in (world.folder / "ada" / "wandb").iterdir())
    attempts = world.list_attempts("offline")
    assert {name.partition("-")[0] for name in kept} == {"offline"}
    assert sorted(name.split("-", 3)[-1] for name in kept) == [each["id"] for each in attempts]
    for attempt in attempts:
        assert attempt["url"] is None
        assert attempt["note"].startswith("Recorded offline. To upload it once it has ended: ")


def _check_online_runs(world: WandbWorld) -> None:
    attempts = world.list_attempts("online")
    trials = world.list_trials("online")
    sweep = _find_sweep(world, "online")
    assert len(attempts) == len(_find_runs(world, "online")) == 4
    for attempt, trial in zip(attempts, trials, strict=True):
        run = world.backend.runs[attempt["external_ref"]]
        labels = {"study": "online", "trial": trial["number"], "attempt": 1}
        assert run.name == attempt["id"]
        assert attempt["url"] == f"{world.backend.url}/{run.entity}/{PROJECT}/runs/{run.name}"
        assert (run.group, run.tags, run.job_type) == ("online", ["night"], "trial")
        assert run.params["asktell"] == labels
        assert run.params["lr"] == trial["params"]["lr"]
        assert run.params["opt"] == {"name": trial["params"]["opt.name"]}
        assert run.sweep == sweep.name
        assert run.state == ("killed" if trial["number"] == PRUNED else "finished")
        assert run.starts == 1
        _check_no_secret(world, run.config)


def _check_pages(world: WandbWorld) -> None:
    sweep = _find_sweep(world, "online")
    page = f"{world.backend.url}/acme/{PROJECT}/sweeps/{sweep.name}"
    assert world.get_sweep("online")["mirror"]["url"] == page
    shown = world.run_cli("sweep", "show", "online")
    assert f"in W&B: {page}" in shown
    for attempt in world.list_attempts("online"):
        assert attempt["url"] in shown
    world.wait_until(lambda: sweep.state == "FINISHED")
    assert world.get_sweep("process")["mirror"] is None
    assert world.get_sweep("offline")["mirror"] is None


def test_a_worker_that_is_killed_goes_on_with_its_run(world: WandbWorld) -> None:
    world.start_worker("ada")
    gate = world.folder / "gate"
    world.create("killed", ONLINE, space={"lr": 0.25, "opt": {"name": "adam"}, "gate": str(gate)})
    world.wait_rows("killed", 3)
    world.kill_worker("ada")
    log_bytes = world.list_attempts("killed")[0]["log_bytes"]
    world.start_worker("ada")
    world.wait_until(lambda: world.list_attempts("killed")[0]["log_bytes"] > log_bytes)
    gate.touch()
    world.wait_over("killed")

    (attempt,) = world.list_attempts("killed")
    (run,) = _find_runs(world, "killed")
    assert (attempt["state"], attempt["attempt"]) == ("succeeded", 1)
    assert attempt["external_ref"] == run.path
    assert (run.state, run.exit_code, run.starts) == ("finished", 0, 1)


def test_what_is_done_on_either_side_happens_on_the_other(world: WandbWorld) -> None:
    world.start_worker("ada")
    never = world.folder / "never"
    space = {"lr": 0.25, "opt": {"name": "adam"}, "gate": str(never)}
    # With trials to come: a sweep that starts no more is over on W&B, and cannot be paused there.
    world.create("both", ONLINE, space=space, budget={"max_trials": 2}, parallelism=1)
    world.wait_rows("both")
    sweep = _find_sweep(world, "both")
    world.backend.pause_sweep(sweep.path)
    world.wait_until(lambda: world.get_sweep("both")["state"] == "paused")
    world.backend.resume_sweep(sweep.path)
    world.wait_until(lambda: world.get_sweep("both")["state"] == "active")
    world.command("both", "cancel")
    world.wait_until(lambda: sweep.state == "CANCELED")
    world.wait_until(lambda: world.list_attempts("both")[0]["state"] == "cancelled")

    (run,) = _find_runs(world, "both")
    assert run.state == "killed"
    assert world.get_sweep("both")["state"] == "cancelled"


def test_a_sweep_without_an_answer_from_wandb(world: WandbWorld) -> None:
    world.stop_worker("ada")
    with Backend() as down:
        down.go_down()
        world.start_worker("dave", queue="away", environment=down.build_environment())
        world.create("away", {**ONLINE, "queue": "away"}, budget={"max_trials": 2})
        world.wait_over("away")
        world.stop_worker("dave")

    attempts = world.list_attempts("away")
    kept = sorted(path.name for path in (world.folder / "dave" / "wandb").iterdir())
    assert [each["state"] for each in attempts] == ["succeeded", "succeeded"]
    assert sorted(name.split("-", 3)[-1] for name in kept) == [each["id"] for each in attempts]
    for attempt in attempts:
        assert attempt["url"] is None
        assert attempt["note"].startswith("Recorded offline. W&B at 127.0.0.1")
        assert f"wandb sync --no-skip-online {world.folder / 'dave' / 'wandb'}" in attempt["note"]
    assert world.get_sweep("away")["mirror"]["external_ref"] is None
    assert "127.0.0.1" in world.get_sweep("away")["mirror"]["problem"]


def test_a_refused_key_costs_no_trial(world: WandbWorld) -> None:
    world.stop_worker("ada")
    with Backend() as strict:
        key, strict.world.api_key = strict.api_key, "another" * 6
        environment = {**strict.build_environment(), "WANDB_API_KEY": key}
        world.start_worker("erin", queue="refused", environment=environment)
        world.create("refused", {**ONLINE, "queue": "refused"})
        world.wait_until(lambda: _find_notes(world, "refused") != [])
        (note,) = _find_notes(world, "refused")
        strict.world.api_key = key
        world.wait_over("refused")
        world.stop_worker("erin")

    (attempt,) = world.list_attempts("refused")
    assert note.startswith("Not launched yet: W&B refuses this worker: ")
    assert note.count("wandb login") == 1
    assert (attempt["state"], attempt["attempt"], attempt["note"]) == ("succeeded", 1, None)


def _find_notes(world: WandbWorld, study: str) -> list[str]:
    return [each["note"] for each in world.list_attempts(study) if each["note"] is not None]


def test_another_worker_goes_on_with_what_a_dead_one_pushed(
    world: WandbWorld, left_in_queue: str
) -> None:
    world.start_worker("carol", queue="shared")
    world.wait_until(lambda: world.list_attempts(left_in_queue)[0]["worker"] == "carol")
    home = world.folder / "agent"
    home.mkdir()
    command = [sys.executable, str(PROGRAM)]
    environment = {**world.isolate(home), "WANDB_DIR": str(home)}
    with world.backend.run_next("gpus", command, environment) as program:
        output, _ = program.communicate()
    assert program.returncode == 0, output
    world.wait_over(left_in_queue)

    (attempt,) = world.list_attempts(left_in_queue)
    (trial,) = world.list_trials(left_in_queue)
    (item,) = world.backend.items
    (run,) = _find_runs(world, left_in_queue)
    assert (attempt["state"], attempt["attempt"]) == ("succeeded", 1)
    assert trial["state"] == "COMPLETE"
    assert run.path == attempt["external_ref"]
    assert (run.state, run.starts, run.sweep) == (
        "finished",
        1,
        _find_sweep(world, left_in_queue).name,
    )
    _check_no_secret(world, [item.spec, run.config])


def _find_runs(world: WandbWorld, study: str) -> list[RunRecord]:
    runs = world.backend.runs.values()
    return [run for run in runs if run.params.get("asktell", {}).get("study") == study]


def _find_sweep(world: WandbWorld, study: str) -> SweepRecord:
    (sweep,) = [each for each in world.backend.sweeps.values() if each.config["name"] == study]
    assert sweep.path == world.get_sweep(study)["mirror"]["external_ref"]
    return sweep


def _check_no_secret(world: WandbWorld, document: Any) -> None:
    text = json.dumps(document)
    assert "asktell" in text
    for secret in (TOKEN, world.backend.api_key, "asktell-attempt.", "ASKTELL_"):
        assert secret not in text
