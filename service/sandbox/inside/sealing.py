"""How a process cuts itself off: the steps, in an order in which each is still allowed."""

import errno
import os
import resource
import signal
from collections.abc import Mapping
from contextlib import suppress

from service.sandbox.inside import landlock
from service.sandbox.inside.own_root import enter_own_root, list_python_folders
from service.sandbox.inside.seccomp import refuse_other_calls
from service.sandbox.inside.system import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    IS_LINUX,
    Facts,
    die_with_parent,
    drop_capabilities,
    forbid_new_rights,
    rejoin,
    try_to,
    unshare,
)

_NOBODY = 65534
_OPEN_FILES = 64
_ONLY_LINUX = "only Linux has it"
_POLITENESS = 10
_FIRST_TO_GO = "1000"
_ZYGOTE_WAYS = (
    "memory",
    "own files",
    "user",
    "network",
    "ipc",
    "new rights",
    "landlock",
    "processes",
)


def seal_zygote() -> Facts:
    """Cut off what all user files share: rights, files, network and the view of processes.

    After it a new child is the first of a process namespace of its own, if "processes" is in force.

    Raises:
        OSError: This is root, and cannot become another user.
    """
    facts: Facts = {}
    os.nice(_POLITENESS)
    if not IS_LINUX:
        _become_nobody()
        return dict.fromkeys(_ZYGOTE_WAYS, _ONLY_LINUX)
    try_to(facts, "memory", lambda: _write("/proc/self/oom_score_adj", _FIRST_TO_GO))
    folders = list_python_folders()
    if os.geteuid() == 0:
        try_to(facts, "own files", lambda: enter_own_root(folders))
        _become_nobody()
        try_to(facts, "user", lambda: unshare(CLONE_NEWUSER))
    else:
        try_to(facts, "user", _enter_user_namespace)
        try_to(facts, "own files", lambda: enter_own_root(folders))
    try_to(facts, "network", lambda: unshare(CLONE_NEWNET))
    try_to(facts, "ipc", lambda: unshare(CLONE_NEWIPC))
    try_to(facts, "new rights", forbid_new_rights)
    try_to(facts, "landlock", lambda: landlock.read_only(folders))
    try_to(facts, "processes", _separate_processes)
    return facts


def seal_child(limits: Mapping[str, float], zygote: Facts) -> Facts:
    """Cut off what is this process's alone; called before the first word of a user file.

    Args:
        zygote: How the zygote's own steps went.
    """
    facts: Facts = {}
    if not IS_LINUX:
        facts["calls"] = _ONLY_LINUX
    else:
        if zygote["processes"]:
            die_with_parent(signal.SIGKILL)
        drop_capabilities()
        try_to(facts, "calls", refuse_other_calls)
    try_to(facts, "limits", lambda: _set_limits(limits, _count_threads(limits, zygote, facts)))
    return facts


def _count_threads(limits: Mapping[str, float], zygote: Facts, own: Facts) -> float | None:
    """Return how many processes and threads this user may have, None for any number."""
    if zygote["processes"] and own["calls"]:
        return 0  # What it started could outlive it.
    # Without users of its own the number would be that of the server's user.
    return None if zygote["user"] else limits["threads"]


def _become_nobody() -> None:
    if os.geteuid() != 0:
        return
    os.setgroups([])
    os.setregid(_NOBODY, _NOBODY)
    os.setreuid(_NOBODY, _NOBODY)


def _enter_user_namespace() -> None:
    user, group = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    # Without its own number mapped it could make no folder for the new root.
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {user} 1")
    _write("/proc/self/gid_map", f"{group} {group} 1")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _separate_processes() -> None:
    """Let the next child be the first of a new namespace, of which more can be made."""
    # Known to the kernel if it is merely not allowed: for that, the namespace has to be ours.
    with suppress(PermissionError):
        rejoin(os.pidfd_open(os.getpid()), CLONE_NEWPID)
    unshare(CLONE_NEWPID)


def _set_limits(limits: Mapping[str, float], threads: float | None) -> None:
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _limit(resource.RLIMIT_CPU, limits["cpu_seconds"])
    if threads is not None:
        _limit(resource.RLIMIT_NPROC, threads)
    _limit(resource.RLIMIT_AS, limits["memory_bytes"])


def _limit(which: int, value: float) -> None:
    ceiling = resource.getrlimit(which)[1]
    allowed = int(value) if ceiling == resource.RLIM_INFINITY else min(int(value), ceiling)
    try:
        resource.setrlimit(which, (allowed, allowed))
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error)) from error
