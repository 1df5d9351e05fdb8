"""The process that calls Flyte for a worker, and the only one of the service that has flytekit.

    python -m service.schedulers.executors.flyte.process

See `connection.serving` for what it reads and writes. It has a folder of its own, which is removed
at the end: flytekit makes others in it as soon as it is imported, and leaves them.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, NoReturn

from service.schedulers.executors.connection.failures import Failure
from service.schedulers.executors.connection.serving import Server, Streams
from service.schedulers.executors.flyte.system import FOLDER

_NO_FLYTEKIT = (
    "The package flytekit is not installed where the worker runs. Install it: "
    "pip install 'asktell-server[flyte]'."
)


def main() -> NoReturn:
    """Answers calls until there are no more."""
    streams = Streams()
    tempfile.tempdir = folder = os.environ[FOLDER]
    if find_spec("flytekit") is None:
        streams.refuse(_NO_FLYTEKIT)
    handle = _FlyteHandle()
    streams.say_ready()
    Server(streams, handle).serve()
    # The worker does so too, if it is still there.
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


class _FlyteHandle:
    """A client that is opened when one is needed, and anew after a login that failed."""

    def __init__(self) -> None:
        from service.schedulers.executors.flyte import errors, operations

        self._errors = errors
        self._operations = operations
        self._flyte: operations.Flyte | None = None

    def call(self, operation: str, arguments: Mapping[str, Any], seconds: float) -> Any:
        if self._flyte is None:
            self._flyte = self._operations.Flyte()
        return self._operations.call(operation, self._flyte, arguments, seconds)

    def explain(self, error: Exception) -> Failure:
        failure = self._errors.explain_error(error)
        redacted = failure.redact(self._flyte.secrets if self._flyte is not None else ())
        if failure.is_about_key:
            # By the next call a person may have changed its credentials.
            self._flyte = None
        return redacted


if __name__ == "__main__":
    main()
