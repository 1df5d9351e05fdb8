"""Starts a program as a child that cannot outlive this process."""

import ctypes
import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)


class CannotStart(Exception):
    """The message says why, for people."""


def start_program(argv: Sequence[str], directory: str, output: int) -> int:
    """Starts `argv` in a process group of its own and returns its pid.

    Standard input is empty; standard output and error both go to the descriptor `output`.

    Raises:
        CannotStart: There is no such folder or program, or it may not be executed.
    """
    set_death_signal = _build_death_signal(os.getpid())
    trouble, trouble_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        set_death_signal()
        _become(argv, directory, output, trouble_end)
    os.close(trouble_end)
    with open(trouble, encoding="ascii") as stream:
        words = stream.read().split()
    if words:
        os.waitpid(pid, 0)
        raise CannotStart(_explain(argv[0], directory, words[0], int(words[1])))
    return pid


def adopt_orphans() -> None:
    """Makes descendants whose parents end children of this process, where the system can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _build_death_signal(parent: int) -> Callable[[], None]:
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None).prctl

    def set_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            # It died before it was to be heard of.
            os._exit(127)

    return set_death_signal


def _become(argv: Sequence[str], directory: str, output: int, trouble: int) -> NoReturn:
    step = "directory"
    try:
        os.setpgid(0, 0)
        for number in _RESTORED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        # 0 is /dev/null already.
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(directory)
        step = "program"
        os.execvp(argv[0], list(argv))  # noqa: S606 (no shell is wanted)
    except BaseException as error:
        code = error.errno if isinstance(error, OSError) and error.errno else errno.EINVAL
        os.write(trouble, f"{step} {code}".encode())
    finally:
        os._exit(127)


def _explain(program: str, directory: str, step: str, code: int) -> str:
    if step == "directory":
        return f"The working directory {directory} cannot be entered: {os.strerror(code)}."
    match code:
        case errno.ENOENT:
            return (
                f"{program}: no such program, seen from {directory}, or the interpreter that its "
                "first line names is missing."
            )
        case errno.EACCES:
            return (
                f"{program}: permission denied. Make it executable (chmod +x), or write "
                "${interpreter} before it."
            )
        case errno.ENOEXEC:
            return f"{program} is neither a binary of this machine nor has it a first line #!…"
        case errno.E2BIG:
            return f"{program}: its arguments are too long. Use ${{args_json_file}}."
        case _:
            return f"{program} cannot be started: {os.strerror(code)}."
