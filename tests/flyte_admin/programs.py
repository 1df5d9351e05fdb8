"""Programs of tasks as processes: forked from a warm one, or started by themselves."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

_ZYGOTE = Path(__file__).with_name("zygote.py")
_PATIENCE_SECONDS = 100
_PAUSE_SECONDS = 0.02

# The command that flytekit's images are started with, and what it calls.
_ENTRYPOINT = "pyflyte-execute"
_ENTRYPOINT_CALL = "flytekit.bin.entrypoint:execute_task_cmd"


class Program(Protocol):
    """A process that leads a group of its own."""

    pid: int

    def poll(self) -> int | None:
        """The exit code (negative: the signal), or None as long as it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a program runs and where its output goes."""

    cwd: Path
    log: Path
    environment: Mapping[str, str]


class Zygote:
    """The warm process; see zygote.py. It may serve several admins.

    It takes seconds to import flytekit, during which the first programs wait.
    """

    def __init__(self, folder: Path) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "FLYTE_LOGGING_LEVEL": "40",
        }
        self._process = subprocess.Popen(
            [sys.executable, str(_ZYGOTE)],
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        self._programs: dict[int, _Forked] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._has_ended = False
        self._reader = threading.Thread(target=self._read_answers, daemon=True)
        self._reader.start()

    def call(self, function: str, arguments: Sequence[Any], place: Place) -> Program:
        """Calls "module:function" in a fork, and returns when it has begun.

        Raises:
            ChildProcessError: The warm process has ended, or has not begun for a long time.
        """
        program = _Forked()
        with self._lock:
            if self._has_ended:
                raise ChildProcessError("The warm process has ended.")
            number = next(self._numbers)
            self._programs[number] = program
            order = {
                "id": number,
                "call": function,
                "arguments": list(arguments),
                "cwd": str(place.cwd),
                "log": str(place.log),
                "environment": dict(place.environment),
            }
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        if not program.begun.wait(_PATIENCE_SECONDS) or program.pid == 0:
            raise ChildProcessError("The warm process does not start a program.")
        return program

    def close(self) -> None:
        """Kills what still runs."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            program = self._programs[answer["id"]]
            if "pid" in answer:
                program.pid = answer["pid"]
                program.begun.set()
            else:
                program.returncode = answer["returncode"]
                del self._programs[answer["id"]]
        with self._lock:
            self._has_ended = True
            for program in self._programs.values():
                program.returncode = -signal.SIGKILL
                program.begun.set()


class _Forked:
    def __init__(self) -> None:
        self.pid = 0
        self.returncode: int | None = None
        self.begun = threading.Event()

    def poll(self) -> int | None:
        return self.returncode


def start(command: Sequence[str], place: Place, zygote: Zygote | None) -> Program:
    """Starts the command of a container; only flytekit's own entry point can be forked."""
    if zygote is not None and command[0] == _ENTRYPOINT:
        return zygote.call(_ENTRYPOINT_CALL, [list(command[1:])], place)
    with place.log.open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=place.cwd,
            env=dict(place.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,
        )


def call(function: str, arguments: Sequence[str], place: Place, zygote: Zygote | None) -> Program:
    """Calls "module:function" in a process."""
    if zygote is not None:
        return zygote.call(function, arguments, place)
    module, _, name = function.partition(":")
    source = f"import sys; from {module} import {name}; {name}(*sys.argv[1:])"
    return start([sys.executable, "-c", source, *arguments], place, None)


def wait(
    program: Program, seconds: float | None = None, unwanted: threading.Event | None = None
) -> int | None:
    """The exit code, or None if the time is over or the program is unwanted before it ends."""
    end = None if seconds is None else time.monotonic() + seconds
    unwanted = unwanted or threading.Event()
    while (returncode := program.poll()) is None:
        if unwanted.wait(_PAUSE_SECONDS) or (end is not None and time.monotonic() > end):
            return None
    return returncode


def kill(program: Program, grace_seconds: float) -> None:
    """SIGTERM for the whole group, and SIGKILL after the grace, as Kubernetes does."""
    _signal(program, signal.SIGTERM)
    wait(program, grace_seconds)
    _signal(program, signal.SIGKILL)
    wait(program, _PATIENCE_SECONDS)


def _signal(program: Program, number: int) -> None:
    """The leader may be gone while others of its group still run."""
    try:
        os.killpg(program.pid, number)
    except ProcessLookupError:
        return
