"""One call: the conversation with a child, and every bound on it that the server enforces."""

import json
import math
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from service.sandbox.errors import FileFailed, ProcessKilled, SandboxUnavailable, ZygoteGone
from service.sandbox.inside.orders import HALT, RESUME
from service.sandbox.limits import SandboxLimits
from service.sandbox.zygote_process import ZygoteProcess

_CHUNK = 65536
_START_SECONDS = _KILL_SECONDS = 30.0
_KEPT_OUTPUT = 2000
_SHOWN_OUTPUT = 500
_ABOUT = 0.75  # What the limit counts and what is reported in the end differ by some tenths.
NO_MESSAGE = "It wrote something to the sandbox's own channel that is no message."


class Call:
    """A child that runs, until `end`.

    Raises ZygoteGone when made, if there is no zygote any more. Time counts while this waits for
    the child; what the caller does between messages counts in the total only.
    """

    def __init__(
        self,
        zygote: ZygoteProcess,
        limits: SandboxLimits,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        ends = zygote.start_call(limits)
        self._zygote = zygote
        self._ends = ends
        self._limits = limits
        self._clock = clock
        self._seconds_left = _START_SECONDS
        self._ends_at = math.inf
        self._unread = bytearray()
        self._received = 0
        self._printed = 0
        self._output = b""
        self._is_ending = False
        self._ending: Mapping[str, Any] | None = None
        self._selector = selectors.DefaultSelector()
        os.set_blocking(ends.output, False)
        self._selector.register(ends.output, selectors.EVENT_READ)

    def wait_until_ready(self) -> dict[str, Any]:
        """Return the child's first message, which says how well it is cut off.

        Raises:
            SandboxUnavailable: It could not be started.
            ZygoteGone: As `receive`.
        """
        try:
            ready = self.receive()
        except FileFailed as error:
            raise SandboxUnavailable(f"A process for user files failed: {error}") from error
        self.begin()
        return ready

    def begin(self) -> None:
        """Let the bounds on time, messages and output count from now on."""
        self._seconds_left = self._limits.seconds
        self._ends_at = self._clock() + self._limits.total_seconds
        self._received = 0
        self._printed = 0
        self._output = b""

    @property
    def output(self) -> str:
        """The end of what the child has printed so far."""
        text = self._output.decode(errors="replace").strip()
        return text if len(text) <= _SHOWN_OUTPUT else f"…{text[-_SHOWN_OUTPUT:]}"

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message.

        Raises:
            FileFailed: The child does not read, or is gone.
        """
        self._send(json.dumps(message).encode() + b"\n")

    def send_bytes(self, data: bytes) -> None:
        """Send what a program of ours in the child reads with `Channel.receive_bytes`.

        Raises:
            FileFailed: As `send`.
        """
        self.send({"bytes": len(data)})
        self._send(data)

    def halt(self) -> None:
        """Let the child, and whatever it has started, do nothing until `resume`."""
        self._order(HALT)

    def resume(self) -> None:
        self._order(RESUME)

    def kill(self) -> None:
        """Have the child ended, and return at once; any thread. `end` has to follow."""
        with suppress(OSError):
            self._ends.status.shutdown(socket.SHUT_WR)

    def receive(self) -> dict[str, Any]:
        """Return the next message.

        Raises:
            FileFailed: There is none: the child is late, gone, or past a limit.
            ZygoteGone: The zygote was killed, and the child with it.
        """
        if self._find_seconds_left() <= 0:
            self._fail_late()
        # Only what is new is searched: a child may send its bytes one by one.
        end = self._unread.find(b"\n")
        while end < 0:
            seen = len(self._unread)
            self._unread += self._receive_more()
            end = self._unread.find(b"\n", seen)
            self._check_length(end if end >= 0 else len(self._unread))
        line = bytes(self._unread[:end])
        del self._unread[: end + 1]
        return _parse(line)

    def end(self) -> None:
        """Kill what still runs and wait until it is gone; may be called twice.

        Raises:
            SandboxUnavailable: The zygote does not answer.
        """
        self._is_ending = True
        if self._ending is None:
            self.kill()
            self._seconds_left = _KILL_SECONDS
            self._ends_at = math.inf
            self._ending = self._read_ending()
        while self._take_output():
            pass

    def close(self) -> None:
        self._selector.close()
        self._ends.close()

    def _send(self, data: bytes) -> None:
        started_at = self._clock()
        self._ends.channel.settimeout(max(self._find_seconds_left(), 0.001))
        try:
            self._ends.channel.sendall(data)
        except TimeoutError:
            self._fail_late()
        except OSError:
            self._fail_ended()
        self._seconds_left -= self._clock() - started_at

    def _order(self, order: bytes) -> None:
        # Whoever is gone is noticed by the next message.
        with suppress(OSError):
            self._ends.status.sendall(order)

    def _receive_more(self) -> bytes:
        self._wait_for(self._ends.channel)
        part = _receive(self._ends.channel) or self._fail_ended()
        self._received += len(part)
        if self._received > (most := self._limits.total_message_bytes):
            raise FileFailed(f"It gave more than {most} bytes in all.")
        return part

    def _check_length(self, length: int) -> None:
        if length > self._limits.message_bytes:
            raise FileFailed(f"It gave more than {self._limits.message_bytes} bytes at once.")

    def _wait_for(self, wanted: socket.socket) -> None:
        """Wait until `wanted` can be read, taking what the child prints meanwhile."""
        key = self._selector.register(wanted, selectors.EVENT_READ)
        try:
            while True:
                started_at = self._clock()
                left = max(self._find_seconds_left(), 0)
                ready = [found for found, _ in self._selector.select(left)]
                self._seconds_left -= self._clock() - started_at
                if key in ready:
                    return
                if ready:
                    self._take_output()
                if self._find_seconds_left() <= 0:
                    self._fail_late()
        finally:
            self._selector.unregister(wanted)

    def _find_seconds_left(self) -> float:
        return min(self._seconds_left, self._ends_at - self._clock())

    def _take_output(self) -> bool:
        """Take what there is; tell whether there was anything."""
        try:
            chunk = os.read(self._ends.output, _CHUNK)
        except BlockingIOError:
            return False
        if not chunk and self._ends.output in self._selector.get_map():
            self._selector.unregister(self._ends.output)
        self._printed += len(chunk)
        self._output = (self._output + chunk)[-_KEPT_OUTPUT:]
        if self._printed > self._limits.output_bytes and not self._is_ending:
            raise FileFailed(f"It printed more than {self._limits.output_bytes} bytes.")
        return bool(chunk)

    def _read_ending(self) -> Mapping[str, Any]:
        parts = []
        while True:
            self._wait_for(self._ends.status)
            part = _receive(self._ends.status)
            if not part:
                break
            parts.append(part)
        ending: dict[str, Any] = json.loads(b"".join(parts) or b"{}")
        return ending

    def _fail_late(self) -> NoReturn:
        if self._is_ending:
            self._zygote.close()  # It hangs; without it the kernel ends the child.
            raise SandboxUnavailable("A process did not end; the next call starts all anew.")
        if self._seconds_left > 0:
            total = f"{self._limits.total_seconds:g} seconds"
            raise FileFailed(f"It took more than {total}, with its suggestions.")
        raise FileFailed(f"It did not answer within {self._limits.seconds:g} seconds.")

    def _fail_ended(self) -> NoReturn:
        """Say how the child ended by itself."""
        self._ending = self._read_ending()
        if "ended" not in self._ending:
            if problem := self._ending.get("problem"):
                raise SandboxUnavailable(problem)
            self._zygote.close()
            raise ZygoteGone("The process that starts user files was killed. Try again.")
        reason = _explain_end(self._ending, self._limits)
        has_been_killed = self._ending["ended"] == -signal.SIGKILL
        raise ProcessKilled(reason) if has_been_killed else FileFailed(reason)


def _receive(end: socket.socket) -> bytes:
    try:
        return end.recv(_CHUNK)
    except ConnectionResetError:
        return b""  # The other side ended before it had read all that was sent.


def _parse(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise FileFailed(NO_MESSAGE) from error
    if not isinstance(message, dict):
        raise FileFailed(NO_MESSAGE)
    return message


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _explain_end(ending: Mapping[str, Any], limits: SandboxLimits) -> str:
    code = ending["ended"]
    if code >= 0:
        return f"Its process ended with exit code {code} before it had answered."
    if ending["cpu_seconds"] >= limits.cpu_seconds * _ABOUT:
        return f"It used its {limits.cpu_seconds} seconds of processor time."
    name = signal.Signals(-code).name
    return f"Its process was ended by {name} before it had answered{_guess_why(name)}."


def _guess_why(name: str) -> str:
    match name:
        case "SIGSEGV" | "SIGBUS":
            return " (a recursion that is too deep, or a fault in a C library)"
        case "SIGKILL":
            return " (perhaps the machine had no memory left)"
        case _:
            return ""
