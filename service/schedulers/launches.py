"""What a worker's launches have in common: what a program is told, and whether any succeeds."""

import asyncio

import structlog
from asktell.workers import ClaimedAttempt

from service.schedulers.executors.base import Launch
from service.schedulers.pace import Pace

_log = structlog.get_logger(__name__)


class Launches:
    """Keeps a worker that can launch nothing from taking what another could.

    It belongs to the event loop that it is made in.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._clock = asyncio.get_running_loop().time
        self._given_up = 0
        self._paused_until = 0.0

    def note_launched(self) -> None:
        """Whatever was wrong has passed."""
        self._given_up = 0
        self._paused_until = 0.0

    def note_given_up(self, reason: str) -> None:
        """Pauses claims, for twice as long as the last time; several at a time count once."""
        if self.get_pause() > 0.0:
            return
        doubled = self._pace.refused_pause_seconds * 2.0 ** min(self._given_up, 16)
        pause = min(doubled, self._pace.launch_seconds)
        self._given_up += 1
        self._paused_until = self._clock() + pause
        _log.error("claims.paused", reason=reason, again_in_seconds=pause)

    def get_pause(self) -> float:
        """Seconds for which the worker should take nothing new; 0 if it may."""
        return max(0.0, self._paused_until - self._clock())


def build_launch(claimed: ClaimedAttempt, url: str) -> Launch:
    """What an executor is to launch, for an attempt of the server at this URL."""
    environment = {
        "ASKTELL_URL": url,
        "ASKTELL_STUDY": claimed.study,
        "ASKTELL_TRIAL": str(claimed.trial),
        "ASKTELL_ATTEMPT": str(claimed.attempt),
        "ASKTELL_ATTEMPT_ID": claimed.attempt_id,
    }
    if claimed.token is not None:
        environment["ASKTELL_TOKEN"] = claimed.token
    return Launch(
        claimed.attempt_id,
        run_id=claimed.run_id,
        study=claimed.study,
        trial=claimed.trial,
        attempt=claimed.attempt,
        params=claimed.params,
        metrics=claimed.metrics,
        directions=claimed.directions,
        arguments=claimed.arguments,
        mirror_ref=claimed.mirror_ref,
        environment=environment,
    )
