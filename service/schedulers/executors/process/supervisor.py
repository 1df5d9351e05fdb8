"""Runs one attempt's program, and outlives the worker that had it started.

    main(FOLDER)

It is a process of its own, in a session of its own, with the program's environment. The lock of
the folder makes it the only one, the file `started` makes its program the only one ever. On Linux
the program does not outlive it either: an attempt whose lock is free is not running.

Only modules of the standard library that start quickly are imported here: every attempt pays.
"""

import fcntl
import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Any, NamedTuple

from service.schedulers.executors.process import folders
from service.schedulers.executors.process.collecting import Collector
from service.schedulers.executors.process.log_files import LogWriter
from service.schedulers.executors.process.metric_files import MetricWriter
from service.schedulers.executors.process.processes import (
    has_group,
    list_children,
    read_boot_id,
    signal_group,
)
from service.schedulers.executors.process.starting import (
    CannotStart,
    adopt_orphans,
    start_program,
)
from service.schedulers.executors.process.stopping import (
    AT_ONCE,
    FOR_LEFT_OVERS,
    Ladder,
    build_graceful_steps,
)

LEFT = 75
"""Exit status of one that was not needed."""

BLOCKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that do not concern it."""

_STANDARD_ERROR = 2
_PIPE_BYTES = 1 << 20
_LOOK_SECONDS = 1.0
_CLEANING_SECONDS = 0.05
_LAST_READ_SECONDS = 0.5
_KILLING_SECONDS = 10.0
_MAX_MESSAGE_BYTES = 500


class Status(NamedTuple):
    """How a process ended."""

    exit_code: int | None
    signal: int | None


def main(folder: str) -> None:
    """Runs the attempt of `folder` unless it was started before; says `ok` once it is."""
    _detach()
    lock = folders.take_lock(folder)
    if lock is None or folders.has(folder, folders.STARTED) or folders.has(folder, folders.EXIT):
        sys.exit(LEFT)
    plan = folders.read_record(folder, folders.PLAN)
    if plan is None:
        sys.exit("The plan is missing.")
    started = {"session": os.getpid(), "boot_id": read_boot_id(), "started_at": _format_now()}
    folders.create_lasting_record(folder, folders.STARTED, started)
    _Supervisor(folder, plan).run()


def _detach() -> None:
    """Leaves the worker's session and files behind, and what would end this process with it."""
    os.setsid()
    _close_files()
    # Blocked, not ignored: the program is to have the defaults, and starts without a mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
    # Without a handler the end of a child would wake nobody.
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    adopt_orphans()


def _close_files() -> None:
    """Only those that are open: counting up to the limit can take minutes."""
    for name in os.listdir("/dev/fd"):
        # One of them is the list itself, closed by now.
        with suppress(OSError):
            if int(name) > _STANDARD_ERROR:
                os.close(int(name))


