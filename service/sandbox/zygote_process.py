"""The server's side of the process that starts one child for each call."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from service.sandbox.errors import SandboxUnavailable, ZygoteGone
from service.sandbox.limits import SandboxLimits

Facts = Mapping[str, str]

# As -I, but the environment below counts: sets of strings have the same order in every process.
_FLAGS = ("-s", "-P", "-B", "-X", "utf8")
_ENVIRONMENT = {"PYTHONHASHSEED": "0"}
# The package is the server's own, wherever it lies and whatever else is installed. Threads that a
# library starts when it is imported would keep the zygote from forking safely.
_START = """
import importlib.util, os, sys
for library in ("OPENBLAS", "OMP", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
del os.environ["PYTHONHASHSEED"]
spec = importlib.util.spec_from_file_location("service", sys.argv[1])
sys.modules["service"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["service"])
from service.sandbox.inside.zygote import main
main(int(sys.argv[2]), sys.argv[3:])
"""
_PACKAGE = str(Path(__file__).parents[1] / "__init__.py")
_START_SECONDS = 60.0
_END_SECONDS = 5.0
_ENOUGH = 65536


@dataclass(frozen=True, slots=True)
class CallEnds:
    """The server's ends of what a child was given.

    Attributes:
        channel: To the child: lines of JSON.
        output: What the child prints.
        status: To the zygote. Shutting down its sending side kills the child; once that is gone,
            it has the end of the child as JSON, or nothing if the zygote itself is gone.
    """

    channel: socket.socket
    output: int
    status: socket.socket

    def close(self) -> None:
        self.channel.close()
        os.close(self.output)
        self.status.close()


class ZygoteProcess:
    """A running zygote. Not for several threads at once.

    Attributes:
        facts: How its own steps of containment went.
    """

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process = process
        self._control = control
        self.facts = self._read_greeting()

    def is_running(self) -> bool:
        return self._process.poll() is None

    def start_call(self, limits: SandboxLimits) -> CallEnds:
        """Ask for a child; it says on its channel when it is ready.

        Raises:
            ZygoteGone: The zygote was killed.
        """
        channel, channel_inside = socket.socketpair()
        status, status_inside = socket.socketpair()
        output, output_inside = os.pipe()
        ends = CallEnds(channel, output, status)
        given = [channel_inside.fileno(), output_inside, status_inside.fileno()]
        try:
            socket.send_fds(self._control, [json.dumps(asdict(limits)).encode()], given)
        except OSError as error:
            ends.close()
            raise ZygoteGone("The process that starts user files was killed.") from error
        finally:
            channel_inside.close()
            status_inside.close()
            os.close(output_inside)
        return ends

    def close(self) -> None:
        """End the zygote, and with it every child; may be called twice."""
        self._control.close()
        try:
            # It goes by itself, once all of its children have gone.
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read_greeting(self) -> Facts:
        assert self._process.stderr is not None
        with self._process.stderr as errors:
            greeting = self._wait_for_greeting()
            if "facts" in greeting:
                return dict(greeting["facts"])
            self.close()
            problem = greeting.get("problem") or _find_last_line(errors.read(_ENOUGH))
        raise SandboxUnavailable(f"The process that runs user files did not start: {problem}.")

    def _wait_for_greeting(self) -> dict[str, Any]:
        self._control.settimeout(_START_SECONDS)
        try:
            greeting: dict[str, Any] = json.loads(self._control.recv(_ENOUGH) or b"{}")
        except (TimeoutError, ConnectionResetError):
            return {}
        return greeting


def start_zygote(programs: Sequence[str]) -> ZygoteProcess:
    """Start a zygote, which inherits nothing, and wait until it is ready.

    Args:
        programs: Modules to import before it is sealed.

    Raises:
        SandboxUnavailable: It did not start.
    """
    control, inside = socket.socketpair()
    arguments = [*_FLAGS, "-c", _START, _PACKAGE, str(inside.fileno()), *programs]
    with inside:
        process = subprocess.Popen(  # noqa: S603 (nothing of a user's is in it)
            [sys.executable, *arguments],
            env=_ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(inside.fileno(),),
            start_new_session=True,
        )
    return ZygoteProcess(process, control)


def _find_last_line(errors: bytes) -> str:
    lines = errors.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
