"""The stand-in for W&B's backend, seen by the real SDK."""

import json
import math
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.wandb.backend_requests import ask, stream_to
from tests.wandb.programs import ask_api, run_program, start_program
from tests.wandb_backend import Backend
from tests.wandb_backend.world import make_id

_TRAINING = """
import math, wandb
config = {"lr": 0.5, "opt": {"name": "sgd", "momentum": 0.9}}
with wandb.init(config=config, group="digits", tags=["asktell"], job_type="trial") as run:
    for loss in (3.0, math.nan, 1.0):
        run.log({"loss": loss})
"""
# The SDK asks its core every 15 seconds whether to stop; here, more often.
_LOOPING = """
import asyncio, time, wandb
from wandb.sdk.lib import run_stopping
run_stopping._SLEEP = lambda seconds: asyncio.sleep(0.2)
with wandb.init() as run:
    while True:
        run.log({"loss": 1.0})
        time.sleep(0.05)
"""
_CREATE_AGENT = "mutation CreateAgent { createAgent { agent { id } } }"
_ENQUEUE = "mutation EnqueueSweepRun { enqueueSweepRun { id runQueueItemId } }"
_HEARTBEAT = "mutation Heartbeat { agentHeartbeat { agent { id } commands } }"
_BEGIN = "mutation UpsertBucket { upsertBucket { inserted } }"
_ONE_RUN = "query Run($name: String!) { project { run(name: $name) { state } } }"


def test_a_run_arrives_whole_and_goes_on_when_resumed(
    backend: Backend, wandb_environment: dict[str, str]
) -> None:
    names = {"WANDB_PROJECT": "digits", "WANDB_RUN_ID": "s1-7-1", "WANDB_NAME": "trial-7"}
    run_program(_TRAINING, wandb_environment | names)

    run = backend.runs["acme/digits/s1-7-1"]
    assert (run.state, run.exit_code, run.starts) == ("finished", 0, 1)
    assert run.params == {"lr": 0.5, "opt": {"name": "sgd", "momentum": 0.9}}
    assert (run.group, run.job_type, run.tags) == ("digits", "trial", ["asktell"])
    assert run.display_name == "trial-7"
    assert [row["_step"] for row in run.history] == [0, 1, 2]
    assert [row["loss"] for row in run.history if row["_step"] != 1] == [3.0, 1.0]
    assert math.isnan(run.history[1]["loss"])
    assert run.summary["loss"] == 1.0
    assert f"{run.path}/config.yaml" in backend.files

    run_program(_TRAINING, wandb_environment | names | {"WANDB_RESUME": "allow"})

    assert (run.state, run.starts) == ("finished", 2)
    assert [row["_step"] for row in run.history] == [0, 1, 2, 3, 4, 5]


def test_a_stop_reaches_a_run_of_a_sweep(
    backend: Backend, wandb_environment: dict[str, str]
) -> None:
    sweep = backend.plant_sweep("stopped")
    environment = wandb_environment | {
        "WANDB_PROJECT": sweep.project,
        "WANDB_RUN_ID": "to-be-stopped",
        "WANDB_SWEEP_ID": sweep.name,
        "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1",
    }
    path = "acme/mnist/to-be-stopped"
    with start_program(_LOOPING, environment) as program:
        wait_until(lambda: path in backend.runs and bool(backend.runs[path].history))
        assert (backend.runs[path].sweep, sweep.state) == (sweep.name, "RUNNING")
        backend.stop_run(path)
        _, errors = program.communicate()
    assert "KeyboardInterrupt" in errors
    assert backend.runs[path].state == "killed"


