"""How a run of W&B has ended, in our words."""

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.wandb.runs.run_api import RunView
from service.schedulers.executors.wandb.runs.run_metrics import RunMetrics
from service.schedulers.executors.wandb.runs.run_states import is_over, is_silent
from service.schedulers.executors.wandb.runs.run_stop import RunStop

SILENT = (
    "W&B calls its run crashed: it has not heard of it for minutes. Its program may only be cut "
    "off, so it is waited for."
)

_FAILED = "Its W&B run failed; the run's page there shows what the program printed."
_CRASHED = "Its program is gone without a word: W&B has not heard of it for minutes."


def judge_run(view: RunView, stop: RunStop, metrics: RunMetrics) -> Ending | None:
    """Returns how the run has ended; None if it has not, or may be heard of again.

    Args:
        metrics: All of the run's history is in them; they are given its summary.
    """
    if not is_over(view) or (is_silent(view) and not stop.is_lost(view)):
        return None
    kind, message = _explain(view, stop)
    return build_ending(kind, message, view=view, metrics=metrics)


def build_ending(
    kind: EndingKind, message: str | None, *, view: RunView | None, metrics: RunMetrics
) -> Ending:
    """Returns an ending with the values that there are.

    Args:
        view: The run, whose summary is given to the metrics; None if it is not there.
    """
    exit_code = 0 if kind is EndingKind.EXITED else None
    metrics.summary.replace({} if view is None else view.summary)
    return Ending(kind, exit_code, message=message, values=metrics.list_values())


def _explain(view: RunView, stop: RunStop) -> tuple[EndingKind, str | None]:
    if view.state == "finished":
        return EndingKind.EXITED, None
    if view.state == "preempted":
        return EndingKind.PREEMPTED, "Its run was preempted."
    if stop.has_timed_out(view):
        return EndingKind.TIMED_OUT, f"Still running after {stop.timeout_seconds:g} s."
    if view.state == "failed":
        return EndingKind.FAILED, _FAILED
    if is_silent(view):
        return EndingKind.VANISHED, _CRASHED
    if stop.is_wanted:
        return EndingKind.FAILED, "Its W&B run was stopped by its worker."
    return EndingKind.CANCELLED, "A person stopped the run in W&B."