class _Supervisor:
    def __init__(self, folder: str, plan: dict[str, Any]) -> None:
        self._folder = folder
        self._plan = plan
        self._log = LogWriter(folder)
        self._metrics = MetricWriter(folder)
        self._collector = Collector(plan["metrics"], plan["step_metric"])
        self._bell = os.open(os.path.join(folder, folders.BELL), os.O_RDWR | os.O_NONBLOCK)
        self._events = _open_signal_pipe()
        self._pid = 0
        self._status: Status | None = None
        self._output = -1
        self._ladder: Ladder | None = None
        self._is_killing = False
        self._is_timed_out = False
        self._killed_at: float | None = None
        self._look_at = 0.0
        self._times_out_at: float | None = None

    def run(self) -> None:
        try:
            self._start()
        except CannotStart as error:
            self._write_exit("not_started", str(error))
            _say_ok()
            return
        _say_ok()
        while not self._is_done():
            self._wait()
            self._read_output()
            self._reap()
            self._obey()
            self._signal()
        self._metrics.write(list(self._collector.finish()))
        self._write_exit("timed_out" if self._is_timed_out else "exited", self._explain())

    def _start(self) -> None:
        self._output, write_end = os.pipe()
        if sys.platform == "linux":
            # As large as this account may have it: a larger pipe only saves time.
            with suppress(OSError):
                fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        try:
            self._pid = start_program(self._plan["argv"], self._plan["directory"], write_end)
        finally:
            os.close(write_end)
        folders.write_record(self._folder, folders.PROGRAM, {"pid": self._pid})
        if self._plan["timeout_seconds"] is not None:
            self._times_out_at = time.monotonic() + self._plan["timeout_seconds"]

    def _is_done(self) -> bool:
        """Once the program has ended and all output was read, or what holds it open is given up."""
        if self._status is None:
            return False
        if self._has_left_overs():
            return self._was_killed_before(_KILLING_SECONDS)
        return self._output == -1 or self._was_killed_before(_LAST_READ_SECONDS)

    def _was_killed_before(self, seconds: float) -> bool:
        return self._killed_at is not None and time.monotonic() >= self._killed_at + seconds

    def _wait(self) -> None:
        descriptors = [self._bell, self._events]
        if self._output != -1:
            descriptors.append(self._output)
        times = [self._look_at, self._times_out_at]
        times.append(self._ladder.next_at if self._ladder else None)
        if self._status is not None:
            times.append(time.monotonic() + _CLEANING_SECONDS)
        seconds = max(0.0, min(moment for moment in times if moment is not None) - time.monotonic())
        ready, _, _ = select.select(descriptors, [], [], seconds)
        for descriptor in (self._bell, self._events):
            if descriptor in ready:
                os.read(descriptor, 4096)
        if self._bell in ready:
            self._look_at = 0.0

    def _read_output(self) -> None:
        if self._output == -1 or not select.select([self._output], [], [], 0)[0]:
            return
        piece = os.read(self._output, _PIPE_BYTES)
        if not piece:
            os.close(self._output)
            self._output = -1
            return
        # Rows first: whoever sees a line in the log finds its metrics.
        self._metrics.write(list(self._collector.feed(piece)))
        # With a full disk an attempt goes on without a log.
        with suppress(OSError):
            self._log.write(piece)

    def _reap(self) -> None:
        """Children are the program and what it left behind."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
                if ended[0] == self._pid:
                    self._status = _to_status(ended[1])
                    self._times_out_at = None
                    steps = AT_ONCE if self._is_killing else FOR_LEFT_OVERS
                    self._ladder = Ladder(steps, time.monotonic())

    def _obey(self) -> None:
        """Looks for orders once a second, and when the bell rings."""
        now = time.monotonic()
        if self._times_out_at is not None and now >= self._times_out_at:
            self._times_out_at = None
            self._is_timed_out = self._ladder is None
            self._stop_gracefully()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        if folders.has(self._folder, folders.KILL) and not self._is_killing:
            self._is_killing = True
            self._ladder = Ladder(AT_ONCE, now)
        elif folders.has(self._folder, folders.STOP) and self._status is None:
            self._stop_gracefully()

    def _stop_gracefully(self) -> None:
        if self._ladder is None:
            steps = build_graceful_steps(self._plan["stop_seconds"], self._plan["kill_seconds"])
            self._ladder = Ladder(steps, time.monotonic())

    def _signal(self) -> None:
        number = self._ladder.take_due(time.monotonic()) if self._ladder else None
        if self._status is None:
            if number is not None:
                signal_group(self._pid, number)
            return
        if number is signal.SIGKILL and self._killed_at is None:
            self._killed_at = time.monotonic()
        if self._killed_at is not None:
            # Again and again: what was started by the killed is a child of this process only now.
            number = signal.SIGKILL
        if number is not None:
            self._signal_left_overs(number)

    def _signal_left_overs(self, number: signal.Signals) -> None:
        if has_group(self._pid):
            signal_group(self._pid, number)
        for pid in list_children():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _has_left_overs(self) -> bool:
        return has_group(self._pid) or _has_children()

    def _explain(self) -> str | None:
        if self._is_timed_out:
            return f"Still running after {self._plan['timeout_seconds']:g} s (timeout_seconds)."
        if self._status == Status(0, None):
            return None
        line = self._collector.last_line.strip()[:_MAX_MESSAGE_BYTES]
        return line.decode("utf-8", "replace").replace("\0", "") or None

    def _write_exit(self, kind: str, message: str | None) -> None:
        status = self._status or Status(None, None)
        record = {
            "kind": kind,
            "exit_code": status.exit_code,
            "signal": status.signal,
            "message": message,
            "values": self._collector.values,
            "ended_at": _format_now(),
        }
        folders.write_lasting_record(self._folder, folders.EXIT, record)


def _open_signal_pipe() -> int:
    """Signals, of ended children above all, make its read end readable."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    return read_end


def _has_children() -> bool:
    """To be asked only once the program has been reaped: it reaps one that has ended."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def _to_status(status: int) -> Status:
    code = os.waitstatus_to_exitcode(status)
    return Status(code, None) if code >= 0 else Status(None, -code)


def _say_ok() -> None:
    """The worker waits for it, if it still lives."""
    with suppress(BrokenPipeError):
        os.write(1, b"ok")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.close(null)


def _format_now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
