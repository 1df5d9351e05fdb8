"""W&B's launch queues and runs in memory, spoken to as through a worker's connection."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from service.schedulers.executors.connection.connection import (
    SystemAway,
    SystemRefused,
    SystemSilent,
)


@dataclass
class Item:
    queue: str
    spec: dict[str, Any]
    priority: int | None
    template_variables: dict[str, Any] | None
    state: str = "pending"
    message: str | None = None


@dataclass
class Run:
    state: str = "running"
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    is_stopped: bool = False
    heartbeat_at: str = "2026-01-01T00:00:00Z"

    def log(self, **values: float) -> None:
        self.rows.append({"_step": len(self.rows), **values})

    def end(self, state: str) -> None:
        self.state = "killed" if state == "failed" and self.is_stopped else state


class LaunchWorld:
    """What is at W&B, and what tests do there.

    Attributes:
        queues: Names of those that there are, `entity/project/name`.
        sweeps: Names of those that there are.
        runs: By `entity/project/run_id`.
        calls: How often each operation came.
        is_away: Whether nothing is answered.
        refusals: What calls of an operation are refused with, by its name.
        is_key_refused: Whether that is because of the key.
        steps_at_once: How much of a run's history is read by one call.
        account: Where runs go that name no entity.
        is_project_shown: Whether the key may see the project of the runs, and it is there.
        takes_stops: Whether runs are told to end that are to.
    """

    def __init__(self) -> None:
        self.queues = {"acme/model-registry/gpus"}
        self.sweeps = {"sweep001"}
        self.jobs = {"acme/mnist/train:latest"}
        self.items: dict[str, Item] = {}
        self.runs: dict[str, Run] = {}
        self.calls: Counter[str] = Counter()
        self.is_away = False
        self.refusals: dict[str, str] = {}
        self.is_key_refused = False
        self.steps_at_once = 10_000
        self.is_readable_to_the_end = True
        self.is_project_shown = True
        self.takes_stops = True
        self.account = "acme"
        self._lost: list[str] = []
        self._held: dict[str, asyncio.Event] = {}
        self._numbers = itertools.count(1)

    def lose_answer(self, operation: str) -> None:
        """The next call of it is done, and its caller does not hear of it."""
        self._lost.append(operation)

    def hold(self, operation: str) -> asyncio.Event:
        """Calls of it wait before they are done, until the event is set."""
        self._held[operation] = asyncio.Event()
        return self._held[operation]

    def list_waiting(self) -> list[Item]:
        return [item for item in self.items.values() if item.state == "pending"]

    def claim(self, *, is_begun: bool = True) -> Run:
        """An agent takes the oldest item and begins its run, or goes on with it."""
        item = self.list_waiting()[0]
        item.state = "claimed"
        path = "/".join(item.spec[each] for each in ("entity", "project", "run_id"))
        if not is_begun:
            return Run()
        run = self.runs.setdefault(path, Run())
        run.state, run.is_stopped = "running", False
        return run

    def push_again(self, item: Item, *, state: str) -> Item:
        """An agent that has seen the item's run preempted pushes it once more, as it was."""
        spec = item.spec | {"_resume_count": item.spec.get("_resume_count", 0) + 1}
        pushed = replace(item, spec=spec, state=state)
        self.items[f"item-{next(self._numbers)}"] = pushed
        return pushed

    async def call(
        self, operation: str, arguments: Mapping[str, Any], *, deadline_seconds: float
    ) -> Any:
        if operation in self._held:
            await self._held[operation].wait()
        self.calls[operation] += 1
        if self.is_away:
            raise SystemAway("W&B at api.example.org has not answered for a while.")
        if operation in self.refusals:
            raise SystemRefused(self.refusals[operation], is_about_key=self.is_key_refused)
        answer = getattr(self, f"_{operation}")(**arguments)
        if operation in self._lost:
            self._lost.remove(operation)
            raise SystemSilent("W&B did not answer within 30 s.")
        return answer

    def _find_account(self) -> dict[str, Any]:
        return {"entity": self.account}

    def _find_job_problem(self, job: str) -> str | None:
        return None if job in self.jobs else "it is not there"

    def _find_runs(self, entity: str, project: str, run_ids: list[str]) -> dict[str, Any] | None:
        if not self.is_project_shown:
            return None
        found = {run_id: self.runs.get(f"{entity}/{project}/{run_id}") for run_id in run_ids}
        return {run_id: self._describe(run) for run_id, run in found.items() if run is not None}

    def _read_sweep_states(
        self, entity: str, project: str, names: list[str]
    ) -> dict[str, str | None]:
        return {name: "RUNNING" if name in self.sweeps else None for name in names}

    def _describe(self, run: Run) -> dict[str, Any]:
        return {
            "state": run.state,
            "summary": dict(run.summary),
            "last_step": len(run.rows) - 1,
            "is_stopped": run.is_stopped,
            "heartbeat_at": run.heartbeat_at,
        }

    def _read_history(
        self,
        entity: str,
        project: str,
        run_id: str,
        keys: list[str],
        min_step: int,
        max_step: int | None,
    ) -> dict[str, Any]:
        rows = self.runs[f"{entity}/{project}/{run_id}"].rows
        end = len(rows) - 1 if max_step is None else max_step
        read_to = min(end, min_step + self.steps_at_once - 1)
        wanted = {"_step", *keys}
        cut = [
            {key: row[key] for key in row if key in wanted} for row in rows[min_step : read_to + 1]
        ]
        found = [row for row in cut if len(row) > 1]
        return {"rows": found, "read_to": read_to, "is_all": read_to == end}

    def _flag_stop(self, entity: str, project: str, run_id: str) -> None:
        run = self.runs.get(f"{entity}/{project}/{run_id}")
        if run is None:
            raise SystemRefused("There is no such run.")
        run.is_stopped = run.is_stopped or self.takes_stops

    def _flag_stops(self, entity: str, project: str, run_ids: list[str]) -> dict[str, str | None]:
        for run_id in run_ids:
            self._flag_stop(entity, project, run_id)
        return dict.fromkeys(run_ids)

    def _list_queue_items(
        self, entity: str, project: str, queue: str, run_ids: list[str], cursor: str | None
    ) -> dict[str, Any] | None:
        name = f"{entity}/{project}/{queue}"
        if name not in self.queues:
            return None
        items = [
            {
                "item_id": item_id,
                "state": item.state,
                "run_id": item.spec["run_id"],
                "attempt": self._find_attempt(item),
                "resume_count": item.spec.get("_resume_count", 0),
                "message": item.message,
            }
            for item_id, item in self.items.items()
            if item.queue == name and item.spec["run_id"] in run_ids and cursor is None
        ]
        next_cursor = None if self.is_readable_to_the_end else "more"
        return {"queue_id": name, "items": items, "cursor": next_cursor}

    def _find_attempt(self, item: Item) -> int | None:
        names = item.spec["overrides"]["run_config"]["asktell"]
        return names["attempt"] if isinstance(names, dict) else None

    def _push_queue_item(
        self,
        entity: str,
        project: str,
        queue: str,
        run_spec: dict[str, Any],
        priority: int | None,
        template_variables: dict[str, Any] | None,
    ) -> str | None:
        name = f"{entity}/{project}/{queue}"
        if name not in self.queues:
            return None
        item_id = f"item-{next(self._numbers)}"
        self.items[item_id] = Item(name, run_spec, priority, template_variables)
        return item_id

    def _delete_queue_item(self, queue_id: str, item_id: str) -> bool:
        assert self.items[item_id].queue == queue_id
        is_waiting = self.items[item_id].state in ("pending", "leased")
        if is_waiting:
            del self.items[item_id]
        return is_waiting
