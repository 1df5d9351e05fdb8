"""What an executor needs that follows runs in W&B."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What such an executor needs of its worker.

    Attributes:
        environment: The worker's own.
        tick_seconds: From one look at W&B to the next.
        soonest_seconds: The same where something is expected: an attempt that nothing is known of
            yet, or one that was told to end.
        clock: Seconds that only go up.
    """

    environment: Mapping[str, str] = field(repr=False)
    tick_seconds: float = 10.0
    soonest_seconds: float = 5.0
    clock: Callable[[], float] = time.monotonic
