"""How trials in Flyte end badly, and what is said of it."""

from dataclasses import dataclass, field
from typing import Any

GRACE = "grace@example.com"
NEVER = {"inputs": {"gate": "/never"}}


@dataclass(frozen=True)
class End:
    """A sweep of one trial, and how that is to end."""

    task: str
    attempt: str
    reason: str
    arguments: dict[str, Any] = field(default_factory=dict)


ENDS = {
    "fails": End(
        "fail",
        "failed",
        "It failed in Flyte (USER:RuntimeError): ValueError: no such rate: 0.25",
    ),
    "diverges": End("diverge", "failed", "'loss' was nan at the end, which is no result."),
    "is-late": End(
        "wait",
        "failed",
        "The program ran longer than its timeout_seconds, 1, and was stopped.",
        {**NEVER, "timeout_seconds": 1},
    ),
    "is-aborted": End(
        "wait", "cancelled", f"It was aborted in Flyte by {GRACE}: No money left.", NEVER
    ),
}