def test_runs_are_read_as_they_are(backend: Backend, wandb_environment: dict[str, str]) -> None:
    rows = [{"loss": 2.0}, {"loss": math.nan}, {"loss": 1.0, "accuracy": 0.5}]
    backend.plant_run("one", project="read", rows=rows)
    backend.plant_run("two", project="read", rows=rows[:1], sweep="of-a-sweep")
    backend.plant_run("three", project="read")
    some = """[(run.id, run.state) for run in api.runs("acme/read", lazy=False,
        filters={"name": {"$in": ["one", "three", "none"]}})]"""

    answers = ask_api(
        {
            "summary": 'api.run("acme/read/one").summary.get("accuracy")',
            "last step": 'api.run("acme/read/one").lastHistoryStep',
            "from a step": 'list(api.run("acme/read/one").scan_history(min_step=1))',
            "of a key": 'list(api.run("acme/read/one").scan_history(keys=["accuracy", "_step"]))',
            "some": some,
            "stopped": 'api.run("acme/read/one").stop()',
            "failed": 'api.run("acme/read/three").update_state("failed")',
            "failed again": 'api.run("acme/read/three").update_state("failed")',
            "of a sweep": 'api.run("acme/read/two").update_state("failed")',
            "deleted": 'api.run("acme/read/three").delete()',
            "gone": 'wandb.Api().run("acme/read/three")',
            "no project": 'list(api.runs("acme/nothing-here"))',
        },
        wandb_environment,
    )

    assert (answers["summary"], answers["last step"]) == (0.5, 2)
    assert answers["from a step"] == [
        {"_step": 1, "loss": "NaN"},
        {"_step": 2, "loss": 1.0, "accuracy": 0.5},
    ]
    assert answers["of a key"] == [{"_step": 2, "accuracy": 0.5}]
    assert answers["some"] == [["one", "running"], ["three", "running"]]
    assert backend.runs["acme/read/one"].is_stopped
    assert answers["failed"] is True
    assert "cannot become failed" in answers["failed again"]
    assert "belongs to a sweep" in answers["of a sweep"]
    assert "Could not find run" in answers["gone"]
    assert "Could not find project" in answers["no project"]
    assert backend.requests["Runs"] == 2


def test_sweeps_are_made_and_change_their_state(
    backend: Backend, wandb_environment: dict[str, str]
) -> None:
    config = {
        "name": "digits",
        "description": "of a study",
        "method": "custom",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"lr": {"min": 0.1, "max": 1.0}},
    }

    answers = ask_api(
        {
            "made": f'(made := wandb.sweep({config}, entity="acme", project="swept"))',
            "state": '(sweep := api.sweep(f"acme/swept/{made}")).state',
            "listed": '[each.id for each in api.project("swept", "acme").sweeps()]',
            "enqueued": 'sweep.enqueue_run({"lr": {"value": 0.5}})',
            "runs": "[run.id for run in sweep.runs]",
            "missing": 'api.sweep("acme/swept/missing")',
        },
        wandb_environment,
    )

    (sweep,) = [each for each in backend.sweeps.values() if each.project == "swept"]
    assert (answers["made"], answers["listed"]) == (sweep.name, [sweep.name])
    assert answers["state"] == "PENDING"
    assert (sweep.display_name, sweep.description) == ("digits", "of a study")
    assert answers["runs"] == [answers["enqueued"]]
    assert "Could not find sweep" in answers["missing"]


def test_a_canceled_sweep_stops_its_runs(backend: Backend) -> None:
    sweep = backend.plant_sweep("canceled")
    run = backend.plant_run("of-the-canceled", sweep=sweep.name)
    other = backend.plant_run("of-no-sweep")

    backend.cancel_sweep(sweep.path)

    assert (sweep.state, run.is_stopped, other.is_stopped) == ("CANCELED", True, False)


def test_ended_sweeps_take_runs_unless_the_test_says_otherwise(other_backend: Backend) -> None:
    sweep = other_backend.plant_sweep("ended")
    sweep.state = "FINISHED"
    assert "errors" not in join(other_backend, "lenient")

    other_backend.world.ended_sweeps_take_runs = False

    (refusal,) = join(other_backend, "late")["errors"]
    assert refusal["message"] == "The sweep ended is FINISHED and takes no more runs."
    assert "errors" not in join(other_backend, "lenient")
    other_backend.pause_sweep(sweep.path)
    assert "errors" not in join(other_backend, "of-the-paused")
    assert {run.name for run in other_backend.runs.values()} == {"lenient", "of-the-paused"}


