"""What W&B's launch agent does with an item of a queue, without containers."""

import json
import subprocess
from collections.abc import Mapping, Sequence

from tests.wandb_backend.launch import take_next
from tests.wandb_backend.launch_items import QueueItem
from tests.wandb_backend.world import World


def claim_next(world: World, queue_path: str) -> QueueItem:
    """Takes the next item and says that its run is about to begin.

    Raises:
        LookupError: Nothing waits in the queue.
    """
    item = _take(world, queue_path)
    item.state = "CLAIMED"
    item.run_id = item.spec.get("run_id") or world.make_name()
    return item


def fail_next(world: World, queue_path: str, message: str) -> QueueItem:
    """Takes the next item and finds that it cannot be run.

    Raises:
        LookupError: Nothing waits in the queue.
    """
    item = _take(world, queue_path)
    item.state, item.error = "FAILED", message
    return item


def start_program(
    item: QueueItem, command: Sequence[str], environment: Mapping[str, str]
) -> subprocess.Popen[str]:
    """Starts the program of a claimed item as the agent would, its output in a pipe.

    The item's entry point goes before `command`, and its arguments are added. The agent's
    WANDB_ARTIFACTS is left out: there is no storage of artifacts here.
    """
    overrides = item.spec.get("overrides", {})
    return subprocess.Popen(
        [*(overrides.get("entry_point") or command), *overrides.get("args", [])],
        env={**environment, **_build_variables(item)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _take(world: World, queue_path: str) -> QueueItem:
    item = take_next(world, world.queues.get(queue_path))
    if item is None:
        raise LookupError(f"Nothing waits in the queue {queue_path}.")
    return item


def _build_variables(item: QueueItem) -> dict[str, str]:
    spec = item.spec
    variables = {
        "WANDB_LAUNCH": "True",
        "WANDB_CONFIG": json.dumps(spec.get("overrides", {}).get("run_config", {})),
        "WANDB_RUN_ID": item.run_id or "",
        "WANDB_ENTITY": spec["entity"],
        "WANDB_PROJECT": spec["project"],
    }
    optional = {"WANDB_NAME": spec.get("name"), "WANDB_SWEEP_ID": spec.get("sweep_id")}
    return variables | {name: value for name, value in optional.items() if value}
