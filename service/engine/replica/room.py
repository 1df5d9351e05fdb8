"""Where replicas run: a few processes at a time, and the threads that wait for them."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from service.domain.errors import ProcessUnavailable
from service.engine.replica.replica import Replica


class ReplicaRoom:
    """At most so many replicas have a process; who has not used his for the longest time goes.

    There are as many threads as processes, so whoever needs one more finds one that is idle.

    Attributes:
        threads: Where to call replicas.
    """

    def __init__(self, places: int) -> None:
        self.threads = ThreadPoolExecutor(places, thread_name_prefix="replicas")
        self._places = places
        self._lock = threading.Lock()
        self._is_closed = False
        # With the time of its last use, the latest one last.
        self._present: dict[Replica, float] = {}

    def enter(self, replica: Replica) -> None:
        self._make_place()
        with self._lock:
            self._check_open()
            self._present[replica] = time.monotonic()

    def touch(self, replica: Replica) -> None:
        with self._lock:
            self._check_open()
            self._present.pop(replica, None)
            self._present[replica] = time.monotonic()

    def leave(self, replica: Replica) -> None:
        with self._lock:
            self._present.pop(replica, None)

    def list_present(self) -> list[Replica]:
        """Those that have a process, by last use."""
        with self._lock:
            return list(self._present)

    def end_idle(self, idle_seconds: float) -> None:
        """Ends the processes that nobody has used for so long; returns at once."""
        used_before = time.monotonic() - idle_seconds
        with self._lock:
            for replica, used_at in self._present.items():
                if used_at <= used_before and not self._is_closed:
                    self.threads.submit(replica.put_aside)

    def close(self, replica: Replica) -> None:
        """Ends a replica for good; returns at once."""
        replica.close()
        with self._lock:
            if replica in self._present and not self._is_closed:
                self.threads.submit(replica.bury)

    def refuse(self) -> None:
        """Refuses calls from now on; those that are under way go on."""
        with self._lock:
            self._is_closed = True

    def close_all(self) -> None:
        """Returns once all processes and threads are gone."""
        self.refuse()
        for replica in self.list_present():
            replica.close()
        self.threads.shutdown()
        for replica in self.list_present():
            replica.bury()

    def _check_open(self) -> None:
        if self._is_closed:
            raise ProcessUnavailable("The server is about to end. Try again shortly.")

    def _make_place(self) -> None:
        present = self.list_present()
        while len(present) >= self._places:
            if not any(replica.put_aside() for replica in present):
                return
            present = self.list_present()


@contextmanager
def open_room(places: int) -> Iterator[ReplicaRoom]:
    """A room that is empty again at the end."""
    room = ReplicaRoom(places)
    try:
        yield room
    finally:
        room.close_all()