def test_agents_of_a_sweep_are_told_what_to_do(other_backend: Backend) -> None:
    sweep = other_backend.plant_sweep("s")
    made = ask(other_backend, _CREATE_AGENT, sweep="s", host="here").json()
    agent_id = made["data"]["createAgent"]["agent"]["id"]
    sweep_id = make_id("Sweep", sweep.path)
    ask(other_backend, _ENQUEUE, id=sweep_id, config=json.dumps({"lr": {"value": 0.5}}))

    (begin,) = beat(other_backend, agent_id)
    (run,) = other_backend.runs.values()
    assert (begin["type"], begin["run_id"], begin["args"]) == ("run", run.name, run.config)

    run.start(time.time())
    other_backend.stop_run(run.path)
    assert beat(other_backend, agent_id, run.name) == [{"type": "stop", "run_id": run.name}]

    ask(other_backend, _ENQUEUE, id=sweep_id, config="{}")
    other_backend.stop_run(list(other_backend.runs)[-1])
    assert beat(other_backend, agent_id) == []

    other_backend.stop_sweep(sweep.path)
    assert beat(other_backend, agent_id) == [{"type": "exit"}]


def test_silent_runs_crash(other_backend: Backend) -> None:
    running = other_backend.plant_run("silent")
    preempting = other_backend.plant_run("leaving", state="preempting")
    other_backend.pass_time(299)
    assert {run.state for run in other_backend.runs.values()} == {"running", "preempting"}

    other_backend.pass_time(2)

    assert set(other_backend.runs) == {running.path, preempting.path}
    assert (running.state, preempting.state) == ("crashed", "preempted")


def test_a_run_that_crashed_goes_on_with_its_next_word(other_backend: Backend) -> None:
    run = other_backend.plant_run("cut-off")
    other_backend.pass_time(301)
    assert other_backend.runs[run.path].state == "crashed"
    other_backend.stop_run(run.path)

    stream = stream_to(other_backend, run.path, {})

    assert stream.json()["stopped"]
    assert other_backend.runs[run.path].state == "running"


@pytest.mark.parametrize(
    ("state", "is_stopped", "exit_code", "ended"),
    [
        ("running", False, 0, "finished"),
        ("running", False, 3, "failed"),
        ("running", True, 255, "killed"),
        ("preempting", False, 1, "preempted"),
        ("preempting", False, 0, "finished"),
        ("crashed", False, 0, "finished"),
        ("crashed", True, 255, "killed"),
    ],
)
def test_the_last_word_of_a_run(
    other_backend: Backend, state: str, is_stopped: bool, exit_code: int, ended: str
) -> None:
    run = other_backend.plant_run("r", state=state)
    run.is_stopped = is_stopped
    stream = stream_to(other_backend, run.path, {"complete": True, "exitcode": exit_code})
    assert stream.json()["stopped"] is is_stopped
    assert (run.state, run.exit_code) == (ended, exit_code)


def test_a_request_that_is_sent_again_changes_nothing(other_backend: Backend) -> None:
    run = other_backend.plant_run("r")
    lines = {"offset": 0, "content": [json.dumps({"_step": 0, "loss": 1.0})]}
    for _ in range(2):
        stream_to(other_backend, run.path, {"files": {"wandb-history.jsonl": lines}})
    assert run.history == [{"_step": 0, "loss": 1.0}]


def test_what_is_unknown_is_refused_and_noted(other_backend: Backend) -> None:
    other_backend.plant_run("r")
    unknown = ask(other_backend, "mutation RenameRun { renameRun { success } }")
    field = ask(other_backend, "query Viewer { viewer { id salary } }")
    filtered = ask(
        other_backend,
        "query Runs { project { runs { edges { node { id } } } } }",
        filters='{"config.lr": 1}',
    )
    path = httpx.get(f"{other_backend.url}/api/v2/runs")

    assert (unknown.status_code, field.status_code, path.status_code) == (400, 400, 404)
    assert "RenameRun" in unknown.json()["errors"][0]["message"]
    assert filtered.status_code == 400
    assert other_backend.unknown == [
        "mutation RenameRun",
        "Viewer: viewer.salary",
        "Runs: filter config.lr",
        "GET /api/v2/runs",
    ]


