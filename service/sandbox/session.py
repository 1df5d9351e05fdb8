"""A session: a child that has loaded a user file, and answers one question after another."""

from collections.abc import Callable
from typing import Any

from service.sandbox.answers import read_failure
from service.sandbox.call import NO_MESSAGE, Call
from service.sandbox.errors import FileFailed, SandboxError, SandboxUnavailable, ZygoteGone


class Session:
    """A child that runs while it is asked, and ends with `end`, or with the sandbox.

    The limits hold for each `ask`.

    For one thread at a time, `kill` excepted. Once anything was raised there is nothing to do but
    `end` it.

    Args:
        call: Of a child that was told what to do.
        write_reason: Says of which file a failure is, and what it had printed.

    Raises:
        FileFailed: The file does not load.
        SandboxUnavailable: The child was ended from outside.
    """

    def __init__(self, call: Call, write_reason: Callable[[SandboxError], str]) -> None:
        self._call = call
        self._write_reason = write_reason
        self._is_killed = False
        self._receive("serving")
        self._rest()

    def tell(self, data: bytes) -> None:
        """Send what is not answered.

        Raises:
            FileFailed: The child does not read, or has ended.
            SandboxUnavailable: It was ended from outside.
        """
        self._call.resume()
        try:
            self._call.send_bytes(data)
        except (FileFailed, ZygoteGone) as error:
            raise self._explain(error) from error

    def ask(self, data: bytes) -> dict[str, Any]:
        """Send something, and return the answer: JSON that nobody has checked.

        Raises:
            FileFailed: The file hangs, has ended the child, or has passed a limit.
            ProcessKilled: The child was killed.
            SandboxUnavailable: As `tell`.
        """
        self._call.begin()
        self.tell(data)
        answer = self._receive("answer")
        self._rest()
        return answer

    def kill(self) -> None:
        """Have the child ended, and return at once; any thread."""
        self._is_killed = True
        self._call.kill()

    def end(self) -> None:
        """Return once the child is gone; may be called twice."""
        try:
            self._call.end()
        finally:
            self._call.close()

    def _rest(self) -> None:
        """Nothing of the file's runs on; all that is told next has the time of one question."""
        self._call.halt()
        self._call.begin()

    def _receive(self, wanted: str) -> dict[str, Any]:
        try:
            message = self._call.receive()
            if message.get("op") == "failed":
                raise read_failure(message)
            if message.get("op") != wanted:
                raise FileFailed(NO_MESSAGE)
        except (FileFailed, ZygoteGone) as error:
            raise self._explain(error) from error
        return message

    def _explain(self, error: FileFailed | ZygoteGone) -> FileFailed | SandboxUnavailable:
        if isinstance(error, ZygoteGone) or self._is_killed:
            return SandboxUnavailable("The process was ended from outside.")
        return type(error)(self._write_reason(error))
