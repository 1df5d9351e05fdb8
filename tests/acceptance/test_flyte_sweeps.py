"""Whole sweeps whose trials are executions of Flyte: its real client and entrypoint, a stand-in
for flyteadmin.

The tests share what they start, and whatever waits for time to pass does so during the others.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from service.storage.database import Database
from tests.acceptance import training
from tests.acceptance.flyte_ends import ENDS, GRACE, NEVER
from tests.acceptance.flyte_world import (
    TASKS,
    FlyteWorld,
    build_launch,
    open_admin,
    open_flyte_world,
    speak_as,
)
from tests.acceptance.server_process import TOKEN
from tests.flyte_admin.admin import DOMAIN, PROJECT

pytestmark = pytest.mark.timeout(400)

_TWO = [{"name": name, "direction": "minimize"} for name in ("loss", "size")]
# With this seed one rate of the four is beyond what the pruner lets pass.
_FOUR_TRIALS: dict[str, Any] = {
    "space": {
        "lr": {"type": "float", "low": 0.0, "high": 1.0},
        "opt": {"name": {"type": "categorical", "choices": ["adam", "sgd"]}},
    },
    "seed": 1,
    "budget": {"max_trials": 4},
    "retry": {"on": ["failed"]},
}
_X: dict[str, Any] = {"space": {"x": 0.25}, "retry": {"on": ["failed"], "max_attempts": 2}}
_EXAMPLE = Path(__file__).parents[2] / "examples" / "flyte" / "sweep.yaml"
_FILE = f"""
name: by-file
objectives: [{{name: loss, direction: minimize}}]
space:
  rate: {{type: float, low: 0.1, high: 0.5}}
budget: {{max_trials: 2}}
launch:
  executor: flyte
  task: {PROJECT}/{DOMAIN}/{TASKS}.wait@v1
  inputs: {{gate: /}}
  input_names: {{rate: x}}
"""
_PRUNED_LATE = {
    "pruner": {"type": "ThresholdPruner", "args": {"upper": 0.5}},
    "budget": {"max_trials": 2},
}
_PRUNER = {"type": "ThresholdPruner", "args": {"upper": training.TOO_MUCH}}


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, shared_database: Database
) -> Iterator[FlyteWorld]:
    with open_flyte_world(tmp_path_factory.mktemp("world"), shared_database) as opened:
        yield opened


@pytest.fixture(scope="module", autouse=True)
def outage(world: FlyteWorld) -> Iterator["Future[list[str]]"]:
    """A Flyte that goes away again and again, beside the other tests: workers take their time."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(_live_through_outages, world)


def _live_through_outages(world: FlyteWorld) -> list[str]:
    """Returns what was to be said of attempts while Flyte was away."""
    with open_admin(world.zygote) as admin:
        gate = world.folder / "open-after-outages"
        admin.go_down()
        world.start_worker("dave", queue="away", admin=admin)
        launch = build_launch("wait", queue="away", inputs={"gate": str(gate)})
        world.create("away", launch, **_X | {"budget": {"max_trials": 2}})
        at_start = _wait_for_note(world, "away", " has not answered since ")
        admin.come_back()
        world.wait_executions("away", "RUNNING", "RUNNING", admin=admin)
        world.wait_until(lambda: world.list_notes("away") == [])
        admin.go_down()
        gate.touch()
        in_the_middle = _wait_for_note(world, "away", " cannot be asked now: ")
        admin.come_back()
        world.wait_over("away")
        world.check_once("away", admin)
        world.stop_worker("dave")
    return [at_start, in_the_middle]


def _wait_for_note(world: FlyteWorld, name: str, part: str) -> str:
    return world.wait_until(lambda: [each for each in world.list_notes(name) if part in each])[0]


@pytest.fixture(scope="module", autouse=True)
def begun(world: FlyteWorld, outage: object) -> FlyteWorld:
    """The sweeps that nobody need look at while they go on."""
    world.start_worker("ada", executors="process,flyte", slots=16)
    _create_same_sweeps(world)
    world.create("retried", build_launch("begin_again"), **_X)
    world.create("deaf", build_launch("count"), **_X, **_PRUNED_LATE)
    for name, end in ENDS.items():
        world.create(name, build_launch(end.task, **end.arguments), **_X)
    _leave_to_one_of_two(world)
    (aborted,) = world.wait_executions("is-aborted", "RUNNING")
    world.admin.abort(aborted.name, "No money left.", GRACE)
    return world


