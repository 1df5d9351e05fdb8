"""A process that imports flytekit once and then forks for every program, which saves seconds.

Orders come as lines of JSON on the standard input: `id`, `call` ("module:function"), `arguments`,
`cwd`, `environment`, `log`. Answers go to the standard output: `{"id": .., "pid": ..}` when the
program has begun and `{"id": .., "returncode": ..}` when it has ended. At the end of the input all
programs are killed. It is run as a file, and nothing here imports the rest of the stand-in.
"""

import atexit
import importlib
import json
import os
import select
import signal
import sys
import tempfile
import traceback
from typing import Any, TextIO

Order = dict[str, Any]


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    woken = _wake_at_ends_of_children()
    _warm_up()
    running: dict[int, int] = {}
    unread = b""
    while True:
        readable, _, _ = select.select([0, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            _report_ended(running, answers)
        if 0 in readable:
            received = os.read(0, 1 << 16)
            if not received:
                break
            *lines, unread = (unread + received).split(b"\n")
            for line in lines:
                order = json.loads(line)
                pid = _start(order, answers)
                running[pid] = order["id"]
                print(json.dumps({"id": order["id"], "pid": pid}), file=answers)
    for pid in running:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _wake_at_ends_of_children() -> int:
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return woken


def _warm_up() -> None:
    for module in ("flytekit.bin.entrypoint", "flytekit.remote"):
        importlib.import_module(module)


def _report_ended(running: dict[int, int], answers: TextIO) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        returncode = os.waitstatus_to_exitcode(status)
        answer = {"id": running.pop(pid), "returncode": returncode}
        print(json.dumps(answer), file=answers)


def _start(order: Order, answers: TextIO) -> int:
    pid = os.fork()
    if pid == 0:
        # Whoever reads the answers is to see their end when this process is gone.
        os.close(answers.fileno())
        os._exit(_run(order))
    # Here and there, because either may be the first to need it.
    os.setpgid(pid, pid)
    return pid


def _run(order: Order) -> int:
    """The exit code of the program; in the child."""
    try:
        _move_in(order)
        module, _, function = order["call"].partition(":")
        getattr(importlib.import_module(module), function)(*order["arguments"])
    except SystemExit as exit_:
        return _finish(exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None))
    except BaseException:
        traceback.print_exc()
        return _finish(1)
    return _finish(0)


def _move_in(order: Order) -> None:
    """As if the program had been started by itself: group, folder, output, environment."""
    os.setpgid(0, 0)
    os.close(signal.set_wakeup_fd(-1))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(order["cwd"])
    log = os.open(order["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(order["environment"])
    tempfile.tempdir = None
    folders = order["environment"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [folder for folder in folders if folder]


def _finish(returncode: int) -> int:
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return returncode


if __name__ == "__main__":
    main()
