"""Whether an attempt is to stop, and on whose account."""

import math
from collections.abc import Callable
from dataclasses import replace

from asktell.workers import Instruction

from service.domain.attempts import Ending, EndingKind, StopCause
from service.schedulers.pace import Pace
from service.schedulers.workdir import Workdir

_PREEMPTED = "preempted"
_ENDS_BY_A_STOP = (EndingKind.EXITED, EndingKind.FAILED, EndingKind.NOT_STARTED)


class StopOrder:
    """The order to stop one attempt; of several the one that is due first counts.

    Args:
        clock: Seconds that only go up.

    Attributes:
        reason: Why, in a word; None as long as the attempt is not to stop.
    """

    def __init__(
        self, attempt_id: str, workdir: Workdir, pace: Pace, *, clock: Callable[[], float]
    ) -> None:
        self.reason: str | None = None
        self._attempt_id = attempt_id
        self._workdir = workdir
        self._pace = pace
        self._clock = clock
        self._due_at = math.inf
        if self.was_preempted:
            self._give(_PREEMPTED)

    @property
    def is_given(self) -> bool:
        """Whether there is one, due or not."""
        return self.reason is not None

    @property
    def is_due(self) -> bool:
        """Whether the attempt is to stop now."""
        return self._clock() >= self._due_at

    @property
    def is_preemption(self) -> bool:
        """Whether it is the worker's own."""
        return self.reason == _PREEMPTED

    @property
    def was_preempted(self) -> bool:
        """Whether the worker, in this life or an earlier one, is a reason why the attempt ends."""
        return self._workdir.was_preempted(self._attempt_id)

    def obey(self, instruction: Instruction | None) -> None:
        """Takes in what the server says."""
        if instruction is None or instruction.stop is None:
            return
        is_over = instruction.stop == StopCause.OVER
        # What still runs may save its work, as if nobody watched it.
        self._give(instruction.stop, in_seconds=self._pace.moment_seconds if is_over else 0.0)

    def preempt(self) -> None:
        """Gives it because the worker has to go, or can do nothing for the attempt.

        Raises:
            OSError: That cannot be noted; nothing was done.
        """
        # Noted first: whoever finds the end of it has to know whose doing that was.
        self._workdir.note_preempted(self._attempt_id)
        self._give(_PREEMPTED)

    def _give(self, reason: str, *, in_seconds: float = 0.0) -> None:
        due_at = self._clock() + in_seconds
        if due_at < self._due_at:
            self._due_at, self.reason = due_at, reason


def blame_worker(ending: Ending | None) -> Ending:
    """Returns the same end, seen as what it is: the worker had to go."""
    if ending is None:
        return Ending(EndingKind.PREEMPTED)
    is_ours = ending.kind in _ENDS_BY_A_STOP
    return replace(ending, kind=EndingKind.PREEMPTED) if is_ours else ending
