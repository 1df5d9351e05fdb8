"""A trial as an objective sees it: parameters, reports, the decision to prune, and its end."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from asktell import _protocol
from asktell._errors import (
    ApiConnectionError,
    ApiError,
    AsktellError,
    ConflictError,
    InvalidError,
    UnavailableError,
)
from asktell._json import dump, to_plain
from asktell._optuna import is_pruning
from asktell._records import FrozenTrial, read_trial

if TYPE_CHECKING:
    from asktell._connection import Connection, Request
    from asktell._leases import Lease
    from asktell._study import Study

# Whoever was interrupted, or has just waited in vain, does not wait for the whole deadline again.
LAST_WORDS_SECONDS = 5.0

_NOT_OURS_CODES = frozenset({"lease-lost", "trial-not-running", "already-told", "python-failed"})

_MISSING: Any = object()

_Choice = TypeVar("_Choice")

_logger = logging.getLogger("asktell")


class Trial:
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
    """

    def __init__(
        self, study: Study, connection: Connection, asked: Mapping[str, Any], lease: Lease
    ) -> None:
        self.study = study
        self.number: int = asked["number"]
        self.attempt: int = asked["attempt"]
        self._connection = connection
        self._lease = lease
        self._params: dict[str, Any] = dict(asked["params"])
        self._user_attrs: dict[str, Any] = {}
        self._constraints: dict[str, float] = {}
        self._should_prune: bool | None = None
        self._told: FrozenTrial | None = None

    @property
    def params(self) -> dict[str, Any]:
        """The parameters chosen so far; with a declared space all of them, nested as it is."""
        return dict(self._params)

    @property
    def user_attrs(self) -> dict[str, Any]:
        """What `set_user_attr` was given."""
        return dict(self._user_attrs)

    @property
    def constraints(self) -> dict[str, float]:
        """What `set_constraint` was given."""
        return dict(self._constraints)

    @property
    def lease_expires_at(self) -> datetime | None:
        """Until when the server waits for a word of this trial, as of its last one; None: ever."""
        return self._lease.expires_at

    @property
    def told(self) -> FrozenTrial | None:
        """The trial, once it was told through this object; RUNNING if it is tried again."""
        return self._told

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A float from `low` to `high`, both included; the same one each time it is asked for.

        Raises:
            InvalidError: The range makes no sense, or contradicts an earlier one.
        """
        document = {"type": "float", "low": low, "high": high, "step": step, "log": log}
        return float(self._suggest(name, document))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """An integer from `low` to `high`, both included; the same one each time.

        Raises:
            InvalidError: The range makes no sense, or contradicts an earlier one.
        """
        document = {"type": "int", "low": low, "high": high, "step": step, "log": log}
        return int(self._suggest(name, document))

    def suggest_categorical(self, name: str, choices: Sequence[_Choice]) -> _Choice:
        """One of the choices, each of which is None, a bool, a number or text.

        Raises:
            InvalidError: The choices cannot be told apart, or contradict earlier ones.
            TypeError: A choice is none of these types.
        """
        plain = [to_plain(choice) for choice in choices]
        chosen = self._suggest(name, {"type": "categorical", "choices": plain})
        for candidate, choice in zip(plain, choices, strict=True):
            if candidate == chosen:
                return choice
        raise ValueError(f"{name!r} is {chosen!r} in trial {self.number}, not one of {plain!r}.")

    def report(self, value: float, step: int) -> None:
        """Reports the objective's value at a step; the pruner's decision comes back with it.

        It renews the lease as well.

        Args:
            value: A number; NaN and infinities are allowed.
            step: 0 ≤ step < 2**31. Report in rising order.

        Raises:
            LeaseLostError: Somebody else has the trial now; there is nothing left to do here.
            ConflictError: `trial-not-running`.
            InvalidError: The study has several objectives.
            TypeError: The value is no number, or the step is not whole.
        """
        request = _protocol.report(
            self.study.name, self.number, attempt=self.attempt, step=_to_whole(step), value=value
        )
        sent_at = self._connection.clock.monotonic()
        answer = self._call_as_owner(request)
        self._lease.renew(answer["lease_expires_at"], sent_at=sent_at)
        self._should_prune = answer["should_prune"]

    def should_prune(self) -> bool:
        """Whether the pruner gave this trial up after its last report; no request after one.

        Raises:
            LeaseLostError: Somebody else has the trial now. That is no reason to tell PRUNED, so
                it is not an answer.
            ConflictError: `trial-not-running`.
        """
        self._lease.check()
        if self._should_prune is None:
            request = _protocol.prune(self.study.name, self.number, attempt=self.attempt)
            return bool(self._call_as_owner(request)["should_prune"])
        return self._should_prune

    def set_user_attr(self, key: str, value: Any) -> None:
        """Keeps a JSON value with the trial. It reaches the server when the trial is told.

        Raises:
            TypeError: The value has no JSON form.
            ValueError: It contains a NaN or an infinity.
        """
        plain = to_plain({key: value})
        dump(plain)
        self._user_attrs |= plain

    def set_constraint(self, key: str, value: float) -> None:
        """Keeps a constraint, satisfied if ≤ 0. It reaches the server when the trial is told.

        As in Optuna the first value of a constraint is the one that counts.

        Raises:
            TypeError: The value is no number.
            ValueError: It is NaN.
        """
        number = float(value)
        if math.isnan(number):
            raise ValueError(f"The constraint {key!r} is NaN; a number says how far it is met.")
        if self._constraints.setdefault(key, number) != number:
            warnings.warn(f"The constraint {key!r} is set already and stays.", stacklevel=2)

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

    def __repr__(self) -> str:
        return f"Trial(study={self.study.name!r}, number={self.number}, params={self._params!r})"

    def _suggest(self, name: str, document: Mapping[str, Any]) -> Any:
        known = _find(self._params, name)
        if known is not _MISSING:
            return known
        request = _protocol.suggest(self.study.name, self.number, {name: to_plain(document)})
        self._params |= self._call_as_owner(request)["params"]
        return self._params[name]

    def _call_as_owner(self, request: Request) -> Any:
        self._lease.check()
        try:
            return self._connection.call(request)
        except ApiError as error:
            self._lease.note(error)
            raise

    def _describe_outcome(
        self,
        state: str | Enum | None,
        values: Any = None,
        *,
        reason: str | None = None,
        cause: str | None = None,
        constraints: Mapping[str, float] | Sequence[float] | None = None,
    ) -> dict[str, Any]:
        """The outcome with everything that was set before it."""
        return _protocol.describe_outcome(
            state,
            values,
            reason=reason,
            cause=cause,
            constraints=self._constraints if constraints is None else constraints,
            user_attrs=self._user_attrs,
            attempt=self.attempt,
        )

    def _tell(
        self, outcome: Mapping[str, Any], *, deadline_seconds: float | None = None
    ) -> FrozenTrial:
        request = _protocol.tell(self.study.name, self.number, outcome)
        return self._note_told(self._connection.call(request, deadline_seconds=deadline_seconds))

    def _note_told(self, document: Mapping[str, Any]) -> FrozenTrial:
        self._lease.close()
        self._told = read_trial(document)
        return self._told

    def _release(self) -> None:
        """Lets somebody else have the trial, which nobody has worked on."""
        reason = "It was handed out to somebody who wanted no more trials."
        self._tell_failure(reason, cause="preempted", is_hasty=True)
        self._lease.close()

    def _end_untold(self) -> None:
        self.tell(state="FAIL", reason="The trial's with block ended without a tell.")

    def _end_by(self, error: BaseException) -> bool:
        """Tells what an exception means, and whether it ends here (a pruning does)."""
        if self._told is not None or is_not_ours(error):
            pass
        elif is_pruning(error):
            self._tell(self._describe_outcome("PRUNED"))
        else:
            self._fail_by(error)
        return is_pruning(error)

    def _fail_by(self, error: BaseException) -> None:
        if isinstance(error, InvalidError):
            # What the server refused may be what is told along.
            self._user_attrs.clear()
            self._constraints.clear()
        is_hasty = isinstance(error, (ApiConnectionError, UnavailableError)) or not isinstance(
            error, Exception
        )
        self._tell_failure(repr(error), is_hasty=is_hasty)

    def _tell_failure(self, reason: str, *, cause: str | None = None, is_hasty: bool) -> None:
        outcome = self._describe_outcome("FAIL", reason=reason, cause=cause)
        try:
            self._tell(outcome, deadline_seconds=LAST_WORDS_SECONDS if is_hasty else None)
        except AsktellError as error:
            # If an exception is under way, that is the one which its owner has to see.
            _logger.warning("Trial %d could not be told FAIL: %s", self.number, error)


def is_not_ours(error: BaseException) -> bool:
    """Whether this error says that the trial has ended, or is in other hands."""
    return isinstance(error, ConflictError) and error.code in _NOT_OURS_CODES


def _find(params: Any, name: str) -> Any:
    """The parameter of that name; in a declared space `a.b` is `b` within the group `a`."""
    if name in params:
        return params[name]
    group, _, rest = name.partition(".")
    inner = params.get(group)
    return _find(inner, rest) if rest and isinstance(inner, Mapping) else _MISSING


def _to_whole(step: Any) -> int:
    whole = int(step)
    if whole != step:
        raise TypeError(f"A step is a whole number, not {step!r}.")
    return whole
