"""What is pushed to a launch queue for an attempt, and which of its items are the attempt's."""

from collections.abc import Sequence
from typing import Any

from service.domain.attempts import parse_attempt_id
from service.schedulers.executors.base import Launch
from service.schedulers.executors.wandb.queue.launch_api import Push, Queue, QueueItem
from service.schedulers.executors.wandb.runs.run_config import build_run_config, build_run_name
from service.schedulers.executors.wandb.runs.runs import RunPath
from service.schedulers.executors.wandb.runs.sweep_names import find_sweep_name

_DEFAULT_QUEUE_PROJECT = "model-registry"
_WAITING = frozenset({"pending", "leased"})
_FAILED = "failed"


def find_queue(launch: Launch, entity: str) -> Queue:
    """Returns the queue that the attempt's run is pushed to; `entity` is that of its runs."""
    project = launch.arguments.get("launch_queue_project") or _DEFAULT_QUEUE_PROJECT
    return Queue(entity, project, launch.arguments["launch_queue"])


def build_push(launch: Launch, path: RunPath) -> Push:
    """Returns what is pushed; nothing of it is a secret, for others can read queues."""
    template_variables = launch.arguments.get("template_variables") or {}
    return Push(_build_run_spec(launch, path), launch.arguments.get("priority"), template_variables)


def choose_own(launch: Launch, items: Sequence[QueueItem]) -> list[QueueItem]:
    """Returns the items that are this attempt's, in an order that everybody sees the same.

    An agent that sees a run preempted pushes it again by itself, marked as the earlier attempt: a
    resumed one takes that for its own, be it waiting or taken by an agent already.
    """
    own = [item for item in items if item.run_id == launch.run_id and _is_own(launch, item)]
    return sorted(own, key=lambda item: item.item_id)


def choose_item(own: Sequence[QueueItem]) -> QueueItem | None:
    """Returns the one that counts: what an agent took, else what waits, else what has failed."""
    ranks = {item.item_id: _rank(item) for item in own}
    return min(own, key=lambda item: ranks[item.item_id], default=None)


def choose_extras(own: Sequence[QueueItem]) -> list[QueueItem]:
    """Returns what waits although another item counts: the run was pushed more than once."""
    counting = choose_item(own)
    return [item for item in own if is_waiting(item) and item is not counting]


def is_waiting(item: QueueItem) -> bool:
    """Tells whether no agent runs it yet."""
    return item.state in _WAITING


def has_failed(item: QueueItem) -> bool:
    """Tells whether it will never have a run."""
    return item.state == _FAILED


def _is_own(launch: Launch, item: QueueItem) -> bool:
    if item.attempt in (None, launch.attempt):
        return True
    return launch.is_resumed and (is_waiting(item) or item.resume_count >= _count_resumes(launch))


def _count_resumes(launch: Launch) -> int:
    """How often the attempt's run was preempted: it has the name of the attempt that began it."""
    began = parse_attempt_id(launch.run_id)
    return 1 if began is None else launch.attempt - began[2]


def _rank(item: QueueItem) -> int:
    if has_failed(item):
        return 2
    return 1 if is_waiting(item) else 0


def _build_run_spec(launch: Launch, path: RunPath) -> dict[str, Any]:
    arguments = launch.arguments
    spec: dict[str, Any] = {
        "entity": path.entity,
        "project": path.project,
        "run_id": path.run_id,
        "name": build_run_name(launch),
        "docker": {},
        "git": {},
        "resource": arguments.get("resource"),
        "overrides": _build_overrides(launch),
    }
    if arguments.get("job"):
        spec["job"] = arguments["job"]
    else:
        spec["docker"] = {"docker_image": arguments["image"]}
    if arguments.get("resource_args"):
        spec["resource_args"] = arguments["resource_args"]
    if launch.is_resumed:
        # An agent that reads this has the program go on with the run, not begin it anew.
        spec["_resume_count"] = _count_resumes(launch)
    sweep = find_sweep_name(launch.mirror_ref, path.entity, path.project)
    return spec if sweep is None else {**spec, "sweep_id": sweep}


def _build_overrides(launch: Launch) -> dict[str, Any]:
    overrides: dict[str, Any] = {"run_config": build_run_config(launch)}
    if launch.arguments.get("entry_point"):
        overrides["entry_point"] = list(launch.arguments["entry_point"])
    return overrides
