"""What W&B's words for the state of a run mean."""

from service.schedulers.executors.wandb.runs.run_api import RunView

PENDING = "pending"
KILLED = "killed"

_AT_WORK = frozenset({"running", "preempting"})
_CRASHED = "crashed"
_OVER = frozenset({"finished", "failed", _CRASHED, KILLED, "preempted"})


def is_over(view: RunView) -> bool:
    """Tells whether a run has ended, as far as W&B knows."""
    return view.state in _OVER


def is_silent(view: RunView) -> bool:
    """Tells whether W&B takes a run for ended only because it has not heard of it for minutes.

    Its program may be cut off from W&B, and be heard of again.
    """
    return view.state == _CRASHED


def is_at_work(view: RunView | None) -> bool:
    """Tells whether a run's program runs, as far as W&B knows."""
    return view is not None and view.state in _AT_WORK
