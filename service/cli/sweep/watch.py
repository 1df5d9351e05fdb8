"""Waiting for a sweep: look, show, and ask what to do when somebody presses Ctrl-C."""

from collections.abc import Callable
from enum import Enum

import asktell

from service.cli.failures import CannotStart
from service.cli.sweep.live import View, shown
from service.cli.sweep.snapshots import Snapshot

# A server that stays away for longer is not being restarted.
PATIENCE_SECONDS = 600.0
_LOOK_SECONDS = 1.0


class Choice(Enum):
    """What to do with a sweep whose watcher pressed Ctrl-C."""

    DETACH = "detach"
    STOP = "stop"
    CANCEL = "cancel"
    WATCH = "watch"


class Watch:
    """One person's wait for a sweep.

    Args:
        look: The sweep as it is now; see `Snapshots.take`.
        sweep: What is stopped and cancelled.
        view: Shows it.
        wait: Sleeps for so many seconds; may raise KeyboardInterrupt, as everything else may.
        choose: Asks what to do; a second Ctrl-C while it asks detaches.
    """

    def __init__(
        self,
        look: Callable[[], Snapshot],
        sweep: asktell.Sweep,
        view: View,
        *,
        wait: Callable[[float], None],
        choose: Callable[[], Choice],
    ) -> None:
        self._look_now = look
        self._sweep = sweep
        self._view = view
        self._wait = wait
        self._choose = choose
        self._away_seconds = 0.0

    def run(self) -> Snapshot | None:
        """The sweep as it ended; None if whoever watched has detached.

        Raises:
            CannotStart: The server has been away for too long.
            asktell.ApiError: The server refused, because the sweep was deleted for instance.
        """
        with shown(self._view):
            while True:
                try:
                    snapshot = self._look()
                    if snapshot is not None and snapshot.summary.is_over:
                        return snapshot
                    self._wait(_LOOK_SECONDS)
                except KeyboardInterrupt:
                    if self._interrupt() is Choice.DETACH:
                        return None

    def _look(self) -> Snapshot | None:
        try:
            snapshot = self._look_now()
        except (asktell.ApiConnectionError, asktell.UnavailableError) as error:
            self._bear(error)
            return None
        if self._away_seconds:
            self._away_seconds = 0.0
            self._view.say("the server answers again")
        self._view.show(snapshot)
        return snapshot

    def _bear(self, error: asktell.AsktellError) -> None:
        if self._away_seconds == 0:
            self._view.say("the server does not answer; the sweep goes on with it, still trying …")
        self._away_seconds += _LOOK_SECONDS
        if self._away_seconds >= PATIENCE_SECONDS:
            raise CannotStart(f"The server stays away: {error}")

    def _interrupt(self) -> Choice:
        self._view.close()
        try:
            choice = self._choose()
            match choice:
                case Choice.STOP:
                    self._sweep.stop()
                    self._view.say("no new trials; waiting for those that run")
                case Choice.CANCEL:
                    self._sweep.cancel()
                    self._view.say("the trials that run are being ended")
                case Choice.DETACH | Choice.WATCH:
                    pass
        except KeyboardInterrupt:
            return Choice.DETACH
        except (asktell.ApiConnectionError, asktell.UnavailableError) as error:
            self._view.say(f"that did not reach the server: {error}")
            return Choice.WATCH
        return choice
