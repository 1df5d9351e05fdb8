"""A replica's process, as the server sees it: started, told, asked, killed."""

import json
import os
import pickle
import socket
import subprocess
import sys
import time
from typing import Any

from service.engine.replica.messages import Call, Message

# Much longer than any plot that is shown.
_MAX_ANSWER_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 16
# Read when the libraries are imported; more threads make small matrices slower, and results depend
# on their number.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


class ChildGone(Exception):
    """The process has ended, or was of no use any more and was killed; the message says how.

    Attributes:
        fault: What to raise if that happens twice, if it may have been the fault of what ran there.
    """

    def __init__(self, message: str, *, fault: Exception | None = None) -> None:
        super().__init__(message)
        self.fault = fault


class TookTooLong(ChildGone):
    """It was killed because it did not answer in time; to ask another one takes as long.

    Attributes:
        advice: What to do about it.
    """

    def __init__(self, message: str, *, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


class Child:
    """A running process; it ends when this process does, however that ends.

    For one thread at a time, `kill` excepted.

    Args:
        advice: What to do where the deadline is too short.

    Attributes:
        deadline_seconds: How long an answer may take.

    Raises:
        ChildGone: It could not be started.
    """

    def __init__(self, *, deadline_seconds: float, advice: str = "") -> None:
        self.deadline_seconds = deadline_seconds
        self._advice = advice
        self._received = b""
        self._socket, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _start(theirs.fileno())
            except OSError as error:
                self._socket.close()
                raise ChildGone(f"it could not be started: {error.strerror}") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, message: Message) -> None:
        """Says what is not answered.

        Raises:
            ChildGone
            TookTooLong: It does not even listen.
        """
        self._socket.settimeout(self.deadline_seconds)
        try:
            self._socket.sendall(pickle.dumps(message, protocol=5))
        except OSError as error:
            raise self._give_up(error) from error

    def ask(self, call: Call) -> dict[str, Any]:
        """Returns the answer to a call; see `serving.Answer`.

        Raises:
            ChildGone
            TookTooLong
        """
        self.tell(call)
        line = self._read_line(until=time.monotonic() + self.deadline_seconds)
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise self._give_up(error) from error
        if not isinstance(answer, dict):
            raise self._give_up(TypeError("it said something that is no answer"))
        return answer

    def kill(self) -> None:
        """Ends the process, whatever it is at; any thread. `bury` has to follow."""
        self._process.kill()

    def bury(self) -> None:
        """Kills the process and returns once it is gone; idempotent."""
        self._process.kill()
        self._process.wait()
        self._socket.close()

    def _read_line(self, *, until: float) -> bytes:
        parts = [self._received]
        size = len(self._received)
        while b"\n" not in parts[-1]:
            self._socket.settimeout(max(until - time.monotonic(), 0.001))
            try:
                parts.append(self._socket.recv(_CHUNK_BYTES))
            except OSError as error:
                raise self._give_up(error) from error
            size += len(parts[-1])
            if not parts[-1] or size > _MAX_ANSWER_BYTES:
                raise self._give_up(EOFError("it ended" if not parts[-1] else "it said too much"))
        line, _, self._received = b"".join(parts).partition(b"\n")
        return line

    def _give_up(self, error: Exception) -> ChildGone:
        self.bury()
        if isinstance(error, TimeoutError):
            reason = f"it did not answer within {self.deadline_seconds:g} s"
            return TookTooLong(reason, advice=self._advice)
        return ChildGone(f"{error} (status {self._process.returncode})")


def _start(descriptor: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - of our own
        [sys.executable, "-P", "-W", "ignore", "-m", f"{__package__}.process", str(descriptor)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[descriptor],
        env=_choose_environment(),
        # Not the terminal's signals: the server says when it is to end.
        start_new_session=True,
    )


def _choose_environment() -> dict[str, str]:
    """The server's, without the server's own settings: they have passwords."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ASKTELL_")}
    return kept | _ONE_THREAD