def _create_same_sweeps(world: FlyteWorld) -> None:
    for task, changes in (("train", {"pruner": _PRUNER}), ("weigh", {"objectives": _TWO})):
        command = ["${interpreter}", training.__file__, task]
        world.create(f"{task}-here", {"command": command}, **_FOUR_TRIALS | changes)
        world.create(f"{task}-there", build_launch(task), **_FOUR_TRIALS | changes)


def _leave_to_one_of_two(world: FlyteWorld) -> None:
    """Begins a sweep of two workers, one of which is dead.

    It counts as away after half a minute: time for the other tests.
    """
    launch = build_launch("wait", queue="race", inputs={"gate": str(world.folder / "race-over")})
    world.create("race", launch, **_X | {"budget": {"max_trials": 6}, "parallelism": 4})
    world.start_worker("frank", queue="race", slots=2)
    world.wait_executions("race", "RUNNING", "RUNNING")
    world.start_worker("erin", queue="race", slots=6)
    world.wait_executions("race", *["RUNNING"] * 4)
    world.kill_worker("frank")


def test_what_is_to_be_seen_on_either_side(begun: FlyteWorld) -> None:
    gate = begun.folder / "open-when-seen"
    labels, annotations = {"team": "vision"}, {"why": "A paper, due soon."}
    inputs = {"gate": str(gate)}
    launch = build_launch("wait", labels=labels, annotations=annotations, inputs=inputs)
    begun.create("seen", launch, **_X)
    (execution,) = begun.wait_executions("seen", "RUNNING")
    begun.wait_until(lambda: begun.list_attempts("seen")[0]["state"] == "running")
    assert speak_as(execution) == 200
    (attempt,) = begun.list_attempts("seen")
    gate.touch()
    begun.wait_over("seen")

    path = f"projects/{PROJECT}/domains/{DOMAIN}/executions/{execution.name}"
    assert attempt["external_ref"] == f"{PROJECT}/{DOMAIN}/{execution.name}"
    assert attempt["url"] == f"http://{begun.admin.endpoint}/console/{path}"
    assert attempt["url"] in begun.run_cli("sweep", "show", "seen")
    assert execution.labels == {
        **labels,
        "asktell-sweep": begun.get_sweep("seen")["id"],
        "asktell-trial": "0",
        "asktell-attempt": attempt["id"],
    }
    assert dict(execution.spec.annotations.values) == {**annotations, "asktell-study": "seen"}
    assert execution.inputs == {"x": 0.25, "gate": str(gate)}
    assert TOKEN not in str(execution.spec)
    begun.check_once("seen")


def test_a_sweep_that_does_not_fit(begun: FlyteWorld) -> None:
    begun.create(
        "unfit",
        build_launch("train", outputs={"loss": "o7"}),
        **_X | {"space": {"lr": "fast", "depth": 3}, "budget": {"max_trials": 20}},
        parallelism=1,
    )
    begun.wait_over("unfit")

    (trial,) = begun.list_trials("unfit")
    assert begun.get_sweep("unfit")["state"] == "failed"
    assert begun.get("/studies/unfit")["stop_reason"] == "refused"
    assert trial["state"] == "FAIL"
    for part in (
        "It has no input 'depth'",
        "Its input 'opt' of type dict is given by no parameter",
        "The input 'lr' is of type float; 'fast' is not.",
        "It has no output 'o7'; there is o0.",
    ):
        assert part in trial["reason"]
    assert begun.list_executions("unfit") == []


