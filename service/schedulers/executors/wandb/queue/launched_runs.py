"""An attempt in W&B Launch, as far as this worker has seen it."""

from dataclasses import dataclass, field

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import Launch, Sighting
from service.schedulers.executors.wandb.queue.launch_api import Queue, QueueItem
from service.schedulers.executors.wandb.queue.launch_queue import has_failed, is_waiting
from service.schedulers.executors.wandb.runs.run_api import RunView
from service.schedulers.executors.wandb.runs.run_endings import build_ending, judge_run
from service.schedulers.executors.wandb.runs.run_history import RunHistory
from service.schedulers.executors.wandb.runs.run_metrics import RunMetrics
from service.schedulers.executors.wandb.runs.run_states import is_at_work, is_over
from service.schedulers.executors.wandb.runs.run_stop import RunStop
from service.schedulers.executors.wandb.runs.runs import RunPath

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
        trouble: Why it cannot be looked at now.
    """

    launch: Launch
    path: RunPath
    queue: Queue
    is_found: bool = False
    seen: Look | None = None
    has_begun: bool = False
    looks_in_vain: int = 0
    trouble: str | None = None
    ending: Ending | None = None
    metrics: RunMetrics = field(init=False)
    history: RunHistory = field(init=False)
    stop: RunStop = field(init=False)

    def __post_init__(self) -> None:
        self.metrics = RunMetrics.from_launch(self.launch)
        self.history = RunHistory(self.metrics)
        self.stop = RunStop.from_launch(self.launch, goes_on=self.launch.is_resumed)

    def has_run(self, view: RunView | None) -> bool:
        """Tells whether the attempt's run is there.

        What an earlier attempt left is there too, but not this one's before it goes on with it.
        """
        if view is None:
            return False
        is_new = not self.launch.is_resumed or self.has_begun
        return is_new or is_at_work(view) or view.state == "finished"

    def find_own(self, view: RunView | None) -> RunView | None:
        """Returns the attempt's run as it is seen; None if that is not there."""
        return view if self.has_run(view) else None

    def take_in(self, look: Look, now: float) -> None:
        """Notes what was seen. It does not end before all of its history is read."""
        self.is_found, self.trouble, self.seen = True, None, look
        own = self.find_own(look.view)
        if own is not None:
            self.has_begun = self.has_begun or is_at_work(own) or is_over(own)
            self.stop.note_run(own, now)
        self._count_in_vain(look)
        self.ending = None if self.history.has_more(own) else self._judge(look)

    def build_sighting(self, cursor: int) -> Sighting:
        view = self.seen.view if self.seen is not None else None
        is_running = self.ending is None and self.has_run(view) and is_at_work(view)
        return Sighting(
            is_running=is_running,
            rows=self.metrics.rows[cursor:],
            ending=self.ending,
            note=None if self.ending is not None else self.trouble or self._describe(is_running),
        )

    def _count_in_vain(self, look: Look) -> None:
        is_to_come = look.item is not None and is_waiting(look.item)
        is_in_vain = not self.has_run(look.view) and not is_to_come and look.is_certain
        self.looks_in_vain = self.looks_in_vain + 1 if is_in_vain else 0

    def _judge(self, look: Look) -> Ending | None:
        own = self.find_own(look.view)
        if own is not None:
            return judge_run(own, self.stop, self.metrics)
        if look.item is not None and has_failed(look.item):
            return self._judge_failed_item(look.item)
        if self._was_never_started(look):
            return _build_not_started("Stopped before it was started.")
        if look.view is not None:
            return self._judge_left(look, look.view)
        return None if look.item is not None else self._judge_nothing()

    def _was_never_started(self, look: Look) -> bool:
        is_nowhere = look.item is None and look.is_certain
        return self.stop.is_wanted and is_nowhere and not self.has_begun

    def _judge_failed_item(self, item: QueueItem) -> Ending:
        reason = item.message or "W&B does not say why; the page of its launch queue may."
        return _build_not_started(f"The launch agent could not start it: {reason}")

    def _judge_left(self, look: Look, view: RunView) -> Ending | None:
        """Of what an earlier attempt left: this one may have come and gone, unseen here."""
        patience = _LOOKS_IN_VAIN if look.item is None else _LOOKS_AT_TAKEN
        if self.looks_in_vain < patience:
            return None
        return judge_run(view, self.stop, self.metrics)

    def _judge_nothing(self) -> Ending | None:
        if self.looks_in_vain < _LOOKS_IN_VAIN:
            return None
        what = "Its run was deleted" if self.has_begun else "It was taken out of its launch queue"
        message = f"{what}, or nobody may see it any more."
        return build_ending(EndingKind.VANISHED, message, view=None, metrics=self.metrics)

    def _describe(self, is_running: bool) -> str | None:
        item = self.seen.item if self.seen is not None else None
        if is_running:
            return None
        if item is None or is_waiting(item):
            return f"Waits in the launch queue {self.queue}."
        return "A launch agent has taken it; its run has not begun yet."


def _build_not_started(message: str) -> Ending:
    return Ending(EndingKind.NOT_STARTED, message=message, values={})
