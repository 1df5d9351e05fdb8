"""An attempt in W&B Launch, as far as this worker has seen it."""

from dataclasses import dataclass, field

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import Launch, Sighting
from service.schedulers.executors.wandb.queue.item_start import ItemStart
from service.schedulers.executors.wandb.queue.launch_api import Queue, QueueItem
from service.schedulers.executors.wandb.queue.launch_queue import has_failed, is_waiting
from service.schedulers.executors.wandb.runs.refusals import describe_hidden_project
from service.schedulers.executors.wandb.runs.run_api import RunView
from service.schedulers.executors.wandb.runs.run_endings import SILENT, build_ending, judge_run
from service.schedulers.executors.wandb.runs.run_history import RunHistory
from service.schedulers.executors.wandb.runs.run_metrics import RunMetrics
from service.schedulers.executors.wandb.runs.run_states import is_at_work, is_over, is_silent
from service.schedulers.executors.wandb.runs.run_stop import GIVEN_UP_SECONDS, RunStop
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
        has_project: Whether W&B shows the project of the runs to this worker.
        has_queue: Whether it shows the queue.
        is_queue_read: Whether what is not in the queue is not there: a very long one is not read
            to its end.
    """

    view: RunView | None
    item: QueueItem | None = None
    has_project: bool = True
    has_queue: bool = True
    is_queue_read: bool = True

    @property
    def is_certain(self) -> bool:
        """Whether what is neither a run nor in the queue is nowhere."""
        return self.has_project and self.has_queue and self.is_queue_read

    @property
    def is_waiting(self) -> bool:
        """Whether there is an item that no agent has taken."""
        return self.item is not None and is_waiting(self.item)


@dataclass(slots=True)
class LaunchedRun:
    """What is known of an attempt, all of it from W&B: another worker comes to know the same.

    Attributes:
        is_found: W&B has been asked, or given it.
        may_be_pushed: W&B took it, or did not answer whether it did.
        seen: The last look; None before the first one.
        has_begun: The run was seen at work, or has ended, in this attempt.
        start_problem: Why its begin is not waited for any longer.
        trouble: Why it cannot be looked at now.
    """

    launch: Launch
    path: RunPath
    queue: Queue
    is_found: bool = False
    may_be_pushed: bool = False
    seen: Look | None = None
    has_begun: bool = False
    start_problem: str | None = None
    looks_in_vain: int = 0
    trouble: str | None = None
    ending: Ending | None = None
    metrics: RunMetrics = field(init=False)
    history: RunHistory = field(init=False)
    start: ItemStart = field(init=False)
    stop: RunStop = field(init=False)

    _knows_earlier: bool = False

    def __post_init__(self) -> None:
        self.metrics = RunMetrics.from_launch(self.launch)
        if self.launch.is_resumed:
            self.metrics.earlier = RunMetrics.from_launch(self.launch, max_rows=0)
        self.history = RunHistory(self.metrics)
        self.start = ItemStart.from_launch(self.launch)
        self.stop = RunStop.from_launch(self.launch, goes_on=self.launch.is_resumed)

    def has_run(self, view: RunView | None) -> bool:
        """Tells whether the attempt's run is there.

        What an earlier attempt left is there too, but not this one's before it goes on with it.
        """
        if view is None:
            return False
        is_new = not self.launch.is_resumed or self.has_begun
        return is_new or is_at_work(view) or is_silent(view) or view.state == "finished"

    def find_own(self, view: RunView | None) -> RunView | None:
        """Returns the attempt's run as it is seen; None if that is not there."""
        return view if self.has_run(view) else None

    def note_earlier(self, view: RunView | None) -> None:
        """Notes how far the earlier attempt has come with the run, as long as that can be seen.

        If this one is at work at the first look, nothing tells its rows from those of the earlier
        one; the worker that followed it before has reported them.
        """
        earlier = self.metrics.earlier
        if earlier is None or view is None or (self._knows_earlier and self.has_run(view)):
            return
        self._knows_earlier = True
        self.history.earlier_to = view.last_step
        earlier.summary.replace(view.summary)

    def take_in(self, look: Look, now: float) -> None:
        """Notes what was seen, and that it is to end if it takes too long."""
        self.note_earlier(look.view)
        self.seen, self.trouble = look, None
        own = self.find_own(look.view)
        if own is not None:
            self.has_begun = self.has_begun or is_at_work(own) or is_over(own)
            self.stop.note_run(own, now)
        elif look.has_queue and not self.has_begun:
            # To whom W&B does not show even that, it may hide a run as well.
            self.start.note_unbegun(now, is_waiting=look.is_waiting)
            self._stop_if_not_begun(now)
        self._count_in_vain(look)
        self.stop.want_if_late(now)

    def judge(self, now: float) -> None:
        """Finds out whether it has ended. It does not before all of its history is read.

        What was to end long ago does, read or not.
        """
        self.is_found = True
        look = self.seen
        if look is None:
            return
        has_more = self.history.has_more(self.find_own(look.view))
        is_read = not has_more or self.stop.is_given_up(now)
        self.ending = self._judge(look, now) if is_read else None

    def build_sighting(self, cursor: int) -> Sighting:
        view = self.seen.view if self.seen is not None else None
        is_running = self.ending is None and self.has_run(view) and is_at_work(view)
        return Sighting(
            is_running=is_running,
            rows=self.metrics.rows.read_from(cursor),
            ending=self.ending,
            note=None if self.ending is not None else self.trouble or self._describe(is_running),
        )

    def _stop_if_not_begun(self, now: float) -> None:
        if not self.stop.is_wanted:
            self.start_problem = self.start.find_problem(now)
            if self.start_problem is not None:
                self.stop.want(now)

    def _count_in_vain(self, look: Look) -> None:
        is_in_vain = not self.has_run(look.view) and not look.is_waiting and look.is_certain
        self.looks_in_vain = self.looks_in_vain + 1 if is_in_vain else 0

    def _judge(self, look: Look, now: float) -> Ending | None:
        own = self.find_own(look.view)
        if own is not None:
            return judge_run(own, self.stop, self.metrics)
        if look.item is not None and has_failed(look.item):
            return self._judge_failed_item(look.item)
        if self._was_never_started(look):
            return _build_not_started(self.start_problem or "Stopped before it was started.")
        if self._is_given_up(look, now):
            return self._end_unseen()
        if look.view is not None:
            return self._judge_left(look, look.view)
        return None if look.item is not None else self._judge_nothing()

    def _was_never_started(self, look: Look) -> bool:
        # A project in which nothing was begun yet need not be there.
        is_out_of_queue = look.item is None and look.has_queue and look.is_queue_read
        return self.stop.is_wanted and is_out_of_queue and not self.has_begun

    def _is_given_up(self, look: Look, now: float) -> bool:
        """Tells whether an end that is not to be seen is not waited for any longer."""
        # What waits can be taken out of its queue.
        has_come_to_nothing = self.start_problem is not None and not look.is_waiting
        return has_come_to_nothing or self.stop.is_given_up(now)

    def _end_unseen(self) -> Ending:
        if self.start_problem is not None:
            return _build_not_started(self.start_problem)
        if not self.has_begun:
            return _build_not_started(
                f"Stopped before its run began, which is not to be seen after {GIVEN_UP_SECONDS:g} "
                "s. Should a launch agent begin it after all, stop the run in W&B."
            )
        kind = EndingKind.TIMED_OUT if self.stop.is_timed_out else EndingKind.VANISHED
        message = f"It was to end {GIVEN_UP_SECONDS:g} s ago, and W&B does not show its run."
        return build_ending(kind, message, view=None, metrics=self.metrics)

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
        look = self.seen
        if is_running:
            return None
        if look is not None and look.view is not None and is_silent(look.view):
            return SILENT
        if look is not None and not look.has_project and self.has_begun:
            return describe_hidden_project(self.path.entity, self.path.project)
        if look is None or look.is_waiting:
            return f"Waits in the launch queue {self.queue}."
        if look.item is not None:
            return "A launch agent has taken it; its run has not begun yet."
        if not look.has_queue:
            return f"W&B shows this worker no launch queue {self.queue}."
        if not look.is_queue_read:
            return (
                f"Waits for its run. The launch queue {self.queue} is too long to be read to its "
                "end, so what has become of it there is not to be seen."
            )
        return f"Waits in the launch queue {self.queue}."


def _build_not_started(message: str) -> Ending:
    return Ending(EndingKind.NOT_STARTED, message=message, values={})
