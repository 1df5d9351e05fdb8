"""Launch queues of the stand-in for W&B's backend, seen by the real SDK."""

import json
import sys
from typing import Any

import httpx
import pytest

from tests.wandb.backend_requests import ask
from tests.wandb.programs import ask_api, isolate
from tests.wandb_backend import Backend

_TRAINING = """
import wandb
with wandb.init(config={"lr": 0.5}) as run:
    run.log({"loss": 1.0})
"""
_PUSH = """mutation pushToRunQueueByName($runSpec: JSONString!, $priority: Int) {
    pushToRunQueueByName(input: {runSpec: $runSpec, priority: $priority}) { runQueueItemId }
}"""
_REASONS = """query GetRunQueueItems { project { runQueue {
    runQueueItems { edges { node { state error { message } } } }
} } }"""
_DELETE = "mutation DeleteFromRunQueue { deleteFromRunQueue { success } }"


def test_a_launched_program_is_the_run_of_its_item(
    backend: Backend, wandb_environment: dict[str, str]
) -> None:
    backend.plant_queue("gpus")
    pushed = """launch_add(docker_image="train:1", entity="acme", project="mnist",
        queue_name="gpus", run_id="launched", priority=1, template_variables={"gpus": 2},
        config={"overrides": {"run_config": {"lr": 0.25}}}).state"""
    assert ask_api({"pushed": pushed}, wandb_environment) == {"pushed": "pending"}
    (item,) = backend.items
    assert (item.priority, item.template_variables) == (1, {"gpus": 2})

    program = [sys.executable, "-c", _TRAINING]
    with backend.run_next("gpus", program, isolate(wandb_environment)) as running:
        running.communicate()

    run = backend.runs["acme/mnist/launched"]
    assert (run.state, run.params["lr"]) == ("finished", 0.25)
    assert (item.state, item.run_id) == ("CLAIMED", "launched")


def test_queues_and_jobs_are_found(backend: Backend, wandb_environment: dict[str, str]) -> None:
    backend.plant_queue("cpus")
    backend.plant_job("train")
    into = 'entity="acme", project="mnist", run_id="queued"'

    answers = ask_api(
        {
            "job": 'api.job("acme/mnist/train:latest").name',
            "no job": 'api.job("acme/mnist/missing:latest")',
            "pushed": f'(item := launch_add(docker_image="i", queue_name="cpus", {into})).state',
            "listed": '[each.id == item.id for each in api.run_queue("acme", "cpus").items]',
            "deleted": "item.delete()",
            "left": '[item.id for item in api.run_queue("acme", "cpus").items]',
            "no queue": f'launch_add(docker_image="i", queue_name="missing", {into})',
            "made": 'api.create_run_queue("new", "local-process", entity="acme").id is not None',
        },
        wandb_environment,
    )

    assert answers["job"] == "acme/mnist/train:latest"
    assert "not found" in answers["no job"]
    assert answers["pushed"] == "pending"
    assert (answers["listed"], answers["left"]) == ([True], [])
    assert "LaunchError" in answers["no queue"]
    assert answers["made"] is True


def test_items_are_taken_by_priority_and_fail_with_a_reason(other_backend: Backend) -> None:
    other_backend.plant_queue("gpus")
    for run_id, priority in (("late", 3), ("first", 0)):
        ask_queue(other_backend, _PUSH, runSpec=json.dumps({"run_id": run_id}), priority=priority)

    taken = other_backend.claim_next("gpus")
    other_backend.fail_next("gpus", "The image is missing.")

    assert (taken.run_id, taken.state) == ("first", "CLAIMED")
    nodes = ask_queue(other_backend, _REASONS).json()["data"]["project"]["runQueue"][
        "runQueueItems"
    ]
    assert [edge["node"] for edge in nodes["edges"]] == [
        {"state": "FAILED", "error": {"message": "The image is missing."}},
        {"state": "CLAIMED", "error": None},
    ]
    with pytest.raises(LookupError):
        other_backend.claim_next("gpus")

    other_backend.world.has_item_errors = False
    assert "Cannot query field" in ask_queue(other_backend, _REASONS).json()["errors"][0]["message"]
    assert other_backend.unknown == []


@pytest.mark.parametrize(
    ("state", "is_taken"),
    [("PENDING", True), ("LEASED", True), ("CLAIMED", False), ("FAILED", False)],
)
def test_only_items_whose_run_has_not_begun_are_deleted(
    other_backend: Backend, state: str, is_taken: bool
) -> None:
    queue = other_backend.plant_queue("gpus")
    ask_queue(other_backend, _PUSH, runSpec=json.dumps({"run_id": "r"}))
    (item,) = other_backend.items
    item.state = state

    elsewhere = ask(other_backend, _DELETE, queueID="another", runQueueItemId=item.id).json()
    assert elsewhere["data"]["deleteFromRunQueue"] == {"success": False}
    deleted = ask(other_backend, _DELETE, queueID=queue.id, runQueueItemId=item.id).json()

    assert deleted["data"]["deleteFromRunQueue"] == {"success": is_taken}
    assert other_backend.items == ([] if is_taken else [item])


def ask_queue(backend: Backend, query: str, **variables: Any) -> httpx.Response:
    """Sends a request about the queue "gpus"."""
    return ask(backend, query, project="model-registry", queueName="gpus", **variables)
