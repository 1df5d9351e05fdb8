"""Sweeps and their agents as the stand-in remembers them."""

from dataclasses import dataclass, field
from typing import Any

OPEN_STATES = ("PENDING", "RUNNING", "PAUSED")


@dataclass(slots=True, kw_only=True)
class SweepRecord:
    """One sweep.

    Attributes:
        state: PENDING, RUNNING, PAUSED, FINISHED or CANCELED.
        enqueued: Names of runs that wait for an agent.
    """

    entity: str
    project: str
    name: str
    created_at: str
    config: dict[str, Any]
    state: str = "PENDING"
    display_name: str | None = None
    description: str | None = None
    controller: Any = None
    scheduler: Any = None
    enqueued: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        return f"{self.entity}/{self.project}/{self.name}"


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """A registered `wandb agent`, the path of its sweep, and the names of runs that it took."""

    id: str
    sweep_path: str
    taken: list[str] = field(default_factory=list)
