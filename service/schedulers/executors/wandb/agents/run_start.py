"""How long an enqueued run may wait until a program begins it.

A program that dies before `wandb.init` leaves its run pending for ever, as if no agent had come.
"""

from dataclasses import dataclass
from typing import Self

from service.schedulers.executors.base import Launch

# Programs may load a lot before they begin their run.
_LONGEST_START_SECONDS = 600.0
_ASK_SECONDS = 60.0


@dataclass(slots=True)
class RunStart:
    """What is known of a run's wait; moments are by the executor's clock.

    Attributes:
        limit_seconds: How long it may wait, for an agent as well; None: any time for an agent, and
            ten minutes for the program of the one that took it.
        waits_since: When it was seen waiting first.
        taken_at: When W&B was first known to have given it to an agent.
    """

    limit_seconds: float | None
    waits_since: float | None = None
    taken_at: float | None = None
    _asks_from: float = 0.0

    @classmethod
    def from_launch(cls, launch: Launch) -> Self:
        """Returns what the attempt's sweep says of it."""
        seconds = launch.arguments.get("start_timeout_seconds")
        return cls(None if seconds is None else float(seconds))

    def note_waiting(self, now: float) -> None:
        """Notes that the run is pending."""
        if self.waits_since is None:
            self.waits_since, self._asks_from = now, now + _ASK_SECONDS

    def is_questionable(self, now: float) -> bool:
        """Tells whether it is time to ask W&B if an agent has taken it."""
        is_waiting = self.waits_since is not None and self.taken_at is None
        return is_waiting and now >= self._asks_from

    def note_question(self, now: float) -> None:
        """Notes that W&B is asked, whatever comes of it."""
        self._asks_from = now + _ASK_SECONDS

    def note_taken(self, now: float) -> None:
        """Notes that W&B has given it to an agent."""
        if self.taken_at is None:
            self.taken_at = now

    def find_problem(self, now: float) -> str | None:
        """Returns why it is not waited for any longer, for people; None if it is."""
        since, limit = self.waits_since, self.limit_seconds
        if limit is None:
            since, limit = self.taken_at, _LONGEST_START_SECONDS
        if since is None or now - since < limit:
            return None
        if self.taken_at is None:
            return (
                f"No program had begun its run after {limit:g} s: no agent took it, or its program "
                "ended before wandb.init, and the output of the agent shows why."
            )
        return (
            f"An agent took it, and its program had not begun the run after {limit:g} s: it ended "
            "before wandb.init, or needs longer. The output of the agent shows why."
        )
