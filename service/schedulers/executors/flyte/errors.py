"""What errors of flytekit's client mean: whether Flyte is away, refuses, or has the thing already.

By the status of the call, never by the exception's class: flytekit gives several statuses the same
class, and calls a lack of permission recoverable.
"""

from collections.abc import Iterator
from subprocess import CalledProcessError

import grpc

from service.schedulers.executors.connection.failures import Failure

PASSING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
    }
)
_LOG_IN = "Give the worker credentials of Flyte that are valid."


class NoSuchEntity(Exception):
    """Nothing of that name is registered; the message says so, for people."""


def find_status(error: BaseException) -> grpc.StatusCode | None:
    """The status of the call that failed; None if that is not what the error is about."""
    call = _find_call(error)
    return None if call is None else call.code()


def describe(error: BaseException) -> str:
    """What the server said, at any length, in one line.

    Never the request, which flytekit shows and which holds a token.
    """
    call = _find_call(error)
    # flytekit wraps what has kept a call from being made.
    words = str(error.__cause__ or error) if call is None else call.details() or call.code().name
    return " ".join((words or type(error).__name__).split())


def explain_error(error: Exception) -> Failure:
    """Reads an error of an operation."""
    if isinstance(error, NoSuchEntity):
        return Failure("refused", str(error))
    if (command := _find_failed_command(error)) is not None:
        # What it was given and what it printed may be secrets, and flytekit tells both.
        failed = f"The command that gives the token failed (status {command.returncode})."
        return Failure("refused", f"{failed} {_LOG_IN}", is_about_key=True)
    if (missing := _find_missing_file(error)) is not None:
        what = f"{missing.filename}, which the settings of Flyte name, cannot be used here"
        return Failure("refused", f"{what}: {missing.strerror}. {_LOG_IN}", is_about_key=True)
    status = find_status(error)
    if status is grpc.StatusCode.UNAUTHENTICATED or _is_about_login(error):
        return Failure("refused", f"{describe(error)} {_LOG_IN}", is_about_key=True)
    if status is None:
        is_away = any(isinstance(each, OSError) for each in _list_causes(error))
        # Else no call was made: what flytekit's settings lack is a part of the credentials.
        return Failure("away" if is_away else "refused", describe(error), is_about_key=not is_away)
    if status in PASSING:
        return Failure("away", describe(error))
    is_forbidden = status is grpc.StatusCode.PERMISSION_DENIED
    return Failure("refused", describe(error), is_about_key=is_forbidden)


def _find_call(error: BaseException) -> grpc.Call | None:
    return next((each for each in _list_causes(error) if isinstance(each, grpc.Call)), None)


def _find_failed_command(error: BaseException) -> CalledProcessError | None:
    causes = _list_causes(error)
    return next((each for each in causes if isinstance(each, CalledProcessError)), None)


def _find_missing_file(error: BaseException) -> OSError | None:
    """A command that gives the token, or another file, that is not there or may not be used."""
    causes = _list_causes(error)
    missing = (FileNotFoundError, PermissionError)
    return next((each for each in causes if isinstance(each, missing) and each.filename), None)


def _is_about_login(error: BaseException) -> bool:
    from flytekit.clients.auth.exceptions import AuthenticationError
    from flytekit.exceptions.user import FlyteAuthenticationException

    about = (AuthenticationError, FlyteAuthenticationException)
    return any(isinstance(each, about) for each in _list_causes(error))


def _list_causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
