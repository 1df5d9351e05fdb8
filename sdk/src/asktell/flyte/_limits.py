"""How many trials an optimizer runs, how many at a time, and when it stops."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

OnError = Literal["fail", "raise"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one await; see `Optimizer`.

    Raises:
        ValueError: One of them makes no sense.
    """

    concurrency: int
    n_trials: int
    delay: float = 0
    timeout: float | None = None
    max_retries: int = 0
    on_error: OnError = "fail"

    def __post_init__(self) -> None:
        _check_integer("concurrency", self.concurrency, least=1)
        _check_integer("n_trials", self.n_trials, least=1)
        _check_seconds("delay", self.delay)
        if self.timeout is not None:
            _check_seconds("timeout", self.timeout)
        _check_integer("max_retries", self.max_retries, least=0)
        if self.on_error not in ("fail", "raise"):
            raise ValueError(f'on_error must be "fail" or "raise", not {self.on_error!r}.')


def _check_integer(name: str, value: Any, *, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, not {value!r}.")


def _check_seconds(name: str, value: Any) -> None:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be a number of seconds of at least 0, not {value!r}.")
