"""What `Study.optimize` can work with, found out before a trial starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any


def check_objective(objective: object) -> None:
    """Raises TypeError unless it can be called."""
    if not callable(objective):
        raise TypeError(f"The objective is a function of a trial: {objective!r}.")


def check_n_trials(n_trials: object) -> None:
    """Raises TypeError or ValueError unless it is a number of trials, or None."""
    if n_trials is None:
        return
    if not isinstance(n_trials, Integral):
        raise TypeError(f"n_trials is a whole number, or None for no limit: {n_trials!r}.")
    if n_trials < 0:
        raise ValueError(f"n_trials is at least 0: {n_trials}.")


def check_timeout(seconds: object) -> None:
    """Raises TypeError or ValueError unless it is a number of seconds, or None."""
    if seconds is None:
        return
    if not isinstance(seconds, Real):
        raise TypeError(f"timeout is a number of seconds, or None for no limit: {seconds!r}.")
    # NaN is not at least 0 either.
    if not float(seconds) >= 0:
        raise ValueError(f"timeout is at least 0: {seconds}.")


def check_n_jobs(n_jobs: object) -> None:
    """Raises TypeError or ValueError unless it is a number of threads, or -1."""
    words = f"n_jobs is a number of threads, or -1 for all processors: {n_jobs!r}."
    if not isinstance(n_jobs, Integral):
        raise TypeError(words)
    if n_jobs == 0 or n_jobs < -1:
        raise ValueError(words)


def read_callbacks(
    callbacks: Iterable[Callable[[Any, Any], object]] | None,
) -> tuple[Callable[[Any, Any], object], ...]:
    """The callbacks; TypeError unless all of them can be called."""
    if callbacks is not None and not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks is a list of functions: {callbacks!r}.")
    read = tuple(callbacks or ())
    for callback in read:
        if not callable(callback):
            raise TypeError(f"A callback is a function of the study and a trial: {callback!r}.")
    return read
