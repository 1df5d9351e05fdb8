"""What a look at the machine has found."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """How a thing is, the worst last; optional things that are not there are right."""

    RIGHT = "right"
    DOUBTFUL = "doubtful"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What it is about.
        message: How it is, without any secret.
        advice: What to do about it; None where there is nothing to do.
    """

    subject: str
    verdict: Verdict
    message: str
    advice: str | None = None


def right(subject: str, message: str, advice: str | None = None) -> Finding:
    return Finding(subject, Verdict.RIGHT, message, advice)


def doubtful(subject: str, message: str, advice: str | None = None) -> Finding:
    return Finding(subject, Verdict.DOUBTFUL, message, advice)


def wrong(subject: str, message: str, advice: str | None = None) -> Finding:
    return Finding(subject, Verdict.WRONG, message, advice)


def find_worst(findings: Iterable[Finding]) -> Verdict:
    order = list(Verdict)
    return max((each.verdict for each in findings), key=order.index, default=Verdict.RIGHT)
