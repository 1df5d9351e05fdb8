"""How launch queues are read, page by page, from servers of any age, and how jobs are looked up."""

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest
import requests
from wandb.errors import CommError

from service.schedulers.executors.wandb.queue.launch_api import (
    LaunchQueueApi,
    Queue,
    QueueItem,
    QueueView,
)
from service.schedulers.executors.wandb.queue.launch_operations import (
    find_job_problem,
    list_queue_items,
)

QUEUE = {"entity": "acme", "project": "model-registry", "queue": "gpus"}


class ScriptedApi:
    """What the operations use of `wandb.Api`: a queue in pages of one item.

    Attributes:
        nodes: The items, as W&B answers them.
        refusal: What is said to those who ask why an item failed; None: they are told.
    """

    def __init__(self, *nodes: dict[str, Any]) -> None:
        self._service_api = self
        self.nodes = nodes
        self.has_queue = True
        self.refusal: str | None = None
        self.requests = 0

    def execute_graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        self.requests += 1
        if self.refusal is not None and "error {" in query:
            raise RuntimeError(self.refusal)
        if not self.has_queue:
            return {"project": {"runQueue": None}}
        start = int(variables["cursor"] or 0)
        page = {"endCursor": str(start + 1), "hasNextPage": start + 1 < len(self.nodes)}
        edges = [{"node": node} for node in self.nodes[start : start + 1]]
        return {
            "project": {
                "runQueue": {"id": "q", "runQueueItems": {"edges": edges, "pageInfo": page}}
            }
        }


def build_node(run_id: str, *, _resume_count: Any = 0, **fields: Any) -> dict[str, Any]:
    spec = {
        "run_id": run_id,
        "overrides": {"run_config": {"asktell": {"attempt": 2}}},
        "_resume_count": _resume_count,
    }
    return {"id": f"of-{run_id}", "state": "PENDING", "runSpec": spec, **fields}


class Pages:
    """A connection to the queue."""

    def __init__(self, api: ScriptedApi) -> None:
        self._api = api

    async def call(
        self, operation: str, arguments: Mapping[str, Any], *, deadline_seconds: float
    ) -> Any:
        assert operation == "list_queue_items"
        return list_queue_items(cast("Any", self._api), **arguments)


async def find_items(api: ScriptedApi, *run_ids: str) -> QueueView | None:
    queue = Queue(QUEUE["entity"], QUEUE["project"], QUEUE["queue"])
    return await LaunchQueueApi(Pages(api)).find_items(queue, run_ids)


def list_items(api: ScriptedApi, *run_ids: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        found = list_queue_items(cast("Any", api), **QUEUE, run_ids=run_ids, cursor=cursor)
        assert found is not None
        items += found["items"]
        if (cursor := found["cursor"]) is None:
            return items


async def test_all_pages_are_read_and_only_the_wanted_items_answered() -> None:
    api = ScriptedApi(
        build_node("b", runSpec="no JSON"),
        build_node("a", _resume_count=1),
        build_node("other", runSpec={"run_id": "other", "_wandb_api_key": "anybody's"}),
    )

    found = await find_items(api, "a", "b")

    item = QueueItem("of-a", "pending", "a", attempt=2, resume_count=1)
    assert found == QueueView("q", (item,), is_complete=True)
    assert api.requests == 3


def test_specifications_may_be_texts_and_runs_be_known_by_their_item_alone() -> None:
    api = ScriptedApi(
        build_node("a", runSpec=json.dumps({"run_id": "a"})),
        build_node("b", runSpec=None, associatedRunId="b", state="CLAIMED"),
        build_node("c", state="FAILED", error={"message": "No image."}),
    )

    items = list_items(api, "a", "b", "c")

    assert [(item["run_id"], item["state"], item["attempt"]) for item in items] == [
        ("a", "pending", None),
        ("b", "claimed", None),
        ("c", "failed", 2),
    ]
    assert items[2]["message"] == "No image."


def test_an_older_server_does_not_say_why_an_item_failed() -> None:
    api = ScriptedApi(build_node("a", state="FAILED"))
    api.refusal = 'Cannot query field "error" on type "RunQueueItem".'

    (item,) = list_items(api, "a")

    assert (item["state"], item["message"]) == ("failed", None)


def test_other_failures_are_not_taken_for_an_older_server() -> None:
    api = ScriptedApi(build_node("a"))
    api.refusal = "timeout"

    with pytest.raises(RuntimeError, match="timeout"):
        list_items(api, "a")


@pytest.mark.parametrize("count", [None, "1", 1.5, True, [1]])
def test_a_count_that_is_none_is_zero(count: Any) -> None:
    (item,) = list_items(ScriptedApi(build_node("a", _resume_count=count)), "a")

    assert item["resume_count"] == 0


async def test_a_very_long_queue_is_not_read_to_its_end() -> None:
    api = ScriptedApi(*(build_node(str(number)) for number in range(100)))

    found = await find_items(api, "1", "99")

    assert found is not None
    assert [item.run_id for item in found.items] == ["1"]
    assert not found.is_complete
    assert api.requests == 20


async def test_there_may_be_no_queue() -> None:
    api = ScriptedApi()
    api.has_queue = False

    assert await find_items(api, "a") is None


@pytest.mark.parametrize(
    "overrides", [None, [], {"run_config": []}, {"run_config": {"asktell": 1}}]
)
def test_other_peoples_items_may_be_anything(overrides: Any) -> None:
    node = build_node("a", runSpec={"run_id": "a", "overrides": overrides})

    (item,) = list_items(ScriptedApi(node), "a")

    assert item["attempt"] is None


class JobApi:
    """What the operation uses of `wandb.Api`, which wraps whatever happens in its own error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def artifact(self, name: str, type: str) -> None:
        raise CommError(str(self._error), self._error)


def test_job_that_wandb_does_not_have_is_a_problem() -> None:
    api = cast("Any", JobApi(ValueError("project 'mnist' not found under entity 'acme'")))
    problem = find_job_problem(api, job="acme/mnist/train:latest")
    assert problem == "project 'mnist' not found under entity 'acme'"


@pytest.mark.parametrize(
    "error", [json.JSONDecodeError("no JSON", "<html>", 0), requests.HTTPError("HTTP 503")]
)
def test_answer_that_is_not_understood_says_nothing_of_a_job(error: Exception) -> None:
    with pytest.raises(CommError):
        find_job_problem(cast("Any", JobApi(error)), job="acme/mnist/train:latest")
