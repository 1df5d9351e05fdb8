"""Why a trial failed, in words that people read on a page or in a log."""

from __future__ import annotations

from traceback import TracebackException

from asktell._errors import AsktellError


def explain_error(error: BaseException) -> str:
    """What the server said, field by field; of other errors what a traceback would end with."""
    if isinstance(error, AsktellError):
        return str(error)
    name = type(error).__name__
    # Not str(error): the method may be the user's own, and raise.
    message = str(TracebackException(type(error), error, None))
    return f"{name}: {message}" if message else name
