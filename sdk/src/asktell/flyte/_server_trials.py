"""Trials of a study on a server, which outlives the eager task."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import TrialState

from asktell import _protocol
from asktell._client import Client
from asktell._errors import ConflictError, InvalidError
from asktell._leases import is_not_ours
from asktell._records import FrozenTrial
from asktell._study import Study
from asktell._trial import Trial
from asktell.flyte._launching import Launches
from asktell.flyte._outcomes import Outcome
from asktell.flyte._snapshot import build_study
from asktell.flyte._suggestions import Suggestion

# A cancelled optimizer has to wait for an ask that is under way.
WAIT_SECONDS = 2.0

# Longer than it takes to start a lost pod again, for studies that do not try lost trials again.
# Nobody else is waiting for the trial.
LEASE_SECONDS = 3600.0

_logger = logging.getLogger("asktell")


class ServerTrials:
    """Trials of one study on a server, asked for and told over HTTP by threads.

    The first `prepare` opens the study. Trials that one finds running while no other await is
    under way are nobody's, since a study has one optimizer at a time: the asks hand them out first.
    """

    def __init__(
        self,
        server: str | Client,
        study_name: str,
        *,
        resume: bool,
        directions: Sequence[str],
        sampler: Mapping[str, Any] | None,
        pruner: Mapping[str, Any] | None,
    ) -> None:
        self.n_directions = len(directions)
        self._server = server
        self._name = study_name
        self._resume = resume
        self._directions = list(directions)
        self._sampler = sampler
        self._pruner = pruner
        self._opened: Study | None = None
        self._suggestions: dict[str, Suggestion] = {}
        self._wanted = 0
        self._n_awaits = 0
        self._counting = threading.Lock()
        self._left_running: list[Trial] = []
        self._study_key = ""
        self._launches = Launches()

    @property
    def study(self) -> optuna.Study:
        """A copy of the study as it is now; changing it changes nothing on the server."""
        study = self._open()
        return build_study(study.name, self._directions, study.trials, self._suggestions)

    async def prepare(self, n_trials: int) -> int:
        """As many asks as bring the study to `n_trials` more trials than the last time.

        Trials that a killed optimizer has started count, so its successor does the rest.
        """
        return await asyncio.to_thread(self._prepare, n_trials)

    async def ask(self, suggestions: Mapping[str, Suggestion]) -> Trial | None:
        self._suggestions |= suggestions
        if self._left_running:
            return self._left_running.pop(0)
        return await asyncio.to_thread(self._ask, suggestions)

    def place(self, trial: Trial) -> None:
        """Lets tasks that the trial awaits on a cluster have names by which they are found again.

        They learn of the trial by their environment, but for the token, which is not for all who
        may see an execution: tasks that report to the server get it from a secret.
        """
        envs = {
            "ASKTELL_URL": trial._connection.url,
            "ASKTELL_STUDY": trial.study.name,
            "ASKTELL_TRIAL": str(trial.number),
            "ASKTELL_ATTEMPT": str(trial.attempt),
        }
        self._launches.place(trial, study_key=self._study_key, attempt=trial.attempt, envs=envs)

    async def tell(self, trial: Trial, outcome: Outcome) -> bool:
        return await asyncio.to_thread(_tell, trial, outcome)

    async def leave(self, outcome: Outcome | None) -> None:
        left = await asyncio.to_thread(self._end_await)
        if outcome is not None:
            attempts = [f"{trial.number}-{trial.attempt}" for trial in left]
            await asyncio.gather(
                self._launches.terminate(self._study_key, attempts),
                *(self.tell(trial, outcome) for trial in left),
            )

    def _open(self) -> Study:
        if self._opened is None:
            try:
                self._opened = self._create()
            except ConflictError as error:
                if self._resume or error.code != "study-exists":
                    raise
                raise _advise(error, self._name) from None
        return self._opened

    def _create(self) -> Study:
        client = Client(self._server) if isinstance(self._server, str) else self._server
        return client.create_study(
            self._name,
            directions=self._directions,
            if_exists="load" if self._resume else "fail",
            sampler=self._sampler,
            pruner=self._pruner,
        )

    def _prepare(self, n_trials: int) -> int:
        with self._counting:
            return self._begin_await(n_trials)

    def _begin_await(self, n_trials: int) -> int:
        study = self._open()
        summary = study.summary()
        # A study of the same name may have been there before.
        self._study_key = f"{study.name} {study.seed} {summary.created_at.isoformat()}"
        # What another await was promised it may not have asked for yet.
        started = max(summary.started, self._wanted if self._n_awaits else 0)
        n_asks = max(0, self._wanted + n_trials - started)
        if not self._n_awaits:
            running = _revive_lost(study)
            self._left_running = list(_take_over(study, running))
            n_asks += len(self._left_running) + sum(trial.phase == "queued" for trial in running)
        self._wanted += n_trials
        self._n_awaits += 1
        return n_asks

    def _end_await(self) -> list[Trial]:
        """The trials that the last await has not come to; nobody is there to run them."""
        with self._counting:
            self._n_awaits -= 1
            if self._n_awaits:
                return []
            left, self._left_running = self._left_running, []
            for trial in left:
                trial._lease.close()
            return left

    def _ask(self, suggestions: Mapping[str, Suggestion]) -> Trial | None:
        distributions = {
            name: suggestion.to_distribution() for name, suggestion in suggestions.items()
        }
        try:
            return self._open().ask(
                distributions=distributions or None,
                lease_seconds=LEASE_SECONDS,
                wait_seconds=WAIT_SECONDS,
            )
        except ConflictError as error:
            if error.code != "study-finished":
                raise
            return None


def _advise(error: ConflictError, name: str) -> ConflictError:
    """The refusal in words of an optimizer, which is not asked for the server's `if_exists`."""
    return ConflictError(
        f"There is a study {name!r} on the server. Go on with it by resume=True, or choose another "
        "study_name.",
        code=error.code,
        status=error.status,
        request_id=error.request_id,
    )


