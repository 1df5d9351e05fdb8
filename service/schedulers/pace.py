"""How fast a worker does things, and how it waits after a failure."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Times of a worker, in seconds; tests have faster ones.

    Attributes:
        look_seconds: From one look at the attempts to the next.
        observe_seconds: From one word to the server about an attempt to the next.
        register_seconds: From one word about the worker itself to the next; it counts as away
            after three times this.
        claim_wait_seconds: How long the server holds back its answer while there is no attempt.
        ask_again_seconds: From one question for what the server cannot hand out to the next.
        launch_seconds: For how long a launch that keeps failing is tried.
        moment_seconds: For how long a program may go on after its trial has ended.
        first_pause_seconds: After the first of several failures.
        longest_pause_seconds: After any of them; well below the time of a lease.
        refused_pause_seconds: After a refusal that only a person can help against.
        leave_seconds: For how long a worker that has to go tries to say so.
        claim_mirrors_seconds: From one question for sweeps outside to the next. The attempts of a
            sweep wait for its mirror, and the question costs no more than one about an attempt.
        look_at_mirrors_seconds: From one look at the sweeps outside to the next.
        first_mirrors_seconds: How long a worker that begins takes no attempts because it makes
            sweeps outside.
        busy_mirror_seconds: How long attempts wait for a sweep outside if the outside system only
            takes no more calls just now.
        chance: From 0 up to 1, so that workers that fail together do not come back together.
    """

    look_seconds: float = 0.1
    observe_seconds: float = 1.0
    register_seconds: float = 10.0
    claim_wait_seconds: float = 20.0
    ask_again_seconds: float = 5.0
    launch_seconds: float = 300.0
    moment_seconds: float = 5.0
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 15.0
    refused_pause_seconds: float = 30.0
    leave_seconds: float = 10.0
    claim_mirrors_seconds: float = 1.0
    look_at_mirrors_seconds: float = 10.0
    first_mirrors_seconds: float = 10.0
    busy_mirror_seconds: float = 120.0
    chance: Callable[[], float] = random.random


class Backoff:
    """Pauses that double from failure to failure."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._failures = 0

    def next_pause(self, *, at_least_seconds: float = 0.0) -> float:
        """Seconds until the next try, jittered upwards from what was asked for."""
        doubled = self._pace.first_pause_seconds * 2.0 ** min(self._failures, 16)
        self._failures += 1
        backoff = min(doubled, self._pace.longest_pause_seconds)
        return at_least_seconds + backoff * (0.5 + self._pace.chance() / 2)

    def reset(self) -> None:
        """The next failure is a first one again."""
        self._failures = 0