def test_a_task_that_is_registered_too_late(begun: FlyteWorld) -> None:
    one_by_one = _X | {"budget": {"max_trials": 2}, "parallelism": 1}
    begun.create("early", build_launch("begin_again", version="v2"), **one_by_one)
    begun.wait_over("early")
    (trial,) = begun.list_trials("early")
    assert begun.get("/studies/early")["stop_reason"] == "refused"
    assert begun.list_executions("early") == []
    begun.admin.register(TASKS, "begin_again", version="v2")
    begun.command("early", "resume")
    begun.wait_until(lambda: begun.get_sweep("early")["state"] == "finished")

    assert trial["reason"] == (
        f"Flyte has no task {PROJECT}/{DOMAIN}/{TASKS}.begin_again@v2. "
        "Register it, or correct its name."
    )
    assert _list_states(begun, "early") == ["failed", "succeeded"]
    assert len(begun.list_executions("early")) == 1


def test_what_a_person_does_with_a_sweep(begun: FlyteWorld) -> None:
    gate = begun.folder / "open-after-pause"
    launch = build_launch("wait", inputs={"gate": str(gate)})
    one_by_one = _X | {"budget": {"max_trials": 3}, "parallelism": 1}
    begun.create("paused", launch, **one_by_one)
    begun.create("stopped", launch, **one_by_one)
    begun.create("cancelled", build_launch("wait", **NEVER), **one_by_one)
    for name, verb in (("paused", "pause"), ("stopped", "stop"), ("cancelled", "cancel")):
        begun.wait_executions(name, "RUNNING")
        begun.command(name, verb)
    gate.touch()
    begun.wait_until(lambda: begun.list_attempts("paused")[0]["state"] == "succeeded")
    begun.wait_over("stopped")
    begun.wait_over("cancelled")
    assert begun.get_sweep("paused")["state"] == "paused"
    assert len(begun.list_executions("paused")) == 1
    begun.command("paused", "resume")
    begun.wait_over("paused")

    states = {name: _list_states(begun, name) for name in ("paused", "stopped", "cancelled")}
    assert states == {
        "paused": ["succeeded"] * 3,
        "stopped": ["succeeded"],
        "cancelled": ["cancelled"],
    }
    (execution,) = begun.list_executions("cancelled")
    assert execution.phase == "ABORTED"
    assert execution.abort_cause == "Asktell: a person cancelled it in Asktell."
    for name in states:
        begun.check_once(name)


def _list_states(world: FlyteWorld, name: str) -> list[str]:
    return [attempt["state"] for attempt in world.list_attempts(name)]


def test_a_sweep_file(begun: FlyteWorld) -> None:
    file = begun.folder / "by-file.yaml"
    file.write_text(_FILE)
    shown = begun.run_cli("sweep", "run", str(file), variables=begun.admin.build_environment())

    given = [execution.inputs for execution in begun.list_executions("by-file")]
    rates = [trial["params"]["rate"] for trial in begun.list_trials("by-file")]
    assert "Sweep by-file is finished" in shown
    assert _list_states(begun, "by-file") == ["succeeded", "succeeded"]
    assert sorted(inputs["x"] for inputs in given) == sorted(rates)
    assert {inputs["gate"] for inputs in given} == {"/"}
    begun.check_once("by-file")


def test_the_example(begun: FlyteWorld) -> None:
    begun.admin.register("examples.flyte.tasks", "train")
    file = begun.folder / "example.yaml"
    # It is registered from the repository's root here, not from its own folder.
    file.write_text(_EXAMPLE.read_text().replace("/tasks.train@", "/examples.flyte.tasks.train@"))
    options = ("--name", "example", "--trials", "2")
    environment = begun.admin.build_environment()
    shown = begun.run_cli("sweep", "run", str(file), *options, variables=environment)

    assert "Sweep example is finished (max_trials): 2 complete" in shown
    begun.check_once("example")


def test_what_waits_in_flyte_is_cancelled_there(begun: FlyteWorld) -> None:
    with open_admin(begun.zygote, slots=1) as narrow:
        begun.start_worker("bob", queue="narrow", admin=narrow)
        launch = build_launch("wait", queue="narrow", **NEVER)
        # It has the only slot, or what waits might be executed before it is cancelled.
        begun.create("first", launch, **_X)
        begun.wait_executions("first", "RUNNING", admin=narrow)
        begun.create("queued", launch, **_X)
        begun.wait_executions("queued", "QUEUED", admin=narrow)
        begun.wait_until(lambda: "Waits in Flyte to be started." in begun.list_notes("queued"))
        for name in ("queued", "first"):
            begun.command(name, "cancel")
            begun.wait_over(name)
        begun.stop_worker("bob")

        for name in ("queued", "first"):
            assert _list_states(begun, name) == ["cancelled"]
            begun.check_once(name, narrow)
        assert len(narrow.executed) == 1


