"""Launch queues of W&B, and what is asked of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from service.schedulers.executors.connection.connection import Connection

_DEADLINE_SECONDS = 30.0
# Of a hundred items each.
_PAGES = 20


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue's name; `project` is that of the queue, not of the runs."""

    entity: str
    project: str
    name: str

    def __str__(self) -> str:
        return f"{self.entity}/{self.project}/{self.name}"


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A run that was pushed to a queue.

    Attributes:
        state: W&B's word in lower case: pending, leased (an agent looks at it), claimed (an agent
            runs it), failed. Others may exist.
        attempt: Which execution of its trial it is; None if it is not one of ours.
        message: Why it failed, if W&B tells.
        resume_count: How often its run had been preempted when it was pushed.
    """

    item_id: str
    state: str
    run_id: str
    attempt: int | None = None
    message: str | None = None
    resume_count: int = 0


@dataclass(frozen=True, slots=True)
class QueueView:
    """Items of the runs that were asked for.

    Attributes:
        is_complete: Whether what is not among them is not in the queue; a very long one is not
            read to its end.
    """

    queue_id: str
    items: tuple[QueueItem, ...]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Push:
    """What is pushed.

    Attributes:
        run_spec: W&B's launch specification of the run.
        priority: 0 is critical, 3 low; None: the queue has none.
        template_variables: Values for the variables of the queue's configuration.
    """

    run_spec: Mapping[str, Any]
    priority: int | None
    template_variables: Mapping[str, Any]


class LaunchQueueApi:
    """Asks and tells W&B through the worker's connection.

    Everything raises SystemAway if W&B does not answer, and SystemRefused if it does not want to.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def find_job_problem(self, job: str) -> str | None:
        """Returns why there is no job `entity/project/name:version`; None if there is one."""
        problem: str | None = await self._call("find_job_problem", {"job": job})
        return problem

    async def find_items(self, queue: Queue, run_ids: Collection[str]) -> QueueView | None:
        """Returns what a queue holds of some runs; None if there is no such queue."""
        wanted = {**_name(queue), "run_ids": sorted(run_ids)}
        items: list[QueueItem] = []
        queue_id, cursor = "", None
        for _ in range(_PAGES):
            # A call for each page, so that others get their turn in between.
            page = await self._call("list_queue_items", {**wanted, "cursor": cursor})
            if page is None:
                return None
            items += [QueueItem(**item) for item in page["items"]]
            queue_id, cursor = page["queue_id"], page["cursor"]
            if cursor is None:
                break
        return QueueView(queue_id, tuple(items), is_complete=cursor is None)

    async def push(self, queue: Queue, push: Push) -> bool:
        """Pushes a run; False if W&B took nothing. What failed may have been done all the same."""
        arguments = {
            **_name(queue),
            "run_spec": dict(push.run_spec),
            "priority": push.priority,
            "template_variables": dict(push.template_variables) or None,
        }
        return await self._call("push_queue_item", arguments) is not None

    async def remove(self, queue_id: str, item: QueueItem) -> None:
        """Takes an item out of its queue; it may be gone, or an agent may have been faster."""
        await self._call("delete_queue_item", {"queue_id": queue_id, "item_id": item.item_id})

    async def _call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        return await self._connection.call(operation, arguments, deadline_seconds=_DEADLINE_SECONDS)


def _name(queue: Queue) -> dict[str, str]:
    return {"entity": queue.entity, "project": queue.project, "queue": queue.name}
