"""A seccomp filter that lets through the calls of `syscalls`, and refuses all others.

Refused calls fail with EPERM, so that a file sees a PermissionError in its own line. Newer calls
than the table knows fail with ENOSYS: the C library then uses the older one.
"""

import ctypes
import errno
import os
import struct

from service.sandbox.inside.syscalls import Syscalls, find_syscalls
from service.sandbox.inside.system import prctl

_PR_SET_SECCOMP = 22
_MODE_FILTER = 2
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_X32_BIT = 0x40000000
_FIRST_UNKNOWN = 435  # clone3

_CLONE_THREAD = 0x00010000
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FCNTL_COMMANDS = (0, 1, 2, 3, 4, 1030)  # duplicate, and flags: not the owner of signals
_IOCTL_REQUESTS = (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)  # is it a terminal, flags

_Instruction = tuple[int, int, int, int]


def refuse_other_calls() -> None:
    """Install the filter for this process, its threads and their children, for good.

    Needs `no_new_privs`.

    Raises:
        OSError: The kernel or the architecture has no filters.
    """
    calls = find_syscalls()
    if calls is None:
        raise OSError(errno.ENOSYS, "there is no filter for this kind of processor")
    program = b"".join(struct.pack("HBBI", *step) for step in _write_program(calls, os.getpid()))
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: how many instructions, and where.
    header = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
    prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.create_string_buffer(header, len(header)))


def _write_program(calls: Syscalls, process_id: int) -> list[_Instruction]:
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, calls.architecture),
        _end(_KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32_BIT),
        _end(_KILL),
    ]
    for number in calls.free:
        program += [(_EQUAL, 0, 1, number), _end(_ALLOW)]
    for name, number in calls.conditional.items():
        checks = _check_arguments(name, process_id)
        program += [(_EQUAL, 0, len(checks), number), *checks]
    return [*program, (_AT_LEAST, 0, 1, _FIRST_UNKNOWN), _refuse(errno.ENOSYS), _refuse()]


def _check_arguments(name: str, process_id: int) -> list[_Instruction]:
    match name:
        case "clone":
            return [_load(0), (_ANY_BIT, 0, 1, _CLONE_THREAD), _end(_ALLOW), _refuse()]
        case "openat":
            return [_load(2), (_ANY_BIT, 0, 1, _WRITING), _refuse(errno.EACCES), _end(_ALLOW)]
        case "fcntl":
            return _allow_only(1, _FCNTL_COMMANDS, errno.EPERM)
        case "ioctl":
            # Python takes ENOTTY as: set the flag with fcntl then.
            return _allow_only(1, _IOCTL_REQUESTS, errno.ENOTTY)
        case "prlimit64":
            return _allow_only(0, (0,), errno.EPERM)
        case _:
            return _allow_only(0, (process_id,), errno.EPERM)


def _allow_only(argument: int, values: tuple[int, ...], error: int) -> list[_Instruction]:
    allowed = [step for value in values for step in ((_EQUAL, 0, 1, value), _end(_ALLOW))]
    return [_load(argument), *allowed, _refuse(error)]


def _load(argument: int) -> _Instruction:
    """Load the lower half of an argument; both architectures are little-endian."""
    return (_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * argument)


def _end(action: int) -> _Instruction:
    return (_RETURN, 0, 0, action)


def _refuse(error: int = errno.EPERM) -> _Instruction:
    return _end(_ERRNO | error)