@pytest.mark.parametrize("name", ENDS)
def test_ends(begun: FlyteWorld, name: str) -> None:
    begun.wait_over(name)

    attempt, *earlier = begun.list_attempts(name)
    assert [trial["state"] for trial in begun.list_trials(name)] == ["FAIL"]
    assert attempt["state"] == ENDS[name].attempt
    assert attempt["reason"] == ENDS[name].reason
    # What a person has ended is not tried again.
    assert len(earlier) == (0 if attempt["state"] == "cancelled" else 1)
    begun.check_once(name)


def test_the_same_trials_here_and_there(begun: FlyteWorld) -> None:
    for name in ("train-here", "train-there"):
        begun.wait_over(name)

    outcomes = begun.list_outcomes("train-there")
    assert outcomes == begun.list_outcomes("train-here")
    assert [state for _, state, _ in outcomes] == ["COMPLETE", "COMPLETE", "PRUNED", "COMPLETE"]
    begun.check_once("train-there")
    # Neither Flyte nor the sweep tries again what was pruned, though both would try a failure.
    assert len(begun.list_programs("train-there")) == 4


def test_two_objectives(begun: FlyteWorld) -> None:
    for name in ("weigh-here", "weigh-there"):
        begun.wait_over(name)

    outcomes = begun.list_outcomes("weigh-there")
    assert outcomes == begun.list_outcomes("weigh-here")
    assert [(state, len(values)) for _, state, values in outcomes] == [("COMPLETE", 2)] * 4
    assert len(begun.list_programs("weigh-there")) == len(begun.list_attempts("weigh-there")) == 4


def test_a_task_that_does_not_ask_is_aborted(begun: FlyteWorld) -> None:
    begun.wait_over("deaf")

    states = [trial["state"] for trial in begun.list_trials("deaf")]
    (_, aborted) = begun.list_executions("deaf")
    assert states == ["COMPLETE", "PRUNED"]
    assert begun.list_attempts("deaf")[1]["state"] == "pruned"
    assert (aborted.phase, aborted.abort_cause) == (
        "ABORTED",
        "Asktell: the pruner has given it up.",
    )
    begun.check_once("deaf")


def test_a_task_that_flyte_tries_again(begun: FlyteWorld) -> None:
    begun.wait_over("retried")

    (trial,) = begun.list_trials("retried")
    (attempt,) = begun.list_attempts("retried")
    values = {point["step"]: point["value"] for point in trial["intermediate_values"]}
    assert (trial["state"], trial["values"], attempt["state"]) == ("COMPLETE", [0.25], "succeeded")
    assert values == {0: 0.0, 1: 1.0, 2: 12.0}
    assert len(begun.list_programs("retried")) == 2
    begun.check_once("retried")


def test_another_worker_goes_on_with_what_a_dead_one_launched(world: FlyteWorld) -> None:
    world.wait_until(lambda: _list_workers(world, "race") == ["erin"] * 4)
    (world.folder / "race-over").touch()
    world.wait_over("race")

    assert _list_states(world, "race") == ["succeeded"] * 6
    world.check_once("race")


def _list_workers(world: FlyteWorld, name: str) -> list[str]:
    return [attempt["worker"] for attempt in world.list_attempts(name)]


def test_nothing_fails_while_flyte_is_away(world: FlyteWorld, outage: "Future[list[str]]") -> None:
    at_start, in_the_middle = outage.result()

    attempts = world.list_attempts("away")
    assert [(each["state"], each["attempt"]) for each in attempts] == [("succeeded", 1)] * 2
    assert at_start.startswith("Not launched yet: Flyte at 127.0.0.1:")
    assert in_the_middle.startswith("Flyte at 127.0.0.1:")
