"""What a sweep is: a study whose trials Asktell launches by itself."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from service.domain.studies import Budget, StopReason, StudySettings, StudyState

DEFAULT_QUEUE = "default"

SWEEP_SETTINGS = StudySettings(budget=Budget(max_failures=10), lease_seconds=120.0)
"""Of a sweep that says nothing: what never works is not tried for ever."""


_ELSEWHERE = frozenset({"wandb-launch", "wandb-agent", "flyte"})


class SweepState(StrEnum):
    """How far a sweep has come: as its study, and how that ended.

    `FAILED`: too many trials in a row did. `CANCELLED`: a person had its attempts stopped.
    """

    ACTIVE = "active"
    PAUSED = "paused"
    STOPPING = "stopping"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        return self in (SweepState.FINISHED, SweepState.FAILED, SweepState.CANCELLED)


_ENDS = {
    StopReason.MAX_FAILURES: SweepState.FAILED,
    StopReason.REFUSED: SweepState.FAILED,
    StopReason.CANCELLED: SweepState.CANCELLED,
}


def get_sweep_state(state: StudyState, stop_reason: StopReason | None) -> SweepState:
    """Returns the state of a sweep whose study is in `state`."""
    if state is StudyState.FINISHED and stop_reason in _ENDS:
        return _ENDS[stop_reason]
    return SweepState(state.value)


def describe_resume(name: str) -> str:
    """Returns what to run so that a sweep goes on whose trials have failed for want of something.

    Those trials count: its budget may be used up by them.
    """
    sweep = shlex.quote(name)
    more = f"`asktell sweep set {sweep} --trials N` if its trials are used up"
    return f"`asktell sweep resume {sweep}`, after {more}"


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """How the attempts of a sweep are launched; fixed at creation.

    Attributes:
        executor: What launches them, by its name.
        queue: Only workers of this queue take them.
        arguments: What that executor wants to know, as JSON.
    """

    executor: str
    arguments: Mapping[str, Any]
    queue: str = DEFAULT_QUEUE

    @property
    def runs_elsewhere(self) -> bool:
        """Whether attempts run in an outside system, where any worker can go on with them."""
        return self.executor in _ELSEWHERE

    @property
    def has_mirror(self) -> bool:
        """Whether the outside system is to have a sweep of its own for the runs."""
        return self.arguments.get("sweep") is True


@dataclass(frozen=True, slots=True)
class Sweep:
    """What makes a study a sweep.

    Attributes:
        sweep_id: Eight letters and digits, unlike that of any other sweep anywhere, so that names
            made from it never meet in an outside system.
    """

    sweep_id: str
    launch: LaunchSpec
