"""Launches that wait for a W&B which answers that it is asked too often."""

from collections.abc import Callable
from datetime import datetime, timedelta

from service.schedulers.executors.connection.connection import (
    SystemAway,
    SystemBusy,
    SystemThrottled,
)


class Throttling:
    """Since when launches wait.

    Args:
        seconds: How long each does before its run is recorded offline.
    """

    def __init__(self, *, seconds: float, clock: Callable[[], datetime]) -> None:
        self._patience = timedelta(seconds=seconds)
        self._clock = clock
        self._since: dict[str, datetime] = {}

    def check(self, attempt_id: str, error: SystemAway) -> None:
        """Raises what says that the launch is to be tried again; else W&B is not to be had."""
        if isinstance(error, SystemThrottled):
            since = self._since.setdefault(attempt_id, self._clock())
            if self._clock() - since < self._patience:
                # Nothing was launched by what was only asked.
                raise SystemThrottled(str(error)) from error
        elif isinstance(error, SystemBusy):
            # It says nothing about W&B.
            raise error

    def forget(self, attempt_id: str) -> None:
        self._since.pop(attempt_id, None)
