"""One call of a user file: cuts itself off, says so, takes the file and answers."""

import fcntl
import importlib
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy.random

from service.sandbox.inside.channel import Channel
from service.sandbox.inside.describing import describe_file
from service.sandbox.inside.running import run_search_space
from service.sandbox.inside.sealing import seal_child
from service.sandbox.inside.system import Facts
from service.sandbox.inside.user_module import explain, load_module

_CHANNEL = 3
_ABOVE = 16
_MOST_DESCRIPTORS = 4096


def run_child(
    limits: Mapping[str, Any], zygote: Facts, descriptors: tuple[int, int, int]
) -> NoReturn:
    """Serve one call and end this process.

    Args:
        descriptors: Nothing to read, where output goes, and the socket to the server.
    """
    status = 1
    try:
        _take_descriptors(*descriptors)
        channel = Channel(_CHANNEL)
        channel.send({"op": "ready", "facts": seal_child(limits, zygote)})
        _serve(channel)
        status = 0
    finally:
        # Nothing of the zygote's, or of a user's threads, may run after this.
        os._exit(status)


def _take_descriptors(nothing: int, output: int, channel: int) -> None:
    """Make them 0 to 3, and close all others."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Out of the way first: they may have the numbers that others of them get.
    moved = [fcntl.fcntl(each, fcntl.F_DUPFD, _ABOVE) for each in (nothing, output, channel)]
    for number, source in enumerate((moved[0], moved[1], moved[1], moved[2])):
        os.dup2(source, number)
    os.closerange(_CHANNEL + 1, _MOST_DESCRIPTORS)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stdout


def _serve(channel: Channel) -> None:
    # Else all children would draw what the zygote would: NumPy's state is copied by a fork.
    numpy.random.seed()
    try:
        request = channel.receive()
    except EOFError:
        return  # The server only wanted to know how well this process is cut off.
    try:
        answer = _answer(channel, request)
    except BaseException as error:
        answer = explain(error, request["file"]["name"])
    sys.stdout.flush()
    if answer is not None:
        channel.send(answer)


def _answer(channel: Channel, request: Mapping[str, Any]) -> dict[str, Any] | None:
    match request["do"]:
        case "describe":
            return describe_file(channel, request)
        case "serve":
            _run_program(channel, request)
            return None
    return run_search_space(channel, request)


def _run_program(channel: Channel, request: Mapping[str, Any]) -> None:
    """Let a program of ours serve the loaded file until the server ends the session."""
    module = load_module(request["file"])
    program = importlib.import_module(request["program"])
    channel.send({"op": "serving"})
    program.serve(module, request, channel)
