"""How the backend misbehaves, as tests say."""

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Iterable

EVERYTHING = "*"


class Faults:
    """Faults by the name of an operation, "file_stream", …, or EVERYTHING. Thread-safe."""

    def __init__(self) -> None:
        self._failures: dict[str, deque[tuple[int, int | None]]] = defaultdict(deque)
        self._lost: dict[str, int] = defaultdict(int)
        self._held: set[str] = set()
        self._kept: set[str] = set()
        self._lock = threading.Lock()

    def fail(self, name: str, statuses: Iterable[int], retry_after_seconds: int | None) -> None:
        """The next requests get these statuses and have no effect."""
        with self._lock:
            self._failures[name].extend((status, retry_after_seconds) for status in statuses)

    def lose(self, name: str, times: int) -> None:
        """The next requests take effect, and their answers get lost."""
        with self._lock:
            self._lost[name] += times

    def hold(self, name: str) -> None:
        """Requests get no answer until `let_go`."""
        with self._lock:
            self._held.add(name)

    def keep(self, name: str) -> None:
        """Requests take effect, and get no answer until `let_go`."""
        with self._lock:
            self._kept.add(name)

    def let_go(self, name: str) -> None:
        with self._lock:
            self._held.discard(name)
            self._kept.discard(name)

    def clear(self) -> None:
        """Ends all faults."""
        with self._lock:
            self._failures.clear()
            self._lost.clear()
            self._held.clear()
            self._kept.clear()

    def take_failure(self, name: str) -> tuple[int, int | None] | None:
        """Status and Retry-After of a request that is to fail."""
        with self._lock:
            for each in (name, EVERYTHING):
                if self._failures[each]:
                    return self._failures[each].popleft()
        return None

    def take_loss(self, name: str) -> bool:
        with self._lock:
            for each in (name, EVERYTHING):
                if self._lost[each]:
                    self._lost[each] -= 1
                    return True
        return False

    async def wait_until_let_go(self, name: str) -> None:
        await _wait_until_without(self._held, name)

    async def wait_until_answered(self, name: str) -> None:
        await _wait_until_without(self._kept, name)


async def _wait_until_without(names: set[str], name: str) -> None:
    # An asyncio.Event would belong to one life of the server, and tests set it from outside.
    while names & {name, EVERYTHING}:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
