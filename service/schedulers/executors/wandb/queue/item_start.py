"""How long a run that was pushed to a launch queue may wait until its program begins it.

An agent that dies after it took an item leaves that claimed for ever.
"""

from dataclasses import dataclass
from typing import Self

from service.schedulers.executors.base import Launch

# An agent may have to wait for machines; W&B shows no sign of life of it meanwhile.
_LONGEST_START_SECONDS = 86_400.0


@dataclass(slots=True)
class ItemStart:
    """What is known of a run's wait; moments are by the executor's clock.

    Attributes:
        limit_seconds: How long it may wait, in the queue as well; None: any time in the queue, and
            a day from when it was not seen there any more.
    """

    limit_seconds: float | None
    _unbegun_since: float | None = None
    _taken_since: float | None = None

    @classmethod
    def from_launch(cls, launch: Launch) -> Self:
        """Returns what the attempt's sweep says of it."""
        seconds = launch.arguments.get("start_timeout_seconds")
        return cls(None if seconds is None else float(seconds))

    def note_unbegun(self, now: float, *, is_waiting: bool) -> None:
        """Notes that there is no run.

        Args:
            is_waiting: An item for it was seen that no agent has taken.
        """
        if self._unbegun_since is None:
            self._unbegun_since = now
        if is_waiting:
            self._taken_since = None
        elif self._taken_since is None:
            self._taken_since = now

    def find_problem(self, now: float) -> str | None:
        """Returns why it is not waited for any longer, for people; None if it is."""
        since, limit = self._unbegun_since, self.limit_seconds
        if limit is None:
            since, limit = self._taken_since, _LONGEST_START_SECONDS
        if since is None or now - since < limit:
            return None
        if self._taken_since is None:
            return f"No launch agent had taken it after {limit:g} s."
        return (
            f"Its run had not begun after {limit:g} s. A launch agent that took it has ended, or "
            "cannot start it; its output shows why. Is it to have longer: start_timeout_seconds."
        )
