"""A trial as an objective sees it: parameters, reports, the decision to prune, and its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from asktell._asked import UNTOLD_REASON, AskedTrial
from asktell._optuna import register_trial
from asktell._optuna_storage import TrialNotes
from asktell._records import FrozenTrial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from asktell._connection import Connection
    from asktell._leases import Lease
    from asktell._study import Study

_Choice = TypeVar("_Choice")


class Trial(AskedTrial):
    """One set of parameters to try; it quacks like `optuna.Trial`.

    A trial belongs to one thread. As a context manager it never stays running: an exception tells
    FAIL and goes on, TrialPruned (ours or Optuna's) tells PRUNED and ends there, and leaving
    without a tell is a FAIL too.

    Its lease is renewed in the background until it is told, its with block is left, its client is
    closed, or nobody holds this object any more.

    Attributes:
        study: Its study.
        number: Its number within the study.
        attempt: Which execution of the trial this is, from 1.
        datetime_start: When it arrived here.

    Example:
        >>> with study.ask() as trial:
        ...     x = trial.suggest_float("x", 0, 1)
        ...     for step in range(3):
        ...         trial.report(x / (step + 1), step)
        ...         if trial.should_prune():
        ...             raise asktell.TrialPruned
        ...     told = trial.tell(x / 3)
        >>> told.state.name, len(told.intermediate_values)
        ('COMPLETE', 3)
    """

    def __init__(
        self, study: Study, connection: Connection, asked: Mapping[str, Any], lease: Lease
    ) -> None:
        super().__init__(connection.server, study.name, asked, lease)
        self.study = study
        self.datetime_start: datetime = connection.clock.now()
        self._connection = connection
        register_trial(Trial)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """From what `suggest_*` has let this object choose, as Optuna's distributions.

        Raises:
            ImportError: There is no optuna here.
        """
        from asktell._to_optuna import to_optuna_distribution

        return {name: to_optuna_distribution(entry) for name, entry in self._space.items()}

    @property
    def storage(self) -> TrialNotes:
        """Takes what integrations of Optuna keep with a trial, and is no storage otherwise."""
        return TrialNotes(self)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A float from `low` to `high`, both included; the same one each time it is asked for.

        Another range than before is a warning, and changes nothing.

        Raises:
            InvalidError: The range makes no sense.
            ValueError: The parameter is there already, and of another kind.
        """
        document = {"type": "float", "low": low, "high": high, "step": step, "log": log}
        return float(self._suggest(name, document))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """An integer from `low` to `high`, both included; the same one each time.

        Another range than before is a warning, and changes nothing.

        Raises:
            InvalidError: The range makes no sense.
            ValueError: The parameter is there already, and of another kind.
        """
        document = {"type": "int", "low": low, "high": high, "step": step, "log": log}
        return int(self._suggest(name, document))

    def suggest_categorical(self, name: str, choices: Sequence[_Choice]) -> _Choice:
        """One of the choices, each of which is None, a bool, a number or text.

        Of a declared parameter, choices may be lists and mappings as they were declared.

        Raises:
            InvalidError: The choices cannot be told apart.
            ValueError: The parameter is there already, and none of the choices. Or one of them is
                NaN or infinite.
            TypeError: A choice is none of these types.
        """
        return self._connection.run(self._choosing(name, choices))

    def report(self, value: float, step: int) -> None:
        """Reports the objective's value at a step; the pruner's decision comes back with it.

        It renews the lease as well. While the server is away (no connection, no answer, 429, 502,
        503, 504), it keeps the value and returns: everything is delivered in order, and once, as
        soon as the server is back, at the latest with the tell. Only when 100,000 values are kept,
        it waits for the server as other calls do.

        Args:
            value: A number; NaN and infinities are allowed.
            step: 0 ≤ step < 2**31. Report in rising order.

        Raises:
            LeaseLostError: Somebody else has the trial now; there is nothing left to do here.
            ConflictError: `trial-not-running`.
            InvalidError: The study has several objectives.
            ApiConnectionError: The server stayed away, and no more values are kept.
            TypeError: The value is no number, or the step is not whole.
            ValueError: The step is out of range.
        """
        self._connection.run(self._reporting(value, step))

    def should_prune(self) -> bool:
        """Whether the pruner gave this trial up after its last report; no request after one.

        While the server is away and reports are kept, this is the last decision that was heard of,
        and False before any.

        Raises:
            LeaseLostError: Somebody else has the trial now. That is no reason to tell PRUNED, so
                it is not an answer.
            ConflictError: `trial-not-running`.
        """
        return self._connection.run(self._deciding())

    def tell(
        self,
        values: float | Sequence[float] | None = None,
        state: str | Enum | None = None,
        *,
        reason: str | None = None,
        cause: str | None = None,
        constraints: Mapping[str, float] | Sequence[float] | None = None,
    ) -> FrozenTrial:
        """Ends the trial; see `Study.tell`."""
        return self.study.tell(
            self, values, state, reason=reason, cause=cause, constraints=constraints
        )

    def __enter__(self) -> Trial:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        try:
            if exc is not None:
                return self._end_by(exc)
            if self._told is None:
                self._end_untold()
            return False
        finally:
            self._lease.close()

    @property
    def _trial_id(self) -> int:
        """For integrations of Optuna, which name a trial to its storage by this."""
        return self.number

    def _suggest(self, name: str, document: Any) -> Any:
        return self._connection.run(self._suggesting(name, document))

    def _fail(self, reason: str) -> None:
        self._connection.run(self._ending("FAIL", reason=reason))

    def _release(self) -> None:
        self._connection.run(self._releasing())

    def _end_untold(self) -> None:
        self._fail(UNTOLD_REASON)

    def _end_by(self, error: BaseException) -> bool:
        return self._connection.run(self._ending_by(error))

    def _tell_failure(self, reason: str, *, is_hasty: bool) -> None:
        self._connection.run(self._telling_failure(reason, is_hasty=is_hasty))