def _revive_lost(study: Study) -> list[FrozenTrial]:
    """Lets attempts that were lost live again, and returns all running trials.

    Another attempt would start the executions a second time. One that has failed stays queued.
    """
    running = study.get_trials(states=[TrialState.RUNNING])
    queued = [trial for trial in running if trial.phase == "queued"]
    for trial in queued:
        _renew(study, trial)
    return study.get_trials(states=[TrialState.RUNNING]) if queued else running


def _take_over(study: Study, running: Iterable[FrozenTrial]) -> Iterator[Trial]:
    """Those that are not queued, their leases renewed from now on."""
    for trial in running:
        sent_at = study._connection.clock.monotonic()
        if trial.phase != "queued" and (renewed := _renew(study, trial)) is not None:
            asked = {
                "number": trial.number,
                "attempt": trial.attempt,
                "params": trial.params,
                "user_attrs": trial.user_attrs,
                "lease_expires_at": renewed["lease_expires_at"],
            }
            yield study._start_trial(asked, renewed["lease_seconds"], sent_at)


def _renew(study: Study, trial: FrozenTrial) -> Mapping[str, Any] | None:
    """What the server says to a heartbeat; None: the trial has ended since it was listed."""
    heartbeat = _protocol.heartbeat(study.name, trial.number, attempt=trial.attempt)
    try:
        answer: Mapping[str, Any] = study._connection.call(heartbeat)
    except ConflictError as error:
        _logger.warning("Trial %d is not taken over: %s", trial.number, error)
        return None
    return answer


def _tell(trial: Trial, outcome: Outcome) -> bool:
    """Tells the trial, and whether it is to be tried again; another one's trial is left alone."""
    if outcome.is_hasty:
        trial._tell_failure(outcome.reason or "", is_hasty=True)
        return False
    try:
        told = trial.told or trial.tell(outcome.values, outcome.state, reason=outcome.reason)
    except ConflictError as error:
        if not is_not_ours(error):
            raise
        _logger.warning("Trial %d is not ours any more: %s", trial.number, error)
        return False
    except InvalidError as error:
        # Something that is told along, such as an attribute, was refused.
        trial._end_by(error)
        raise
    return told.state.name == "RUNNING"
