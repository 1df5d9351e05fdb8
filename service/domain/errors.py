"""Everything the service refuses or fails with.

    AsktellError
    ├── NotFound        StudyNotFound · TrialNotFound · NoBestTrial · SweepNotFound
    │                   AttemptNotFound · TokenNotFound · CodeNotFound
    ├── Conflict        StudyExists · StudyFinished · StudyPaused · StudyInUse
    │                   StudyNotAdoptable · AlreadyTold · TrialNotRunning · LeaseLost
    │                   ClaimLost · AttemptSuperseded · TokenExists · ClientGone
    │                   CodeFailed
    ├── TooMany         ParallelismReached
    ├── Invalid         InvalidName · InvalidSpace · InvalidParams · InvalidSampler
    │                   SamplerUnavailable · InvalidPruner · InvalidReport
    │                   InvalidValues · InvalidSettings · InvalidSweepFile
    │                   InvalidCode · CodeDisabled · InvalidPlot · IdempotencyKeyReused
    ├── Unavailable     DatabaseUnavailable · StudyOwnedElsewhere · StudyReloading
    │                   CodeUnavailable · ProcessUnavailable
    └── WriteFailed

Each class has a stable `code` that clients may switch on; the message is a sentence that says
what to do. HTTP statuses belong to `service.api.problems`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one part of the input; `field` is a dotted path into it."""

    field: str
    message: str


class AsktellError(Exception):
    """Base of every error that reaches a caller."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.errors = tuple(errors)


class NotFound(AsktellError):
    """The addressed thing does not exist."""


class StudyNotFound(NotFound):
    code = "study-not-found"


class TrialNotFound(NotFound):
    code = "trial-not-found"


class NoBestTrial(NotFound):
    code = "no-best-trial"


class SweepNotFound(NotFound):
    code = "sweep-not-found"


class AttemptNotFound(NotFound):
    code = "attempt-not-found"


class TokenNotFound(NotFound):
    code = "token-not-found"


class CodeNotFound(NotFound):
    """The study was made without Python."""

    code = "python-not-found"


class Conflict(AsktellError):
    """The request is well formed but the state of the study or trial forbids it."""


class StudyExists(Conflict):
    code = "study-exists"


class StudyFinished(Conflict):
    code = "study-finished"


class StudyPaused(Conflict):
    code = "study-paused"


class StudyInUse(Conflict):
    code = "study-in-use"


class StudyNotAdoptable(Conflict):
    code = "study-not-adoptable"


class AlreadyTold(Conflict):
    code = "already-told"


class TrialNotRunning(Conflict):
    code = "trial-not-running"


class LeaseLost(Conflict):
    """A newer attempt of the trial is live: whoever gets this has nothing left to do."""

    code = "lease-lost"


class ClaimLost(Conflict):
    """The attempt was handed out again: whoever gets this ends what only it can see of it."""

    code = "claim-lost"


class AttemptSuperseded(Conflict):
    """A newer attempt of the trial has taken over: whoever gets this ends what it runs."""

    code = "attempt-superseded"


class TokenExists(Conflict):
    code = "token-exists"


class ClientGone(Conflict):
    """Nobody reads this one: the client hung up."""

    code = "client-gone"


class CodeFailed(Conflict):
    """The user's Python failed a trial, or all that were asked for."""

    code = "python-failed"


class TooMany(AsktellError):
    """Nothing is wrong with the request; try again once others are done."""

    retry_after_seconds: ClassVar[int] = 2


class ParallelismReached(TooMany):
    code = "parallelism-reached"


class Invalid(AsktellError):
    """The request can never succeed as it is written."""

    code = "invalid-request"


class InvalidName(Invalid):
    code = "invalid-name"


class InvalidSpace(Invalid):
    code = "invalid-space"


class InvalidParams(Invalid):
    code = "invalid-params"


class InvalidSampler(Invalid):
    code = "invalid-sampler"


class SamplerUnavailable(Invalid):
    code = "sampler-unavailable"


class InvalidPruner(Invalid):
    code = "invalid-pruner"


class InvalidCode(Invalid):
    """The user's Python cannot be what the study is made of."""

    code = "invalid-python"


class CodeDisabled(Invalid):
    """This server runs no Python of its users."""

    code = "python-disabled"


class InvalidPlot(Invalid):
    """The study or its trials have nothing of that kind to show."""

    code = "invalid-plot"


class InvalidReport(Invalid):
    code = "invalid-report"


class InvalidValues(Invalid):
    code = "invalid-values"


class InvalidSettings(Invalid):
    code = "invalid-settings"


class InvalidSweepFile(Invalid):
    """Each of the errors begins with its line: `line 7: `."""

    code = "invalid-sweep-file"


class IdempotencyKeyReused(Invalid):
    code = "idempotency-key-reused"


class Unavailable(AsktellError):
    """Try again after `retry_after_seconds`: nothing is wrong with the request."""

    retry_after_seconds: ClassVar[int] = 1


class DatabaseUnavailable(Unavailable):
    code = "database-unavailable"


class StudyOwnedElsewhere(Unavailable):
    code = "study-owned-elsewhere"
    retry_after_seconds = 5


class StudyReloading(Unavailable):
    code = "study-reloading"


class CodeUnavailable(Unavailable):
    """No process for the user's Python could be started, or it was killed from outside."""

    code = "python-unavailable"


class ProcessUnavailable(Unavailable):
    """What runs beside the server failed twice, took too long, has too many waiting, or ends."""

    code = "process-unavailable"
    retry_after_seconds = 5


class WriteFailed(AsktellError):
    """The database refused this operation's rows; nothing of it was kept."""

    code = "write-failed"
