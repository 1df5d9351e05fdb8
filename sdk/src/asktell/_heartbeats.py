"""The thread that renews a client's leases."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from asktell._leases import LONGEST_WAIT_SECONDS, Lease, Watch

if TYPE_CHECKING:
    from asktell._connection import Connection


class Heartbeats(Watch):
    """The heartbeats of one client's leases, sent by one thread that runs while there are any.

    Threads may share it. A forked child starts with none: its parent goes on with its own, and
    what the child asks for or reports on joins the child's.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.server)
        self._connection = connection
        self.start_anew()
        _all_heartbeats.add(self)

    def start_anew(self) -> None:
        """Forgets the thread and the lock, which a fork leaves behind in the parent."""
        self._condition = threading.Condition()
        self._leases: weakref.WeakSet[Lease] = weakref.WeakSet()
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0

    def watch(self, lease: Lease) -> None:
        """Renews the lease whenever it is due, until it is forgotten or nobody holds it."""
        with self._condition:
            self._leases.add(lease)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="asktell-heartbeats", daemon=True
                )
                self._thread.start()
            elif lease.due_at < self._wakes_at:
                self._condition.notify()

    def close(self) -> None:
        """Forgets all leases, which ends the thread; a later report starts anew."""
        with self._condition:
            self._leases.clear()
            self._condition.notify()

    def __reduce__(self) -> tuple[Any, ...]:
        # Leases stay with the process that holds them.
        return Heartbeats, (self._connection,)

    def _guard(self) -> AbstractContextManager[Any]:
        return self._condition

    def _run(self) -> None:
        while self._wait_until_due():
            self._connection.run(self.beat())

    def _wait_until_due(self) -> bool:
        with self._condition:
            while (due_at := self.find_next_due()) is not None:
                pause = due_at - self.clock.monotonic()
                if pause <= 0:
                    return True
                self._wakes_at = due_at
                self.clock.wait(self._condition, min(pause, LONGEST_WAIT_SECONDS))
            # Said while the lock is held: whoever comes next starts a thread of their own.
            self._thread = None
            return False


def _start_all_anew() -> None:
    for heartbeats in list(_all_heartbeats):
        heartbeats.start_anew()


_all_heartbeats: weakref.WeakSet[Heartbeats] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_all_anew)
