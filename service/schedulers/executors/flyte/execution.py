"""An attempt that is an execution of Flyte, as far as this worker has seen it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from service.domain.attempts import Ending, EndingKind, StopCause
from service.schedulers.executors.base import Launch, Sighting
from service.schedulers.executors.flyte.api import (
    ABORTING,
    OVER,
    QUEUED,
    RUNNING,
    ExecutionView,
    Place,
)

# With this begins why Asktell has ended an execution; whoever looks later knows it by that.
_OURS = "Asktell: "
_CAUSES: Mapping[str, str] = {
    StopCause.PRUNED: f"{_OURS}the pruner has given it up.",
    StopCause.CANCELLED: f"{_OURS}a person cancelled it in Asktell.",
    StopCause.OVER: f"{_OURS}its trial has ended.",
}
UNWANTED = f"{_OURS}it is not wanted any more."
OVERDUE = f"{_OURS}it ran longer than its timeout_seconds."

# Of nodes of a workflow that ran too long; Flyte's own phase for that is hardly ever seen.
_TIMEOUT_CODES = ("Timeout", "TimeoutExpired")
# Flyte's database may be read where what was written last is missing.
_LOOKS_IN_VAIN = 2
# Five minutes, at the usual pace.
_LOOKS_WITHOUT_OUTPUTS = 30
_LONGEST_REASON = 1000


@dataclass(slots=True)
class FlyteExecution:
    """What is known of an attempt, all of it from Flyte: another worker comes to know the same.

    Attributes:
        is_alone: No earlier attempt of its trial runs.
        is_found: Flyte has been asked, or given it.
        view: The last look; None before the first one, or if there was no such execution.
        looks_without_outputs: How often it had succeeded and its outputs could not be read.
        is_stop_wanted: It is to end, or never to start.
        stop_cause: Why, for those who look at it in Flyte.
        trouble: Why it cannot be looked at now.
    """

    launch: Launch
    place: Place
    is_alone: bool = False
    is_found: bool = False
    view: ExecutionView | None = None
    looks_in_vain: int = 0
    looks_without_outputs: int = 0
    is_stop_wanted: bool = False
    stop_cause: str = UNWANTED
    trouble: str | None = None
    ending: Ending | None = None

    @property
    def timeout_seconds(self) -> float:
        """How long it may run."""
        timeout_seconds = self.launch.arguments.get("timeout_seconds")
        return math.inf if timeout_seconds is None else float(timeout_seconds)

    @property
    def is_expected(self) -> bool:
        """Whether something is to happen soon: it has not begun, or was told to end."""
        is_waiting = self.view is None or self.view.phase in QUEUED
        is_ending = self.is_stop_wanted or (self.view is not None and self.view.phase == ABORTING)
        return self.ending is None and (is_waiting or is_ending)

    def want_stop(self, reason: str | None) -> None:
        """Notes that it is to end, or never to start, and why in a word."""
        self.is_stop_wanted = True
        self.stop_cause = _CAUSES.get(reason or "", UNWANTED)

    def take_in(self, view: ExecutionView | None) -> None:
        """Notes what was seen; of what has ended all that there is, its values too."""
        self.is_found, self.trouble = True, None
        if view is None:
            self.looks_in_vain += 1
        else:
            self.looks_in_vain, self.view = 0, view
            self.trouble = view.outputs_problem
            self.looks_without_outputs += view.outputs_problem is not None
        self.ending = self._judge()

    def find_cause(self, now: float) -> str | None:
        """Why Flyte is to end it, for those who look at it there; None: it may go on.

        Args:
            now: In seconds since the epoch.
        """
        if self.view is None or self.view.phase not in {*QUEUED, RUNNING}:
            return None
        if self.is_stop_wanted:
            return self.stop_cause
        started_at = self.view.started_at
        is_late = started_at is not None and now - started_at >= self.timeout_seconds
        return OVERDUE if is_late else None

    def build_sighting(self) -> Sighting:
        was_begun = self.view is not None and self.view.started_at is not None
        is_running = self.ending is None and was_begun
        note = None if self.ending is not None else self.trouble or self._describe()
        return Sighting(is_running=is_running, ending=self.ending, note=note)

    def _describe(self) -> str | None:
        if self.view is None or self.view.phase in QUEUED:
            return "Waits in Flyte to be started."
        return None

    def _judge(self) -> Ending | None:
        if self.looks_in_vain > 0:
            return self._judge_nothing()
        view = self.view
        if view is None or view.phase not in OVER:
            return None
        if view.outputs_problem is not None:
            return self._judge_without_outputs(view.outputs_problem)
        ending = _ENDINGS[view.phase](view)
        return replace(ending, values=dict(view.values or {}))

    def _judge_without_outputs(self, problem: str) -> Ending | None:
        if self.looks_without_outputs < _LOOKS_WITHOUT_OUTPUTS:
            return None
        message = f"It has succeeded in Flyte, but its outputs could not be read. {problem}"
        return Ending(EndingKind.FAILED, message=message, values={})

    def _judge_nothing(self) -> Ending | None:
        if self.looks_in_vain < _LOOKS_IN_VAIN:
            return None
        if self.is_stop_wanted and self.view is None:
            message = "Stopped before it was started."
            return Ending(EndingKind.NOT_STARTED, message=message, values={})
        message = "Flyte does not know its execution any more."
        return Ending(EndingKind.VANISHED, message=message, values={})


def _judge_success(_view: ExecutionView) -> Ending:
    return Ending(EndingKind.EXITED, exit_code=0)


def _judge_failure(view: ExecutionView) -> Ending:
    code = "" if view.error is None else view.error["code"].rpartition("|")[2]
    kind = EndingKind.TIMED_OUT if code in _TIMEOUT_CODES else EndingKind.FAILED
    return Ending(kind, message=_explain_failure(view))


def _judge_abort(view: ExecutionView) -> Ending:
    abort = view.abort or {"cause": "", "principal": ""}
    cause, who = _flatten(abort["cause"]), abort["principal"]
    if cause == OVERDUE:
        return Ending(EndingKind.TIMED_OUT)
    if cause.startswith(_OURS):
        kind = EndingKind.PREEMPTED if cause == UNWANTED else EndingKind.FAILED
        return Ending(kind, message=f"It was ended. {cause}")
    by = f" by {who}" if who else ""
    why = f": {cause}" if cause else "."
    return Ending(EndingKind.CANCELLED, message=f"It was aborted in Flyte{by}{why}")


def _judge_timeout(view: ExecutionView) -> Ending:
    message = _explain_failure(view) if view.error is not None else "Flyte's own time limit."
    return Ending(EndingKind.TIMED_OUT, message=message)


def _explain_failure(view: ExecutionView) -> str:
    error = view.error or {"code": "", "message": ""}
    code = f" ({error['code']})" if error["code"] else ""
    # The program's own words: flytekit puts the traceback before them.
    words = _flatten(error["message"].rpartition("\nMessage:\n")[2])
    return f"It failed in Flyte{code}: {words or 'nothing tells why.'}"


def _flatten(text: str) -> str:
    """In one line that is not too long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}…"


_ENDINGS = {
    "SUCCEEDED": _judge_success,
    "FAILED": _judge_failure,
    "ABORTED": _judge_abort,
    "TIMED_OUT": _judge_timeout,
}
