"""What the error of an operation means to the worker."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, Self

from service.schedulers.executors.connection.redaction import redact


@dataclass(frozen=True, slots=True)
class Failure:
    """What an operation's error says.

    Attributes:
        kind: "away": the system does not answer; the same call may succeed later. "undone": it
            may, too, and the system answers others. "throttled": it wants to be asked less often.
            "refused": not before a person changes something.
        message: For people.
        is_about_key: The outside system does not know who asks, or does not let them do this.
        is_process_useless: Nothing can succeed in this process any more.
    """

    kind: Literal["refused", "undone", "throttled", "away"]
    message: str
    is_about_key: bool = False
    is_process_useless: bool = False

    def redact(self, secrets: Iterable[str]) -> Self:
        """The same without secrets in its message."""
        return replace(self, message=redact(self.message, secrets))
