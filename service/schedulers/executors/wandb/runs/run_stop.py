"""When a run has to end before it does by itself."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from service.schedulers.executors.base import Launch
from service.schedulers.executors.wandb.runs.run_api import RunView
from service.schedulers.executors.wandb.runs.run_states import KILLED, is_at_work, is_silent

# Of what was to end. An agent that took it may still begin it, and its run is told to end then.
GIVEN_UP_SECONDS = 3600.0
# Of what W&B calls crashed, which it does after some minutes already: networks come back.
LOST_SECONDS = 300.0


@dataclass(slots=True)
class RunStop:
    """Whether an attempt's run is to end, and its time limit.

    Attributes:
        timeout_seconds: How long it may run.
        goes_on: Whether the run is that of an earlier attempt, so that what it says of its
            runtime counts that one too.
        wanted_at: Since when it is to end, by the executor's clock; None: it may go on.
        is_timed_out: It is to end because of its time limit.
        began_at: When the run began, by the executor's clock.
        silent_seconds: For how long W&B has called it crashed, and heard nothing of it.
    """

    timeout_seconds: float
    goes_on: bool = False
    wanted_at: float | None = None
    is_timed_out: bool = False
    began_at: float | None = None
    silent_seconds: float = 0.0
    _silent_since: float | None = None
    _heartbeat_at: str | None = None

    @classmethod
    def from_launch(cls, launch: Launch, *, goes_on: bool = False) -> Self:
        """Returns what the attempt's sweep says of its time limit."""
        timeout_seconds = launch.arguments.get("timeout_seconds")
        return cls(math.inf if timeout_seconds is None else float(timeout_seconds), goes_on)

    @property
    def is_wanted(self) -> bool:
        """Whether it is to end; whoever may still begin it has to be kept from that."""
        return self.wanted_at is not None

    @property
    def is_to_be_told(self) -> bool:
        """Whether W&B is to tell it to end, be it once it is heard of again."""
        return self.is_wanted or self.silent_seconds >= LOST_SECONDS

    def want(self, now: float) -> None:
        """Wants it to end; nothing else happens to what was wanted before."""
        if self.wanted_at is None:
            self.wanted_at = now

    def is_given_up(self, now: float) -> bool:
        """Tells whether W&B is not waited for any longer that hides how it ended."""
        return self.wanted_at is not None and now - self.wanted_at >= GIVEN_UP_SECONDS

    def is_lost(self, view: RunView) -> bool:
        """Tells whether a run that W&B calls crashed is not waited for any longer.

        It is until W&B would tell it to end, for the next attempt must not run beside it; and not
        for ever, should W&B take no stop of such a run.
        """
        will_be_told = self.is_to_be_told and view.is_stopped
        return will_be_told or self.silent_seconds >= 2 * LOST_SECONDS

    def note_run(self, view: RunView, now: float) -> None:
        """Notes when the run began, as soon as it is seen at work, and how long it is silent."""
        if self.began_at is None and is_at_work(view):
            self.began_at = now - self._find_runtime(view)
        self._note_silence(view, now)

    def want_if_late(self, now: float) -> None:
        """Wants it to end once its time is up, if nobody wanted that before."""
        is_late = self.began_at is not None and now - self.began_at >= self.timeout_seconds
        if is_late and not self.is_wanted:
            self.want(now)
            self.is_timed_out = True

    def has_timed_out(self, view: RunView) -> bool:
        """Tells whether a run has ended because of its time limit.

        Who adopts it finds no more than a run that was stopped when its time was up.
        """
        if self.is_wanted:
            return self.is_timed_out
        was_stopped = view.state == KILLED and view.is_stopped
        return was_stopped and self._find_runtime(view) >= self.timeout_seconds

    def _note_silence(self, view: RunView, now: float) -> None:
        if not is_silent(view):
            self._silent_since = None
        elif self._silent_since is None or view.heartbeat_at != self._heartbeat_at:
            self._silent_since = now
        self._heartbeat_at = view.heartbeat_at
        self.silent_seconds = 0.0 if self._silent_since is None else now - self._silent_since

    def _find_runtime(self, view: RunView) -> float:
        """Seconds that the run has run in this attempt, as it said last."""
        if self.goes_on:
            return 0.0
        own = view.summary.get("_wandb")
        inner = own.get("runtime") if isinstance(own, Mapping) else None
        runtimes: list[Any] = [view.summary.get("_runtime"), inner]
        return max([float(each) for each in runtimes if isinstance(each, int | float)], default=0.0)
