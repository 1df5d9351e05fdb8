"""Become a Postgres server: `python launcher.py PARENT UID GID PROGRAM ARGUMENT...`.

A program of its own, run by path with nothing but the standard library, because what it does has
to happen between fork and exec, where a process with threads must not run Python. Linux' "signal
me when my parent dies" is forgotten on a change of user, hence the order.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, uid: int, gid: int, command: list[str]) -> None:
    """Drop root, ask for a fast shutdown on the parent's death, and turn into `command`."""
    if os.geteuid() != uid:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("The service ended before Postgres was started.")
    os.execv(command[0], command)  # noqa: S606 (no shell is wanted)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
