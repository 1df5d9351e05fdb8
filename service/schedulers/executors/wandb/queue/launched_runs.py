"""An attempt in W&B Launch, as far as this worker has seen it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import Launch, Sighting
from service.schedulers.executors.wandb.queue.launch_api import Queue, QueueItem
from service.schedulers.executors.wandb.queue.launch_queue import has_failed, is_waiting
from service.schedulers.executors.wandb.runs.run_api import HistoryPiece, RunView
from service.schedulers.executors.wandb.runs.run_metrics import RunMetrics
from service.schedulers.executors.wandb.runs.runs import RunPath

_AT_WORK = frozenset({"running", "preempting"})
_OVER = frozenset({"finished", "failed", "crashed", "killed", "preempted"})

# What W&B tells of two things at once need not be of one moment.
_LOOKS_IN_VAIN = 2
# An agent may have to fetch an image before a run goes on.
_LOOKS_AT_TAKEN = 60


@dataclass(frozen=True, slots=True)
class Look:
    """What W&B said of an attempt at one time.

    Attributes:
        item: In the queue, if that was looked at: it is not once the run is there.
        has_queue: Whether there is one.
        is_certain: Whether what is neither a run nor in the queue is nowhere.
    """

    view: RunView | None
    item: QueueItem | None = None
    has_queue: bool = True
    is_certain: bool = True


@dataclass(slots=True)
class LaunchedRun:
    """What is known of an attempt, all of it from W&B: another worker comes to know the same.

    Attributes:
        is_found: W&B has been asked, or given it.
        seen: The last look; None before the first one.
        has_begun: The run was seen at work, or has ended, in this attempt.
        read_to: Last step up to which its history was read.
        is_read: And that is all of it, for the run has ended.
        began_at: When the run began, by the executor's clock.
        is_stop_wanted: It is to end; whoever may still start it has to be kept from that.
        is_timed_out: And that is because of its time limit.
        trouble: Why it cannot be looked at now.
    """

    launch: Launch
    path: RunPath
    queue: Queue
    is_found: bool = False
    seen: Look | None = None
    has_begun: bool = False
    looks_in_vain: int = 0
    read_to: int = -1
    is_read: bool = False
    began_at: float | None = None
    is_stop_wanted: bool = False
    is_timed_out: bool = False
    trouble: str | None = None
    ending: Ending | None = None
    metrics: RunMetrics = field(init=False)

    def __post_init__(self) -> None:
        self.metrics = RunMetrics.from_launch(self.launch)

    @property
    def timeout_seconds(self) -> float:
        """How long it may run."""
        timeout_seconds = self.launch.arguments.get("timeout_seconds")
        return math.inf if timeout_seconds is None else float(timeout_seconds)

    def has_run(self, view: RunView | None) -> bool:
        """Tells whether the attempt's run is there.

        What an earlier attempt left is there too, but not this one's before it goes on with it.
        """
        if view is None:
            return False
        is_new = not self.launch.is_resumed or self.has_begun
        return is_new or is_at_work(view) or view.state == "finished"

    def find_new_steps(self, view: RunView | None) -> tuple[int, int | None] | None:
        """Returns the first and the last step to read of its history; None if there is nothing.

        Of a run that has ended the last one is whatever W&B has last: None.

        What comes after a step that is not the run's last yet would be read in part: values of
        one step are asked for one after the other.
        """
        if view is None or not self.has_run(view) or not self.metrics.keys:
            return None
        if is_over(view):
            return None if self.is_read else (self.read_to + 1, None)
        return (self.read_to + 1, view.last_step) if view.last_step > self.read_to else None

    def add(self, piece: HistoryPiece, view: RunView) -> None:
        """Notes what was read of the run's history, as it is seen now."""
        for row in piece.rows:
            self.metrics.add(row, int(row["_step"]))
        self.read_to = max(self.read_to, piece.read_to)
        self.is_read = piece.is_all and is_over(view)

    def take_in(self, look: Look, now: float) -> None:
        """Notes what was seen. It does not end before all of its history is read."""
        self.is_found, self.trouble, self.seen = True, None, look
        if look.view is not None and self.has_run(look.view):
            self._note_run(look.view, now)
        self._count_in_vain(look)
        is_left = self.find_new_steps(look.view) is not None
        self.ending = None if is_left else self._judge(look)

    def is_late(self, now: float) -> bool:
        """Tells whether its time is up."""
        return self.began_at is not None and now - self.began_at >= self.timeout_seconds

    def build_sighting(self, cursor: int) -> Sighting:
        view = self.seen.view if self.seen is not None else None
        is_running = self.ending is None and self.has_run(view) and is_at_work(view)
        return Sighting(
            is_running=is_running,
            rows=self.metrics.rows[cursor:],
            ending=self.ending,
            note=None if self.ending is not None else self.trouble or self._describe(is_running),
        )

    def _note_run(self, view: RunView, now: float) -> None:
        self.has_begun = self.has_begun or is_at_work(view) or is_over(view)
        if self.began_at is None and is_at_work(view):
            self.began_at = now - self._find_runtime(view)

    def _find_runtime(self, view: RunView) -> float:
        """Seconds that the run has run, as it said last; a resumed one counts all its attempts."""
        if self.launch.is_resumed:
            return 0.0
        own = view.summary.get("_wandb")
        runtimes = [view.summary.get("_runtime"), own.get("runtime") if _is_map(own) else None]
        return max([float(each) for each in runtimes if isinstance(each, int | float)], default=0.0)

    def _count_in_vain(self, look: Look) -> None:
        is_to_come = look.item is not None and is_waiting(look.item)
        is_in_vain = not self.has_run(look.view) and not is_to_come and look.is_certain
        self.looks_in_vain = self.looks_in_vain + 1 if is_in_vain else 0

    def _judge(self, look: Look) -> Ending | None:
        if look.view is not None and self.has_run(look.view):
            return self._judge_run(look.view)
        if look.item is not None and has_failed(look.item):
            return self._judge_failed_item(look.item)
        if self._was_never_started(look):
            return _build_not_started("Stopped before it was started.")
        if look.view is not None:
            return self._judge_left(look, look.view)
        return None if look.item is not None else self._judge_nothing()

    def _was_never_started(self, look: Look) -> bool:
        is_nowhere = look.item is None and look.is_certain
        return self.is_stop_wanted and is_nowhere and not self.has_begun

    def _judge_failed_item(self, item: QueueItem) -> Ending:
        reason = item.message or "W&B does not say why; the page of its launch queue may."
        return _build_not_started(f"The launch agent could not start it: {reason}")

    def _judge_left(self, look: Look, view: RunView) -> Ending | None:
        """Of what an earlier attempt left: this one may have come and gone, unseen here."""
        patience = _LOOKS_IN_VAIN if look.item is None else _LOOKS_AT_TAKEN
        return self._judge_run(view) if self.looks_in_vain >= patience else None

    def _judge_nothing(self) -> Ending | None:
        if self.looks_in_vain < _LOOKS_IN_VAIN:
            return None
        what = "Its run was deleted" if self.has_begun else "It was taken out of its launch queue"
        return self._end(EndingKind.VANISHED, message=f"{what}, or nobody may see it any more.")

    def _judge_run(self, view: RunView) -> Ending | None:
        if view.state == "finished":
            return self._end(EndingKind.EXITED, exit_code=0)
        if view.state == "preempted":
            return self._end(EndingKind.PREEMPTED, message="Its run was preempted.")
        if not is_over(view):
            return None
        if self._is_due_to_timeout(view):
            message = f"Still running after {self.timeout_seconds:g} s."
            return self._end(EndingKind.TIMED_OUT, message=message)
        return self._judge_failure(view.state)

    def _judge_failure(self, state: str) -> Ending:
        if state == "failed":
            message = "Its W&B run failed; the run's page there shows what the program printed."
            return self._end(EndingKind.FAILED, message=message)
        if state == "crashed":
            message = "Its program is gone without a word: W&B has not heard of it for minutes."
            return self._end(EndingKind.VANISHED, message=message)
        if self.is_stop_wanted:
            return self._end(EndingKind.FAILED, message="Its W&B run was stopped by its worker.")
        return self._end(EndingKind.CANCELLED, message="A person stopped the run in W&B.")

    def _is_due_to_timeout(self, view: RunView) -> bool:
        """Who adopts it finds no more than a run that was stopped when its time was up."""
        if self.is_timed_out or self.is_stop_wanted:
            return self.is_timed_out
        was_stopped = view.state == "killed" and view.is_stopped
        return was_stopped and self._find_runtime(view) >= self.timeout_seconds

    def _end(
        self, kind: EndingKind, *, exit_code: int | None = None, message: str | None = None
    ) -> Ending:
        view = self.seen.view if self.seen is not None else None
        self.metrics.summary.replace({} if view is None else view.summary)
        return Ending(kind, exit_code, message=message, values=self.metrics.list_values())

    def _describe(self, is_running: bool) -> str | None:
        item = self.seen.item if self.seen is not None else None
        if is_running:
            return None
        if item is None or is_waiting(item):
            return f"Waits in the launch queue {self.queue}."
        return "A launch agent has taken it; its run has not begun yet."


def is_over(view: RunView) -> bool:
    """Tells whether a run has ended."""
    return view.state in _OVER


def is_at_work(view: RunView | None) -> bool:
    """Tells whether a run's program runs, as far as W&B knows."""
    return view is not None and view.state in _AT_WORK


def _build_not_started(message: str) -> Ending:
    return Ending(EndingKind.NOT_STARTED, message=message, values={})


def _is_map(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)
