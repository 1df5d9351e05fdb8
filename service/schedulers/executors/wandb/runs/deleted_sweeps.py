"""What becomes of a run whose sweep was deleted on W&B before it begins."""

from contextlib import suppress
from dataclasses import replace

import structlog

from service.schedulers.executors.base import Launch
from service.schedulers.executors.connection.connection import SystemAway, SystemRefused
from service.schedulers.executors.wandb.runs.run_api import WandbApi
from service.schedulers.executors.wandb.runs.runs import RunPath
from service.schedulers.executors.wandb.runs.sweep_names import find_sweep_name

_SECONDS = 5.0

_log = structlog.get_logger(__name__)


async def leave_deleted_sweep(launch: Launch, path: RunPath, api: WandbApi) -> Launch:
    """Returns a launch that names no sweep which is not there: a run that does so cannot begin.

    Whoever keeps the sweep finds that out too, but only some seconds later.

    Args:
        path: Of its run.
    """
    if find_sweep_name(launch.mirror_ref, path.entity, path.project) is None:
        return launch
    entity, project, name = (launch.mirror_ref or "").split("/")
    # Without an answer it is as likely to be there as before.
    with suppress(SystemAway, SystemRefused):
        if await api.is_sweep_deleted(entity, project, name, deadline_seconds=_SECONDS):
            _log.warning("run.left_sweep", attempt_id=launch.attempt_id, sweep=launch.mirror_ref)
            return replace(launch, mirror_ref=None)
    return launch
