"""Launch queues and what waits in them, as the stand-in remembers them."""

from dataclasses import dataclass
from typing import Any

DELETABLE_STATES = ("PENDING", "LEASED")


@dataclass(slots=True, kw_only=True)
class LaunchQueue:
    """A queue; the project is "model-registry" unless somebody says otherwise."""

    id: str
    entity: str
    project: str
    name: str
    access: str = "PROJECT"
    prioritization: str = "DISABLED"
    resource_config_id: str | None = None

    @property
    def path(self) -> str:
        return f"{self.entity}/{self.project}/{self.name}"


@dataclass(slots=True, kw_only=True)
class QueueItem:
    """A job that was pushed.

    Attributes:
        state: PENDING, LEASED (an agent took it), CLAIMED (its run exists) or FAILED.
        run_id: Of the run that came of it.
        error: Why it failed, as the agent said it.
    """

    id: str
    queue_path: str
    spec: dict[str, Any]
    created_at: str
    state: str = "PENDING"
    run_id: str | None = None
    priority: int | None = None
    template_variables: dict[str, Any] | None = None
    error: str | None = None
