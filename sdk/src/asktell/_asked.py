"""A trial that this process was handed out: what it keeps of it, and what it says to the server.

Everything here is without IO: `Trial` and `AsyncTrial` run the exchanges, each in its own way.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from asktell import _protocol
from asktell._errors import (
    ApiConnectionError,
    ApiError,
    AsktellError,
    InvalidError,
    UnavailableError,
)
from asktell._exchange import is_away
from asktell._json import dump, to_plain
from asktell._optuna import is_pruning
from asktell._reasons import explain_error
from asktell._records import FrozenTrial, read_trial
from asktell._suggested import check_again, check_choices, find_choice
from asktell._texts import check_name, check_texts

if TYPE_CHECKING:
    from asktell._exchange import Exchange, Server
    from asktell._leases import Lease

# Whoever was interrupted, or has just waited in vain, does not wait for the whole deadline again.
LAST_WORDS_SECONDS = 5.0

UNTOLD_REASON = "The trial's with block ended without a tell."
UNWANTED_REASON = "It was handed out to somebody who wanted no more trials."

_MISSING: Any = object()

_Choice = TypeVar("_Choice")

_logger = logging.getLogger("asktell")


class AskedTrial:
    """What `Trial` and `AsyncTrial` have in common; see there.

    Attributes:
        number: Its number within the study.
        attempt: Which execution of the trial this is, from 1.
    """

    def __init__(self, server: Server, study: str, asked: Mapping[str, Any], lease: Lease) -> None:
        self.number: int = asked["number"]
        self.attempt: int = asked["attempt"]
        self._server = server
        self._study_name = study
        self._lease = lease
        self._reports = lease.reports
        self._params: dict[str, Any] = dict(asked["params"])
        self._space: dict[str, Any] = {}
        self._kept_user_attrs: dict[str, Any] = dict(asked["user_attrs"])
        self._user_attrs: dict[str, Any] = {}
        self._constraints: dict[str, float] = {}
        self._told: FrozenTrial | None = None

    @property
    def params(self) -> dict[str, Any]:
        """The parameters chosen so far; with a declared space all of them, nested as it is."""
        return dict(self._params)

    @property
    def user_attrs(self) -> dict[str, Any]:
        """What was enqueued with the trial, and what `set_user_attr` was given."""
        return self._kept_user_attrs | self._user_attrs

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

    def set_user_attr(self, key: str, value: Any) -> None:
        """Keeps a JSON value with the trial. It reaches the server when the trial is told.

        Raises:
            TypeError: The value has no JSON form.
            ValueError: It contains a NaN, an infinity, or text that no server keeps: with NUL or
                half of a surrogate pair. Or its name does, or has not 1 to 512 characters.
        """
        plain = to_plain({key: value})
        check_name(key, "an attribute")
        check_texts(plain, f"the attribute {key!r}")
        dump(plain)
        self._user_attrs |= plain

    def set_constraint(self, key: str, value: float) -> None:
        """Keeps a constraint, satisfied if ≤ 0. It reaches the server when the trial is told.

        As in Optuna the first value of a constraint is the one that counts.

        Raises:
            TypeError: The value is no number.
            ValueError: It is NaN, or its name cannot be kept, as in `set_user_attr`.
        """
        check_name(key, "a constraint")
        number = float(value)
        if math.isnan(number):
            raise ValueError(f"The constraint {key!r} is NaN; a number says how far it is met.")
        if self._constraints.setdefault(key, number) != number:
            warnings.warn(f"The constraint {key!r} is set already and stays.", stacklevel=2)

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(study={self._study_name!r}, number={self.number}, params={self._params!r})"

    def __reduce__(self) -> NoReturn:
        """Refuses to be pickled.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            f"Trial {self.number} stays in the process that asked for it, which renews its lease: "
            "pass its study, and ask for the trial where it runs."
        )

    def _suggesting(self, name: str, document: Any) -> Exchange[Any]:
        space = _protocol.describe_space({name: document})
        known = _find(self._params, name)
        if known is not _MISSING:
            check_again(name, known, self._space.get(name, space[name]), space[name])
            self._space.setdefault(name, space[name])
            return known
        request = _protocol.suggest(self._study_name, self.number, space)
        self._params |= (yield from self._lease.use(self._server.call(request)))["params"]
        self._space |= space
        return self._params[name]

    def _choosing(self, name: str, choices: Sequence[_Choice]) -> Exchange[_Choice]:
        plain = [to_plain(choice) for choice in choices]
        if _find(self._params, name) is _MISSING:
            check_choices(name, plain)
        chosen = yield from self._suggesting(name, {"type": "categorical", "choices": plain})
        return find_choice(name, chosen, choices)

    def _reporting(self, value: float, step: int) -> Exchange[None]:
        self._lease.check()
        if self._reports.is_full:
            yield from self._lease.deliver(self._server.call)
        self._reports.keep(value, step)
        if self._reports.is_away:
            self._lease.keep_watched()
            return
        try:
            yield from self._lease.deliver(self._server.call_briefly)
        except (ApiConnectionError, ApiError) as error:
            if not is_away(error):
                raise
            self._lease.await_server(error)

    def _deciding(self) -> Exchange[bool]:
        self._lease.check()
        if self._reports.should_prune is None and not self._reports.is_away:
            request = _protocol.prune(self._study_name, self.number, attempt=self.attempt)
            answer = yield from self._lease.use(self._server.call(request))
            return bool(answer["should_prune"])
        return bool(self._reports.should_prune)

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

    def _telling(
        self, outcome: Mapping[str, Any], *, deadline_seconds: float | None = None
    ) -> Exchange[FrozenTrial]:
        call = partial(self._server.call, deadline_seconds=deadline_seconds)
        yield from self._lease.deliver_last(call)
        request = _protocol.tell(self._study_name, self.number, outcome)
        return self._note_told((yield from self._lease.listen(call(request))))

    def _ending(
        self,
        state: str,
        *,
        reason: str | None = None,
        cause: str | None = None,
        deadline_seconds: float | None = None,
    ) -> Exchange[FrozenTrial]:
        """Tells an end that has no values, if need be without what was set on the trial."""
        outcome = self._describe_outcome(state, reason=reason, cause=cause)
        try:
            return (yield from self._telling(outcome, deadline_seconds=deadline_seconds))
        except InvalidError as error:
            _logger.warning("Trial %d is told %s without more: %s", self.number, state, error)
        # No reason to leave the trial running.
        self._user_attrs.clear()
        self._constraints.clear()
        outcome = self._describe_outcome(state, reason=reason, cause=cause)
        return (yield from self._telling(outcome, deadline_seconds=deadline_seconds))

    def _note_told(self, document: Mapping[str, Any]) -> FrozenTrial:
        self._lease.close()
        self._told = read_trial(document)
        return self._told

    def _ending_by(self, error: BaseException) -> Exchange[bool]:
        """Tells what an exception means, and whether it ends here (a pruning does)."""
        if self._told is not None or self._lease.is_ended_by(error):
            pass
        elif is_pruning(error):
            yield from self._pruning()
        else:
            yield from self._failing_by(error)
        return is_pruning(error)

    def _pruning(self) -> Exchange[None]:
        try:
            yield from self._ending("PRUNED")
        except InvalidError as error:
            yield from self._failing_by(error)

    def _failing_by(self, error: BaseException) -> Exchange[None]:
        is_hasty = isinstance(error, (ApiConnectionError, UnavailableError)) or not isinstance(
            error, Exception
        )
        yield from self._telling_failure(explain_error(error), is_hasty=is_hasty)

    def _telling_failure(
        self, reason: str, *, cause: str | None = None, is_hasty: bool
    ) -> Exchange[None]:
        deadline_seconds = LAST_WORDS_SECONDS if is_hasty else None
        try:
            yield from self._delivering_before_failure(deadline_seconds)
            yield from self._ending(
                "FAIL", reason=reason, cause=cause, deadline_seconds=deadline_seconds
            )
        except AsktellError as error:
            # If an exception is under way, that is the one which its owner has to see.
            _logger.warning("Trial %d could not be told FAIL: %s", self.number, error)

    def _delivering_before_failure(self, deadline_seconds: float | None) -> Exchange[None]:
        call = partial(self._server.call, deadline_seconds=deadline_seconds)
        try:
            yield from self._lease.deliver_last(call)
        except InvalidError as error:
            # No reason to leave the trial running.
            self._reports.clear()
            _logger.warning("Reports of trial %d were refused: %s", self.number, error)

    def _releasing(self) -> Exchange[None]:
        """Lets somebody else have the trial, which nobody has worked on."""
        yield from self._telling_failure(UNWANTED_REASON, cause="preempted", is_hasty=True)
        self._lease.close()


def _find(params: Any, name: str) -> Any:
    """The parameter of that name; in a declared space `a.b` is `b` within the group `a`."""
    if name in params:
        return params[name]
    group, _, rest = name.partition(".")
    inner = params.get(group)
    return _find(inner, rest) if rest and isinstance(inner, Mapping) else _MISSING
