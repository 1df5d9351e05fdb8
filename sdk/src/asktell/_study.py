"""A study on the server: ask for trials, tell how they ended, look at them, optimize."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, overload

from asktell import _protocol
from asktell._optimize import Optimization
from asktell._optuna import StudyDirection, direction_named
from asktell._records import (
    FrozenTrial,
    StudySummary,
    read_objectives,
    read_summary,
    read_trial,
)
from asktell._trial import Trial

if TYPE_CHECKING:
    from asktell._connection import Connection


class Study:
    """A study on the server, made by `Client.create_study` and `Client.get_study`.

    Nothing but what was fixed at creation is kept here, so any number of objects, threads and
    processes may work on one study. Threads may share this object.

    Attributes:
        name: Its name.
        objectives: What is optimised, in the order of the values told.
        space: The declared search space, or None.
        sampler: `{"type": …, "args": …}` with every argument that the server resolved.
        pruner: Likewise, or None.
        seed: Base of every random draw.
        user_attrs: What it was created with.
    """

    def __init__(self, connection: Connection, document: Mapping[str, Any]) -> None:
        self.name: str = document["name"]
        self.objectives = read_objectives(document)
        self.space: Mapping[str, Any] | None = document["space"]
        self.sampler: Mapping[str, Any] = document["sampler"]
        self.pruner: Mapping[str, Any] | None = document["pruner"]
        self.seed: int = document["seed"]
        self.user_attrs: Mapping[str, Any] = document["user_attrs"]
        self._connection = connection
        self._optimizations: list[Optimization] = []

    @property
    def direction(self) -> StudyDirection:
        """Which way the single objective improves; Optuna's own enum where optuna is imported.

        Raises:
            RuntimeError: The study has several objectives.
        """
        if len(self.objectives) > 1:
            raise RuntimeError(f"Study {self.name!r} has several objectives: use `directions`.")
        return self.directions[0]

    @property
    def directions(self) -> list[StudyDirection]:
        """Which way each objective improves; Optuna's own enum where optuna is imported."""
        return [direction_named(objective.direction.name) for objective in self.objectives]

    @overload
    def ask(self, count: None = None, *, params: Mapping[str, Any] | None = None) -> Trial: ...

    @overload
    def ask(self, count: int, *, params: Mapping[str, Any] | None = None) -> list[Trial]: ...

    def ask(
        self, count: int | None = None, *, params: Mapping[str, Any] | None = None
    ) -> Trial | list[Trial]:
        """Starts a trial, or `count` of them as a list.

        Args:
            count: 1 to 1000.
            params: Values to fix instead of having them suggested.

        Raises:
            ConflictError: `study-finished`: the sampler has nothing left to suggest.
            InvalidError: The params contradict the declared space.
            NotFoundError: The study was deleted.
        """
        request = _protocol.ask(self.name, count=1 if count is None else count, params=params)
        asked = self._connection.call(request)["trials"]
        trials = [Trial(self, self._connection, document) for document in asked]
        return trials[0] if count is None else trials

    def tell(
        self,
        trial: Trial | int,
        values: float | Sequence[float] | None = None,
        state: str | Enum | None = None,
        *,
        reason: str | None = None,
    ) -> FrozenTrial:
        """Ends a trial. Telling the same again changes nothing and is no error.

        Args:
            trial: The trial, or its number; only the former brings user attributes along.
            values: A number, or one per objective, for COMPLETE.
            state: COMPLETE when values are given; else PRUNED or FAIL as text or enum.
            reason: Why it failed.

        Raises:
            ConflictError: `already-told`, and told something else.
            InvalidError: Wrong number of values, or NaN among them. The trial is untouched.
            ValueError: Neither values nor a state.
        """
        if state is None and values is None:
            raise ValueError("Tell values, or a state: PRUNED or FAIL.")
        told = trial if isinstance(trial, Trial) else self._trial_numbered(trial)
        return told._tell(state or "COMPLETE", _to_sequence(values), reason=reason)

    def optimize(
        self,
        objective: Callable[[Any], Any],
        n_trials: int | None = None,
        *,
        timeout: float | None = None,
        n_jobs: int = 1,
        catch: type[Exception] | Iterable[type[Exception]] = (),
        callbacks: Iterable[Callable[[Any, Any], object]] = (),
    ) -> None:
        """Runs an Optuna objective until one of the limits, `stop()`, or the end of the study.

        An exception of the objective tells FAIL and is raised again, unless it is to be caught;
        TrialPruned tells PRUNED. A returned NaN, None or wrong number of values is a FAIL.

        Args:
            objective: Takes a Trial, returns its value or values.
            n_trials: Trials to start here; None for no limit.
            timeout: Seconds after which no further trial is started.
            n_jobs: Threads that run trials; -1 for one per processor.
            catch: Exceptions after which to go on with the next trial.
            callbacks: Called with the study and the finished trial, by the thread that ran it.

        Raises:
            AsktellError: The server could not be used.
        """
        optimization = Optimization(
            self,
            objective,
            n_trials=n_trials,
            timeout_seconds=timeout,
            catch=catch,
            callbacks=callbacks,
            clock=self._connection.clock,
        )
        self._optimizations.append(optimization)
        try:
            optimization.run(n_jobs)
        finally:
            self._optimizations.remove(optimization)

    def stop(self) -> None:
        """Lets every `optimize` of this object end after the trials that it is running.

        Raises:
            RuntimeError: No `optimize` is running.
        """
        if not self._optimizations:
            raise RuntimeError("Nothing to stop: `optimize` is not running.")
        for optimization in list(self._optimizations):
            optimization.stop()

    def trials(
        self, states: Iterable[str | Enum] | None = None, *, page_size: int = 500
    ) -> list[FrozenTrial]:
        """All trials by number, or those in these states; fetched `page_size` per request."""
        words = [_state_word(state) for state in states or ()]
        found: list[FrozenTrial] = []
        cursor: str | None = None
        while True:
            request = _protocol.list_trials(
                self.name, states=words, page_size=page_size, cursor=cursor
            )
            page = self._connection.call(request)
            found += map(read_trial, page["trials"])
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def get_trial(self, number: int) -> FrozenTrial:
        """The trial of that number.

        Raises:
            NotFoundError: `trial-not-found`.
        """
        return read_trial(self._connection.call(_protocol.get_trial(self.name, number)))

    def get_trials(
        self,
        deepcopy: bool = True,  # noqa: ARG002 - Optuna's signature; every answer is a copy here
        states: Iterable[str | Enum] | None = None,
    ) -> list[FrozenTrial]:
        """`trials` under Optuna's name and with its arguments, for callbacks written for it."""
        return self.trials(states)

    @property
    def best_trial(self) -> FrozenTrial:
        """The best completed trial, asked from the server each time.

        Raises:
            NotFoundError: `no-best-trial`: none is complete, or there are several objectives.
        """
        return read_trial(self._connection.call(_protocol.get_best_trial(self.name)))

    @property
    def best_params(self) -> dict[str, Any]:
        """Parameters of the best trial."""
        return self.best_trial.params

    @property
    def best_value(self) -> float:
        """Value of the best trial."""
        values = self.best_trial.values
        assert values is not None, "a completed trial has values"
        return values[0]

    def summary(self) -> StudySummary:
        """State, counts and best of this moment."""
        return read_summary(self._connection.call(_protocol.get_study(self.name)))

    def __repr__(self) -> str:
        return f"Study({self.name!r})"

    def _trial_numbered(self, number: int) -> Trial:
        return Trial(self, self._connection, {"number": number, "attempt": 1, "params": {}})


def _to_sequence(values: Any) -> Sequence[Any] | None:
    if values is None or (isinstance(values, Sequence) and not isinstance(values, str)):
        return values
    return [values]


def _state_word(state: str | Enum) -> str:
    return (state.name if isinstance(state, Enum) else state).upper()
