"""How admin misbehaves, as tests say."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import grpc

EVERYTHING = "*"

When: TypeAlias = Literal["before", "after"]
_PAUSE_SECONDS = 0.02


@dataclass(slots=True, kw_only=True)
class Fault:
    """What befalls calls: an error in place of the answer, or a wait.

    Attributes:
        when: Before the work, which is then not done, or after it, so that the answer is lost.
        code: None for a wait.
        seconds: How long calls wait; None is until `Faults.clear`.
        left: How many calls are still to be befallen; None is all of them.
    """

    when: When
    code: grpc.StatusCode | None = None
    seconds: float | None = None
    left: int | None = None
    over: threading.Event = field(default_factory=threading.Event)


class Faults:
    """Faults by the name of an RPC, "upload", "token", or EVERYTHING. Thread-safe."""

    def __init__(self) -> None:
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._used: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, name: str, fault: Fault) -> None:
        with self._lock:
            self._faults[name].append(fault)

    def take(self, name: str, when: When) -> Fault | None:
        """The fault that befalls this call, the eldest first."""
        with self._lock:
            for each in (name, EVERYTHING):
                for fault in self._faults[each]:
                    if fault.when == when:
                        self._use(each, fault)
                        return fault
        return None

    def clear(self) -> None:
        """Ends all faults; those who wait go on."""
        with self._lock:
            for faults in [self._used, *self._faults.values()]:
                for fault in faults:
                    fault.over.set()
            self._used.clear()
            self._faults.clear()

    def _use(self, name: str, fault: Fault) -> None:
        if fault.left is not None:
            fault.left -= 1
            if fault.left == 0:
                self._faults[name].remove(fault)
                self._used.append(fault)


def wait_out(fault: Fault, is_wanted: Callable[[], bool]) -> None:
    """Waits as long as the fault wants, or until nobody wants the answer any more."""
    end = None if fault.seconds is None else time.monotonic() + fault.seconds
    while is_wanted() and (end is None or time.monotonic() < end):
        if fault.over.wait(_PAUSE_SECONDS):
            return
