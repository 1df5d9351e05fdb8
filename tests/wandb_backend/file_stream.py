"""What a run streams while it lives: rows, output, summary, heartbeats and its end."""

import json
from typing import Any

from tests.wandb_backend.run_records import ACTIVE_STATES, RunRecord
from tests.wandb_backend.world import World

_SUMMARY = "wandb-summary.json"


def receive(world: World, run: RunRecord, body: dict[str, Any]) -> dict[str, Any]:
    """Takes in one request; the answer tells the run whether to stop."""
    run.beat(world.clock())
    for name, part in (body.get("files") or {}).items():
        if name == _SUMMARY:
            run.summary = json.loads(part["content"][-1])
        else:
            run.write_lines(name, part["offset"], part["content"])
    if body.get("preempting") and run.state in ACTIVE_STATES:
        run.state = "preempting"
    if body.get("complete"):
        run.end(body.get("exitcode") or 0)
    return {"exitcode": None, "limits": {}, "stopped": run.is_stopped}
