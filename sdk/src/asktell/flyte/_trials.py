"""Where the trials of an optimizer come from, and where their results go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import optuna

from asktell.flyte._launching import Launches
from asktell.flyte._outcomes import Outcome
from asktell.flyte._suggestions import Suggestion

REASON_ATTR = "reason"
"""User attribute with the reason of a failure."""


class Trials(Protocol):
    """The trials of one study, for one optimizer.

    Called from one event loop; several calls may be under way at once. None is cut short by a
    cancellation, so that every trial that was handed out is told.
    """

    n_directions: int

    @property
    def study(self) -> optuna.Study:
        """The study with all its trials."""

    async def prepare(self, n_trials: int) -> int:
        """Begins an await of `n_trials` more trials, and returns how many to ask for."""

    async def ask(self, suggestions: Mapping[str, Suggestion]) -> Any | None:
        """Starts a trial, Optuna's or ours, or says by None that there will be no more.

        Raises:
            StudyPausedError: Not for now.
            TooManyRequestsError: Likewise.
        """

    def place(self, trial: Any) -> None:
        """Called in the asyncio task that evaluates a trial, before its objective is."""

    async def tell(self, trial: Any, outcome: Outcome) -> bool:
        """Ends a trial; returns whether the next ask hands it out again."""

    async def leave(self, outcome: Outcome | None) -> None:
        """Ends an await that `prepare` began.

        Args:
            outcome: Of the trials that run and were not asked for; None: the next await has them.
        """


class StudyTrials:
    """Trials of an Optuna study in this process.

    Optuna's calls are made by the thread of the event loop, also those of a study in a database:
    what it caches for a sampler, it caches by thread.
    """

    def __init__(self, study: optuna.Study) -> None:
        self.n_directions = len(study.directions)
        self._launches = Launches()
        self._study = study

    @property
    def study(self) -> optuna.Study:
        return self._study

    async def prepare(self, n_trials: int) -> int:
        self._study._stop_flag = False
        return n_trials

    async def ask(
        self,
        suggestions: Mapping[str, Suggestion],  # noqa: ARG002
    ) -> optuna.Trial | None:
        return None if self._study._stop_flag else self._study.ask()

    def place(self, trial: optuna.Trial) -> None:
        self._launches.place(trial)

    async def tell(self, trial: optuna.Trial, outcome: Outcome) -> bool:
        if outcome.reason is not None:
            trial.set_user_attr(REASON_ATTR, outcome.reason)
        # Samplers that have nothing left stop the study, which Optuna allows within this only.
        self._study._thread_local.in_optimize_loop = True
        try:
            self._study.tell(trial, outcome.values, state=outcome.state)
        finally:
            self._study._thread_local.in_optimize_loop = False
        return False

    async def leave(self, outcome: Outcome | None) -> None:
        """Nothing is left: a trial that runs was asked for."""
