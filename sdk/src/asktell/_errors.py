"""Everything the client raises.

    AsktellError
    ├── ConfigurationError          no token, or a URL that cannot be used
    ├── ApiConnectionError          no answer: refused, dropped or timed out (a ConnectionError too)
    └── ApiError                    the server answered with a problem
        ├── AuthenticationError     401, 403
        ├── NotFoundError           404: study-not-found · trial-not-found
        │   └── NoBestTrialError    no-best-trial: none is complete (a ValueError too)
        ├── ConflictError           409: study-exists · study-finished · already-told · …
        │   ├── LeaseLostError      lease-lost: somebody else has the trial now
        │   └── StudyPausedError    study-paused
        ├── InvalidError            400, 413, 415, 422: never succeeds as it is written
        ├── TooManyRequestsError    429: parallelism-reached; wait for others to finish
        └── UnavailableError        502, 503, 504: still so after every retry

    TrialPruned                     control flow: an objective raises it, nobody catches it

Switch on `ApiError.code`, never on the message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with one part of a request; `field` is a dotted path into its body."""

    field: str
    message: str


class AsktellError(Exception):
    """Base of every error of this package."""


class ConfigurationError(AsktellError):
    """The client cannot be built from its arguments and environment."""


class ApiConnectionError(AsktellError, ConnectionError):
    """No answer came within the deadline; whether the last try took effect is unknown."""


class ApiError(AsktellError):
    """The server refused or failed.

    Attributes:
        code: Stable word for the kind of problem, such as `study-exists`; `http-STATUS` when the
            answer did not come from Asktell itself (a proxy's, for instance).
        status: HTTP status.
        request_id: What to look for in the server's log, if the answer named it.
        errors: What is wrong with which part of the request.
        retry_after_seconds: How long to wait before the next try, if the answer said so.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status: int,
        request_id: str | None = None,
        errors: Sequence[FieldProblem] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.request_id = request_id
        self.errors = tuple(errors)
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        details = "".join(f"\n  {problem.field}: {problem.message}" for problem in self.errors)
        return f"{self.message} [{self.code}]{details}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own __reduce__ cannot pass keyword-only arguments, and errors do travel
        # between processes (multiprocessing, joblib).
        return _rebuild, (type(self), self.message, self.__dict__)


class AuthenticationError(ApiError):
    """The token is missing, wrong or not allowed to do this."""


class NotFoundError(ApiError):
    """The study or trial does not exist."""


class NoBestTrialError(NotFoundError, ValueError):
    """The study has no best trial yet; a ValueError too, as which Optuna raises that."""


class ConflictError(ApiError):
    """The state of the study or trial forbids it. Never retried by the client."""


class LeaseLostError(ConflictError):
    """A newer attempt of the trial is under way elsewhere: stop working on this one."""


class StudyPausedError(ConflictError):
    """The study hands out no trials until it is resumed."""


class InvalidError(ApiError):
    """The request can never succeed as it is written; `errors` says why."""


class TooManyRequestsError(ApiError):
    """As many trials as the study allows are running; one that ends makes room."""


class UnavailableError(ApiError):
    """The server could not serve the request within the deadline; nothing is wrong with it."""


class TrialPruned(Exception):
    """Raised by an objective to end its trial as PRUNED.

    Example:
        >>> with study.ask() as trial:
        ...     raise asktell.TrialPruned
        >>> trial.told.state.name
        'PRUNED'
    """


def _rebuild(cls: type[ApiError], message: str, state: dict[str, Any]) -> ApiError:
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error
