"""The trial that a worker launched this process for."""

from __future__ import annotations

import atexit
import logging
import math
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asktell import _protocol
from asktell._client import Client
from asktell._errors import AsktellError, ConfigurationError
from asktell._leases import open_lease
from asktell._spaces import build_params
from asktell._trial import Trial


@dataclass(frozen=True, slots=True)
class Launched:
    """What a worker tells a program about the attempt that it is."""

    url: str
    token: str = field(repr=False)
    study: str
    number: int
    attempt: int


class LaunchedTrial(Trial):
    """A trial that ends with its process at the latest; whatever was not told, the worker sees."""

    _last_value: float | None = None

    def report(self, value: float, step: int) -> None:
        """As any trial reports; the last value is the result unless another one is told."""
        super().report(value, step)
        self._last_value = float(value)

    def _deliver_kept(self) -> None:
        """Delivers the reports that are kept still, for a program that ends now."""
        try:
            self._connection.run(self._lease.deliver_last(self._server.call))
        except AsktellError as error:
            _logger.warning("Reports of trial %d are lost: %s", self.number, error)

    def _end_untold(self) -> None:
        # Without a value the exit of the program and what it printed decide.
        if self._last_value is not None and math.isfinite(self._last_value):
            self.tell(self._last_value)

    def _end_by(self, error: BaseException) -> bool:
        # Ctrl-C and exit come from the worker, who knows why it ends the program: perhaps because
        # its machine is taken away, which is no failure of the trial.
        if not isinstance(error, Exception):
            return False
        return super()._end_by(error)


def current_trial() -> Trial:
    """The trial that this process was launched for by a worker; always the same object.

    It has its parameters in `params`, nested as the search space is. Reports, pruning and
    `suggest_*` work as in an Optuna objective; of a declared parameter, `suggest_*` returns its
    value. Telling is optional: a program that exits with 0 completes its trial by the last value
    that it printed or reported. As a context manager it tells that value at the end, FAIL after
    an exception, and PRUNED after TrialPruned.

    Raises:
        ConfigurationError: No worker launched this process.
        LeaseLostError: The worker's attempt is over; there is nothing left to do.
    """
    launched = read_launched(os.environ)
    with _lock:
        if launched not in _trials:
            _trials[launched] = _open_client_and_trial(launched)
        return _trials[launched]


def read_launched(environ: Mapping[str, str]) -> Launched:
    """What the environment says about this process's attempt.

    Raises:
        ConfigurationError: It does not say it all, or not in a form that a worker writes.
    """
    try:
        return Launched(
            url=environ["ASKTELL_URL"],
            token=environ["ASKTELL_TOKEN"],
            study=environ["ASKTELL_STUDY"],
            number=int(environ["ASKTELL_TRIAL"]),
            attempt=int(environ["ASKTELL_ATTEMPT"]),
        )
    except KeyError as error:
        raise ConfigurationError(
            f"There is no current trial: {error.args[0]} is not set, so no worker of Asktell "
            "launched this program. Start it by `asktell sweep run`, or ask for a trial yourself: "
            "`asktell.Client().get_study(name).ask()`."
        ) from None
    except ValueError:
        raise ConfigurationError(
            "There is no current trial: ASKTELL_TRIAL and ASKTELL_ATTEMPT are numbers that a "
            "worker sets; leave them alone."
        ) from None


def open_launched_trial(client: Client, launched: Launched) -> LaunchedTrial:
    """The trial of that attempt, its lease renewed from now on.

    Raises:
        LeaseLostError: The attempt is over.
    """
    connection = client._connection
    heartbeat = _protocol.heartbeat(launched.study, launched.number, attempt=launched.attempt)
    sent_at = connection.clock.monotonic()
    # First of all: it says whether this attempt still has the trial.
    renewed = connection.call(heartbeat)
    document = connection.call(_protocol.get_study(launched.study))
    stored = connection.call(_protocol.get_trial(launched.study, launched.number))
    asked: dict[str, Any] = {
        "number": launched.number,
        "attempt": launched.attempt,
        "params": build_params(document["space"], stored["params"]),
        "user_attrs": stored["user_attrs"],
        "lease_expires_at": renewed["lease_expires_at"],
    }
    lease = open_lease(
        client._heartbeats,
        launched.study,
        asked,
        seconds=renewed["lease_seconds"],
        sent_at=sent_at,
    )
    return LaunchedTrial(client._open_study(document), connection, asked, lease)


def _open_client_and_trial(launched: Launched) -> Trial:
    client = Client(launched.url, launched.token)
    try:
        trial = open_launched_trial(client, launched)
    except BaseException:
        client.close()
        raise
    # The last report may be the result.
    atexit.register(trial._deliver_kept)
    return trial


_logger = logging.getLogger("asktell")
_lock = threading.Lock()
_trials: dict[Launched, Trial] = {}
