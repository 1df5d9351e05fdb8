"""Landlock: reading Python's own folders, and nothing else of the file system.

The structures and rights are those of `linux/landlock.h`; each version of it adds some.
"""

import ctypes
import os
from collections.abc import Iterable

from service.sandbox.inside.system import syscall

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_BIND_AND_CONNECT_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def read_only(folders: Iterable[str]) -> None:
    """Let this process and its children read below `folders`, and do nothing else with files.

    A folder that cannot be opened is left out. Needs `no_new_privs`.

    Raises:
        OSError: The kernel has no Landlock, or it is switched off.
    """
    ruleset = _create()
    try:
        for folder in folders:
            _allow_reading(ruleset, folder)
        syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _create() -> int:
    nothing = ctypes.c_void_p(None)
    version = syscall(_CREATE_RULESET, nothing, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION))
    newest = max(known for known in _RIGHTS if known <= version)
    wanted = _Ruleset(
        _RIGHTS[newest],
        _BIND_AND_CONNECT_TCP if version >= 4 else 0,
        _ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0,
    )
    # An older kernel refuses fields that it does not know, even if they are 0.
    size = 8 if version < 4 else 16 if version < 6 else 24
    return syscall(_CREATE_RULESET, ctypes.byref(wanted), ctypes.c_size_t(size), ctypes.c_uint32(0))


def _allow_reading(ruleset: int, path: str) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights = _READ_FILE | _READ_DIR if os.path.isdir(path) else _READ_FILE
        rule = _Beneath(rights, opened)
        syscall(
            _ADD_RULE,
            ctypes.c_int(ruleset),
            ctypes.c_int(_PATH_BENEATH),
            ctypes.byref(rule),
            ctypes.c_uint32(0),
        )
    finally:
        os.close(opened)
