"""An attempt that agents run, as far as this worker has seen it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from service.domain.attempts import Ending, EndingKind, parse_attempt_id
from service.schedulers.executors.base import Launch, Sighting
from service.schedulers.executors.wandb.agents.agent_api import EnqueuedRun
from service.schedulers.executors.wandb.agents.run_start import RunStart
from service.schedulers.executors.wandb.runs.run_api import RunView
from service.schedulers.executors.wandb.runs.run_config import name_run
from service.schedulers.executors.wandb.runs.run_endings import SILENT, build_ending, judge_run
from service.schedulers.executors.wandb.runs.run_history import RunHistory
from service.schedulers.executors.wandb.runs.run_metrics import RunMetrics
from service.schedulers.executors.wandb.runs.run_states import (
    KILLED,
    PENDING,
    is_at_work,
    is_over,
    is_silent,
)
from service.schedulers.executors.wandb.runs.run_stop import GIVEN_UP_SECONDS, RunStop
from service.schedulers.executors.wandb.runs.runs import RunPath
from service.schedulers.executors.wandb.sweeps.made_sweeps import SweepRef

_NEVER_BEGUN = "Stopped before a program had begun its run."
# What W&B tells of two things at once need not be of one moment.
_LOOKS_IN_VAIN = 2
# wandb sends a heartbeat every 30 s.
_SILENCE_SECONDS = 75.0


@dataclass(slots=True)
class AgentRun:
    """What is known of an attempt, nearly all of it from W&B.

    Attributes:
        sweep: The one at W&B whose agents may take it; None if there is none.
        name: Of its run; None before one is known.
        is_found: W&B has it, or was asked often enough.
        is_settled: An agent has begun it, and nothing else of it waits.
        is_sweep_over: No agent takes anything of its sweep any more.
        seen: Its run at the last look.
        has_begun: The run was seen at work, or has ended by itself.
        start_problem: Why its begin is not waited for any longer.
        trouble: Why it cannot be looked at now.
    """

    launch: Launch
    sweep: SweepRef | None
    name: str | None = None
    is_found: bool = False
    is_settled: bool = False
    is_sweep_over: bool = False
    seen: RunView | None = None
    has_begun: bool = False
    start_problem: str | None = None
    looks_in_vain: int = 0
    trouble: str | None = None
    ending: Ending | None = None
    metrics: RunMetrics = field(init=False)
    history: RunHistory = field(init=False)
    start: RunStart = field(init=False)
    stop: RunStop = field(init=False)
    _heartbeat: str | None = None
    _silent_since: float = math.inf

    def __post_init__(self) -> None:
        self.metrics = RunMetrics.from_launch(self.launch)
        self.history = RunHistory(self.metrics)
        self.start = RunStart.from_launch(self.launch)
        self.stop = RunStop.from_launch(self.launch)

    @property
    def label(self) -> str:
        """The run's display name: in its sweep no other attempt has the same.

        Nothing else tells what it is: whatever is in its configuration, agents hand to the program
        as an argument.
        """
        # Its id is all that is known of an attempt that nobody wants any more.
        parts = parse_attempt_id(self.launch.attempt_id)
        if parts is None:
            return self.launch.attempt_id
        _, trial, attempt = parts
        return name_run(trial, attempt)

    @property
    def is_waiting(self) -> bool:
        """Whether no program has begun it, as it was seen last."""
        return self.seen is not None and self.seen.state == PENDING

    @property
    def path(self) -> RunPath | None:
        if self.sweep is None or self.name is None:
            return None
        return RunPath(self.sweep.entity, self.sweep.project, self.name)

    def choose(self, enqueued: Iterable[EnqueuedRun]) -> list[EnqueuedRun]:
        """Finds its run among those of its label; returns those that must not begin.

        There are several if an answer was lost, or two workers enqueued it at once: whoever looks
        keeps the same one.
        """
        own = sorted((run for run in enqueued if run.label == self.label), key=_rank)
        self.is_settled = self.has_begun
        if own and not self.has_begun:
            self._rename(own[0].name)
        return [run for run in own if run.state == PENDING and run.name != self.name]

    def take_in(self, view: RunView | None, now: float) -> None:
        """Notes what was seen of its run."""
        self.trouble, self.seen = None, view
        self.looks_in_vain = self.looks_in_vain + 1 if view is None else 0
        if view is None:
            return
        has_ended_itself = is_over(view) and view.state != KILLED
        self.has_begun = self.has_begun or is_at_work(view) or has_ended_itself or _has_logged(view)
        self.stop.note_run(view, now)
        if self.is_waiting:
            self.start.note_waiting(now)

    def stop_if_late(self, now: float) -> None:
        """Wants it to end once it has run for too long, or was waited for."""
        self.stop.want_if_late(now)
        if self.is_waiting and not self.stop.is_wanted:
            self.start_problem = self.start.find_problem(now)
            if self.start_problem is not None:
                self.stop.want(now)

    def judge(self, now: float) -> None:
        """Finds out whether it has ended. It does not before all of its history is read.

        What was to end long ago does, read or not.
        """
        self.is_found = True
        is_read = not self.history.has_more(self.seen) or self.stop.is_given_up(now)
        self.ending = self._judge() if is_read else None

    def note_hidden(self, now: float) -> None:
        """Notes that W&B does not show its project, which says nothing of the run."""
        self.is_found = True
        self.stop.want_if_late(now)
        if self.stop.is_given_up(now):
            kind = EndingKind.TIMED_OUT if self.stop.is_timed_out else EndingKind.VANISHED
            what = "and W&B does not show its project."
            self.ending = self._end(kind, f"It was to end {GIVEN_UP_SECONDS:g} s ago, {what}")

    def is_silent(self, heartbeat: str | None, now: float) -> bool:
        """Tells whether its program is gone, by what was heard of it last."""
        if heartbeat != self._heartbeat or self._silent_since > now:
            self._heartbeat, self._silent_since = heartbeat, now
        return now - self._silent_since >= _SILENCE_SECONDS

    def build_sighting(self, cursor: int) -> Sighting:
        is_running = self.ending is None and is_at_work(self.seen)
        return Sighting(
            is_running=is_running,
            rows=self.metrics.rows.read_from(cursor),
            ending=self.ending,
            note=None if self.ending is not None else self.trouble or self._describe(is_running),
        )

    def _rename(self, name: str) -> None:
        if name != self.name:
            self.name, self.seen, self.looks_in_vain = name, None, 0
            self.history = RunHistory(self.metrics)

    def _judge(self) -> Ending | None:
        if self.seen is None:
            return self._judge_nothing()
        if self.is_waiting:
            return self._judge_waiting(self.seen)
        return self._judge_over(self.seen) if is_over(self.seen) else None

    def _judge_nothing(self) -> Ending | None:
        if self.looks_in_vain < _LOOKS_IN_VAIN:
            return None
        if self.stop.is_wanted and not self.has_begun:
            return self._end_unbegun()
        return self._end(EndingKind.VANISHED, "Its run was deleted, or nobody may see it any more.")

    def _judge_waiting(self, view: RunView) -> Ending | None:
        if self.stop.is_wanted and view.is_stopped:
            return self._end_unbegun()
        if self.is_sweep_over:
            what = "The sweep in W&B ended before a program had begun the run."
            return self._end(EndingKind.CANCELLED, what)
        return None

    def _judge_over(self, view: RunView) -> Ending | None:
        if self.stop.is_wanted and not self.has_begun:
            return self._end_unbegun()
        if self.stop.is_wanted and view.state == "crashed":
            # What an agent ends may not have said a word to W&B.
            view = replace(view, state=KILLED)
        return judge_run(view, self.stop, self.metrics)

    def _end_unbegun(self) -> Ending:
        if self.start_problem is not None:
            return self._end(EndingKind.FAILED, self.start_problem)
        return self._end(EndingKind.NOT_STARTED, _NEVER_BEGUN)

    def _end(self, kind: EndingKind, message: str) -> Ending:
        return build_ending(kind, message, view=self.seen, metrics=self.metrics)

    def _describe(self, is_running: bool) -> str | None:
        if is_running:
            return None
        if self.seen is not None and is_silent(self.seen):
            return SILENT
        if self.start.taken_at is not None:
            return "An agent has taken it; its program has not begun the run yet."
        return f"No agent has begun it yet. To start one: wandb agent {self.sweep}"


def _rank(run: EnqueuedRun) -> tuple[int, str, str]:
    """What an agent has begun comes before what waits, and that before what never will begin."""
    order = {PENDING: 1, KILLED: 2}
    return (order.get(run.state, 0), run.created_at, run.name)


def _has_logged(view: RunView) -> bool:
    return view.last_step >= 0 or bool(view.summary)
