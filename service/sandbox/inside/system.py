"""The calls of Linux that Python 3.11 has no names for."""

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522

IS_LINUX = sys.platform == "linux"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

Facts = dict[str, str]
"""By way of containment: empty if it is in force, else why it is not."""


def try_to(facts: Facts, way: str, step: Callable[[], None]) -> bool:
    """Take a step of containment and note how it went."""
    try:
        step()
    except OSError as error:
        facts[way] = error.strerror or str(error)
    else:
        facts[way] = ""
    return not facts[way]


def call(function: str, *args: Any) -> int:
    """Call a function of the C library.

    Raises:
        OSError: It returned -1, or the library has no such function.
    """
    return _checked(getattr(_libc, function, _missing), *args)


def syscall(number: int, *args: Any) -> int:
    """Make a system call that the C library has no function for.

    Raises:
        OSError: It returned -1.
    """
    return _checked(_libc.syscall, ctypes.c_long(number), *args)


def unshare(flags: int) -> None:
    call("unshare", ctypes.c_int(flags))


def rejoin(process: int, flags: int) -> None:
    """Take the namespaces of the process behind a pidfd."""
    call("setns", ctypes.c_int(process), ctypes.c_int(flags))


def prctl(option: int, *args: Any) -> None:
    padded = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in args]
    padded += [ctypes.c_ulong(0)] * (4 - len(padded))
    call("prctl", ctypes.c_int(option), *padded)


def forbid_new_rights() -> None:
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent(signal_number: int) -> None:
    prctl(_PR_SET_PDEATHSIG, signal_number)


def drop_capabilities() -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    call("capset", header, (ctypes.c_uint32 * 6)())


def _checked(function: Callable[..., int], *args: Any) -> int:
    ctypes.set_errno(0)
    result = function(*args)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _missing(*_: Any) -> int:
    raise OSError(0, "the C library cannot do it")
