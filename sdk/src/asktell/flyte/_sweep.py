"""One await of an optimizer: trials one after the other, so many at a time."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Any

from optuna.trial import TrialState

from asktell._errors import StudyPausedError, TooManyRequestsError
from asktell._waiting import pause_after
from asktell.flyte._inputs import Inputs
from asktell.flyte._limits import Limits
from asktell.flyte._objectives import Objective
from asktell.flyte._outcomes import Outcome, read_error, read_returned
from asktell.flyte._patience import finish, settle
from asktell.flyte._trials import Trials

_logger = logging.getLogger("asktell")

_CANCELLED = Outcome(
    TrialState.FAIL, reason="The optimizer was cancelled while this trial ran.", is_hasty=True
)

_LEFT = Outcome(
    TrialState.FAIL, reason="The optimizer ended before it came to this trial.", is_hasty=True
)


class ObjectiveCancelledError(Exception):
    """The objective was cancelled from within, which does not end the optimizer."""


class Sweep:
    """Runs trials until so many were started, or a limit is reached.

    No trial that it has started is running any more when `run` has ended, however it ends.
    """

    def __init__(
        self,
        objective: Objective,
        trials: Trials,
        inputs: Inputs,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._objective = objective
        self._trials = trials
        self._inputs = inputs
        self._limits = limits
        self._clock = clock
        self._ends_at = math.inf
        self._asking = asyncio.Lock()
        self._trials_left = 0

    async def run(self) -> None:
        """Runs the trials.

        Raises:
            BaseException: What ended a trial, if errors are to be raised; what kept a trial from
                being started or told.
        """
        if self._limits.timeout is not None:
            self._ends_at = self._clock() + self._limits.timeout
        self._trials_left, cancellation = await finish(self._trials.prepare(self._limits.n_trials))
        outcome: Outcome | None = _LEFT
        try:
            if cancellation is not None:
                raise cancellation
            await self._run_slots()
            outcome = None
        finally:
            await self._leave(outcome)

    async def _run_slots(self) -> None:
        n_slots = min(self._limits.concurrency, self._trials_left)
        slots = [asyncio.ensure_future(self._run_slot()) for _ in range(n_slots)]
        if slots:
            await _await_all(slots)

    async def _leave(self, outcome: Outcome | None) -> None:
        _, cancellation = await finish(self._trials.leave(outcome))
        if cancellation is not None:
            raise cancellation

    async def _run_slot(self) -> None:
        while self._take_turn():
            await asyncio.sleep(self._limits.delay)
            trial = await self._wait_for_trial()
            if trial is None:
                self._trials_left = 0
                return
            await self._run_trial(trial)

    def _take_turn(self) -> bool:
        if self._trials_left <= 0:
            return False
        self._trials_left -= 1
        return True

    async def _wait_for_trial(self) -> Any | None:
        # One slot at a time: the others would wait for the same.
        async with self._asking:
            pause = 0.0
            while self._clock() < self._ends_at:
                await asyncio.sleep(pause)
                try:
                    return await self._ask()
                except (StudyPausedError, TooManyRequestsError) as refusal:
                    _logger.info("Waiting for a trial: %s", refusal)
                    pause = pause_after(refusal)
            return None

    async def _ask(self) -> Any | None:
        trial, cancellation = await finish(self._trials.ask(self._inputs.suggestions))
        if cancellation is None:
            return trial
        if trial is not None:
            await self._tell(trial, _CANCELLED)
        raise cancellation

    async def _run_trial(self, trial: Any) -> None:
        outcome, error = _CANCELLED, None
        try:
            outcome, error = await self._evaluate(trial)
        except asyncio.CancelledError:
            raise
        except BaseException as problem:
            # Nothing that another trial would be spared.
            outcome = read_error(problem)
            raise
        finally:
            await self._tell(trial, outcome)
        if error is not None and self._limits.on_error == "raise":
            raise error

    async def _evaluate(self, trial: Any) -> tuple[Outcome, Exception | None]:
        """The end of the trial, and the error of its objective if that is what ended it."""
        for tries_left in range(self._limits.max_retries, -1, -1):
            inputs = self._inputs.resolve(trial)
            try:
                returned = await self._call(trial, inputs)
            except Exception as error:
                outcome = read_error(error)
                if outcome.state is TrialState.PRUNED:
                    return outcome, None
                _logger.warning("Trial %d failed: %s", trial.number, outcome.reason)
                if not tries_left:
                    return outcome, error
            else:
                return self._judge(trial, returned)
        raise AssertionError("The last try has returned.")

    def _judge(self, trial: Any, returned: Any) -> tuple[Outcome, Exception | None]:
        try:
            return read_returned(returned, self._trials.n_directions), None
        except ValueError as flaw:
            _logger.warning("Trial %d failed: %s", trial.number, flaw)
            return Outcome(TrialState.FAIL, reason=str(flaw)), flaw

    async def _call(self, trial: Any, inputs: dict[str, Any]) -> Any:
        # In a task of its own, to tell its being cancelled from the optimizer's.
        evaluating = asyncio.ensure_future(self._evaluate_in_place(trial, inputs))
        try:
            await asyncio.wait([evaluating])
        except asyncio.CancelledError:
            evaluating.cancel()
            await settle([evaluating])
            raise
        if evaluating.cancelled():
            raise ObjectiveCancelledError("The objective was cancelled, but not by the optimizer.")
        return evaluating.result()

    async def _evaluate_in_place(self, trial: Any, inputs: dict[str, Any]) -> Any:
        self._trials.place(trial)
        return await self._objective.evaluate(trial, inputs)

    async def _tell(self, trial: Any, outcome: Outcome) -> None:
        is_handed_out_again, cancellation = await finish(self._trials.tell(trial, outcome))
        self._trials_left += is_handed_out_again
        if cancellation is not None:
            raise cancellation


async def _await_all(slots: list[asyncio.Task[None]]) -> None:
    """Waits for all slots; the first error ends them all and is raised, when they have ended."""
    try:
        await asyncio.wait(slots, return_when=asyncio.FIRST_EXCEPTION)
    except asyncio.CancelledError:
        _announce(await _end_all(slots))
        raise
    errors = await _end_all(slots)
    _announce(errors[1:])
    if errors:
        raise errors[0]


async def _end_all(slots: list[asyncio.Task[None]]) -> list[BaseException]:
    """The errors of the slots; of those that end only now at last."""
    ended_first = sorted(slots, key=lambda slot: not slot.done())
    for slot in slots:
        slot.cancel()
    await settle(slots)
    return [
        error
        for slot in ended_first
        if not slot.cancelled() and (error := slot.exception()) is not None
    ]


def _announce(errors: list[BaseException]) -> None:
    for error in errors:
        _logger.warning("An optimizer that was ending met a further error: %r", error)
