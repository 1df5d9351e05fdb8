"""What the error of an operation means to the worker."""

from dataclasses import dataclass, replace
from typing import Literal, Self


@dataclass(frozen=True, slots=True)
class Failure:
    """What an operation's error says.

    Attributes:
        kind: "away": the same call may succeed later. "refused": not before a person changes
            something.
        message: For people.
        is_about_key: The outside system does not know who asks.
        is_process_useless: Nothing can succeed in this process any more.
    """

    kind: Literal["refused", "away"]
    message: str
    is_about_key: bool = False
    is_process_useless: bool = False

    def redact(self, secret: str | None) -> Self:
        """The same without a secret in its message."""
        if not secret:
            return self
        return replace(self, message=self.message.replace(secret, "…"))
