"""The process that starts one child for each call of a user file.

It imports what children need, cuts itself off, and then forks when the server asks. A child is
ready in some milliseconds, with Optuna imported. Only one thread ever runs here.
"""

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import optuna

from service.sandbox.inside.child import run_child
from service.sandbox.inside.orders import HALT
from service.sandbox.inside.recording import record_constructors
from service.sandbox.inside.sealing import seal_zygote
from service.sandbox.inside.system import (
    CLONE_NEWPID,
    Facts,
    die_with_parent,
    rejoin,
    unshare,
)
from service.sandbox.inside.trial import create_trial

_REQUEST_BYTES = 65536
_NOTHING_MORE = b""


def main(control: int, programs: Sequence[str]) -> None:
    """Serve the server's requests until it closes its end of the socket `control`.

    Args:
        programs: Modules that children will need and cannot import themselves.
    """
    server = socket.socket(fileno=control)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for program in programs:
        importlib.import_module(program)
    _warm_up()
    try:
        facts = seal_zygote()
    except OSError as error:
        _say(server, {"problem": f"root could not become another user: {error}"})
        return
    if not facts["processes"]:
        _go_on_as_first_process(server)
    gc.collect()
    gc.freeze()
    _say(server, {"facts": facts})
    _Zygote(server, nothing, facts).serve()


def _warm_up() -> None:
    """Do once what every child would do at its first use of Optuna."""
    record_constructors()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    facts = {"name": "warm", "directions": ["minimize"], "metric_names": [], "user_attrs": {}}
    create_trial(facts, 0, lambda _name, _document: {"value": 0}).suggest_int("one", 0, 1)


def _go_on_as_first_process(server: socket.socket) -> None:
    """Fork into the new process namespace; what stays outside only waits.

    With this first process ends, by the kernel, every process of the namespace.
    """
    first = os.fork()
    if first == 0:
        die_with_parent(signal.SIGKILL)
        return
    server.close()
    os.waitpid(first, 0)
    os._exit(0)


@dataclass(frozen=True, slots=True)
class _Call:
    process: int
    status: socket.socket


class _Zygote:
    def __init__(self, server: socket.socket, nothing: int, facts: Facts) -> None:
        self._server = server
        self._nothing = nothing
        self._facts = facts
        self._calls: dict[int, _Call] = {}
        self._selector = selectors.DefaultSelector()
        self._myself = os.pidfd_open(os.getpid()) if not facts["processes"] else None

    def serve(self) -> None:
        wake, wakened = os.pipe()
        for end in (wake, wakened):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wakened, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(wake, selectors.EVENT_READ, "ended")
        self._selector.register(self._server, selectors.EVENT_READ, "request")
        while True:
            for key, _ in self._selector.select():
                match key.data:
                    case "request":
                        self._take_request()
                    case "ended":
                        os.read(wake, _REQUEST_BYTES)
                        self._reap()
                    case process:
                        self._heed(process)

    def _take_request(self) -> None:
        data, descriptors, _, _ = socket.recv_fds(self._server, _REQUEST_BYTES, 3)
        if data == _NOTHING_MORE:
            self._end()
        channel, output, status = descriptors
        self._start(json.loads(data), channel, output, socket.socket(fileno=status))
        os.close(channel)
        os.close(output)

    def _start(
        self, limits: dict[str, Any], channel: int, output: int, status: socket.socket
    ) -> None:
        try:
            process = self._fork()
        except OSError as error:
            _say(status, {"problem": f"No process could be started: {error}."})
            status.close()
            return
        if process == 0:
            run_child(limits, self._facts, (self._nothing, output, channel))
        self._calls[process] = _Call(process, status)
        self._selector.register(status, selectors.EVENT_READ, process)

    def _fork(self) -> int:
        if self._myself is None:
            return os.fork()
        unshare(CLONE_NEWPID)
        process = -1
        try:
            process = os.fork()
        finally:
            if process:
                rejoin(self._myself, CLONE_NEWPID)
        return process

    def _heed(self, process: int) -> None:
        """Do what the server says of a call: nothing more means that it is to end."""
        call = self._calls.get(process)
        if call is None:
            return
        orders = _receive(call.status)
        if orders:
            is_halted = orders.endswith(HALT)
            os.kill(process, signal.SIGSTOP if is_halted else signal.SIGCONT)
        else:
            self._selector.unregister(call.status)
            os.kill(process, signal.SIGKILL)

    def _reap(self) -> None:
        while self._calls:
            process, how, usage = os.wait4(-1, os.WNOHANG)
            if process == 0:
                return
            call = self._calls.pop(process, None)
            if call is None:
                continue
            self._report(call, how, usage.ru_utime + usage.ru_stime)

    def _report(self, call: _Call, how: int, cpu_seconds: float) -> None:
        if call.status in self._selector.get_map():
            self._selector.unregister(call.status)
        report = {"ended": os.waitstatus_to_exitcode(how), "cpu_seconds": cpu_seconds}
        # The server may not wait for it any more.
        with suppress(BrokenPipeError, ConnectionResetError):
            _say(call.status, report)
        call.status.close()

    def _end(self) -> NoReturn:
        for process in self._calls:
            os.kill(process, signal.SIGKILL)
        for process in self._calls:
            os.waitpid(process, 0)
        os._exit(0)


def _receive(status: socket.socket) -> bytes:
    try:
        return status.recv(_REQUEST_BYTES)
    except ConnectionResetError:
        return _NOTHING_MORE


def _say(listener: socket.socket, message: dict[str, Any]) -> None:
    listener.sendall(json.dumps(message).encode())