def test_answers_hold_what_was_selected(other_backend: Backend) -> None:
    query = """
    query Run($name: String = "r", $full: Boolean = false) {  # the defaults are not read
        found: project(name: "mnist", entityName: "acme") {
            run(name: $name) { ...Short ... on Run { tags @include(if: $full) } }
        }
    }
    fragment Short on Run { id: name state }
    """
    other_backend.plant_run("r")
    answer = ask(other_backend, query, entity="acme", project="mnist", name="r").json()
    run = {"id": "r", "state": "running", "tags": []}
    assert answer == {"data": {"found": {"run": run}}}


def test_a_wrong_key_is_refused(other_backend: Backend) -> None:
    answer = httpx.post(
        f"{other_backend.url}/graphql", json={"query": _ONE_RUN}, auth=("api", "wrong")
    )
    assert (answer.status_code, other_backend.requests) == (401, {"Run": 1})


def test_failures_are_served_in_turn_and_change_nothing(other_backend: Backend) -> None:
    run = other_backend.plant_run("r")
    other_backend.fail("file_stream", [429, 500], retry_after_seconds=3)
    body = {"complete": True, "exitcode": 0}

    throttled = stream_to(other_backend, run.path, body)
    failed = stream_to(other_backend, run.path, body)
    assert (throttled.status_code, failed.status_code, run.state) == (429, 500, "running")
    assert throttled.headers["Retry-After"] == "3"

    assert stream_to(other_backend, run.path, body).status_code == 200
    assert run.state == "finished"


def test_a_lost_answer_took_effect(other_backend: Backend) -> None:
    run = other_backend.plant_run("r")
    other_backend.lose("file_stream")
    lost = stream_to(other_backend, run.path, {"complete": True, "exitcode": 0})
    assert (lost.status_code, run.state) == (504, "finished")


def test_while_it_is_down_connections_are_refused(other_backend: Backend) -> None:
    other_backend.plant_run("r")
    with httpx.Client() as client:
        ask(other_backend, _ONE_RUN, client=client, name="r")
        other_backend.go_down()
        with pytest.raises(httpx.ConnectError):
            ask(other_backend, _ONE_RUN, client=client, name="r")
        other_backend.come_back()
        assert ask(other_backend, _ONE_RUN, client=client, name="r").status_code == 200


def test_while_it_hangs_nothing_is_answered(other_backend: Backend) -> None:
    other_backend.plant_run("r")
    with other_backend.hang("Run"):
        with pytest.raises(httpx.ReadTimeout):
            ask(other_backend, _ONE_RUN, timeout=0.2, name="r")
        viewer = ask(other_backend, "query Viewer { viewer { id } }")
        assert viewer.status_code == 200
    assert ask(other_backend, _ONE_RUN, name="r").status_code == 200


def beat(backend: Backend, agent_id: str, *running: str) -> list[dict[str, Any]]:
    """The commands that an agent gets for its heartbeat."""
    states = json.dumps(dict.fromkeys(running, True))
    answer = ask(backend, _HEARTBEAT, id=agent_id, runState=states).json()
    commands: list[dict[str, Any]] = json.loads(answer["data"]["agentHeartbeat"]["commands"])
    return commands


def join(backend: Backend, run_id: str) -> dict[str, Any]:
    """Begins a run of the sweep "ended" as the SDK does; returns the answer."""
    answer: dict[str, Any] = ask(backend, _BEGIN, name=run_id, sweep="ended", host="here").json()
    return answer


def wait_until(is_so: Callable[[], bool]) -> None:
    """Returns when it is so; the test's time limit is the patience."""
    while not is_so():
        time.sleep(0.02)
