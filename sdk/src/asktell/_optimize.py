"""One call of `Study.optimize`: runs an objective, trial after trial, in one or more threads."""

from __future__ import annotations

import gc
import logging
import math
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import TYPE_CHECKING, Any

from asktell._asked import LAST_WORDS_SECONDS
from asktell._errors import ConflictError, StudyPausedError, TooManyRequestsError
from asktell._optimize_arguments import (
    check_n_jobs,
    check_n_trials,
    check_objective,
    check_timeout,
    read_callbacks,
)
from asktell._progress import ProgressBar
from asktell._reasons import explain_error
from asktell._waiting import pause_after

if TYPE_CHECKING:
    from asktell._retries import Clock
    from asktell._study import Study
    from asktell._trial import Trial

# How long one ask waits for a trial; after `stop` nobody should have to wait longer than this.
WAIT_SECONDS = 10.0

GIVEN_UP_REASON = "optimize was interrupted twice, and gave up this trial while it ran."

_logger = logging.getLogger("asktell")


class Optimization:
    """The limits of one `optimize` and what is left of them; its threads share it."""

    def __init__(
        self,
        study: Study,
        objective: Callable[[Any], Any],
        *,
        n_trials: int | None,
        timeout_seconds: float | None,
        catch: type[Exception] | Iterable[type[Exception]],
        callbacks: Iterable[Callable[[Any, Any], object]] | None,
        collects_garbage: bool,
        shows_progress: bool,
        clock: Clock,
    ) -> None:
        check_objective(objective)
        check_n_trials(n_trials)
        check_timeout(timeout_seconds)
        self._study = study
        self._objective = objective
        self._catch = (catch,) if isinstance(catch, type) else tuple(catch)
        self._callbacks = read_callbacks(callbacks)
        self._collects_garbage = collects_garbage
        self._progress: ProgressBar | None = None
        if shows_progress:
            self._progress = ProgressBar(
                study, n_trials=n_trials, timeout_seconds=timeout_seconds, clock=clock
            )
        self._clock = clock
        self._trials_left = math.inf if n_trials is None else n_trials
        self._ends_at = math.inf
        if timeout_seconds is not None:
            self._ends_at = clock.monotonic() + timeout_seconds
        self._is_stopped = False
        self._has_study_finished = False
        self._is_waiting = False
        self._has_given_up = False
        self._running: set[Trial] = set()
        self._lock = threading.Lock()

    def run(self, n_jobs: int) -> None:
        """Runs trials until a limit or `stop()`.

        Raises:
            BaseException: What ended a trial and was not to be caught.
            ValueError: `n_jobs` is neither positive nor -1.
            TypeError: It is no number.
        """
        check_n_jobs(n_jobs)
        jobs = (os.cpu_count() or 1) if n_jobs == -1 else n_jobs
        try:
            if jobs == 1:
                self._work()
            else:
                self._work_in_threads(jobs)
        finally:
            if self._progress is not None:
                self._progress.close()

    def stop(self) -> None:
        """Lets the running trials be the last ones."""
        self._is_stopped = True

    def _work_in_threads(self, jobs: int) -> None:
        futures: list[Future[None]] = []
        try:
            futures.extend(self._start_thread(f"asktell_{number}") for number in range(jobs))
            wait(futures, return_when=FIRST_EXCEPTION)
            # After an exception the others end their trial.
            self.stop()
            wait(futures)
        except BaseException:
            # Ctrl-C, which reaches this thread only.
            self.stop()
            self._wait_or_give_up(futures)
            raise
        for future in futures:
            future.result()

    def _start_thread(self, name: str) -> Future[None]:
        future: Future[None] = Future()
        # A pool's threads would keep the process until the objectives that were given up return.
        threading.Thread(target=self._fulfil, args=(future,), name=name, daemon=True).start()
        return future

    def _fulfil(self, future: Future[None]) -> None:
        try:
            self._work()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(None)

    def _announce_last_trials(self) -> None:
        count = len(self._running)
        _logger.warning(
            "Waiting for %d running %s; Ctrl-C again gives %s up.",
            count,
            "trial" if count == 1 else "trials",
            "it" if count == 1 else "them",
        )

    def _wait_or_give_up(self, futures: Iterable[Future[None]]) -> None:
        try:
            self._announce_last_trials()
            wait(futures)
        except BaseException:
            self._has_given_up = True
            self._give_up_running()
            raise

    def _give_up_running(self) -> None:
        ends_at = self._clock.monotonic() + LAST_WORDS_SECONDS
        for trial in list(self._running):
            if self._clock.monotonic() < ends_at:
                trial._tell_failure(GIVEN_UP_REASON, is_hasty=True)
            trial._lease.close()

    def _work(self) -> None:
        while self._take_turn():
            self._run_trial()

    def _take_turn(self) -> bool:
        with self._lock:
            if self._is_over() or self._trials_left <= 0:
                return False
            self._trials_left -= 1
            return True

    def _is_over(self) -> bool:
        is_at_end = self._is_stopped or self._has_study_finished
        return is_at_end or self._clock.monotonic() >= self._ends_at

    def _run_trial(self) -> None:
        trial = self._ask_unless_failed()
        if trial is None:
            return
        self._running.add(trial)
        try:
            self._evaluate_while_ours(trial)
        finally:
            self._running.discard(trial)
            trial._lease.close()
            if self._collects_garbage:
                gc.collect()
        if self._has_given_up:
            return
        if trial.told is not None and trial.told.state.is_finished():
            for callback in self._callbacks:
                callback(self._study, trial.told)
        if self._progress is not None:
            self._progress.advance()

    def _ask_unless_failed(self) -> Trial | None:
        """The next trial; None also when the study's Python has failed it before anybody got it."""
        try:
            return self._ask()
        except ConflictError as error:
            if error.code != "python-failed":
                raise
            _logger.warning("A trial failed before it was started: %s", error.message)
            return None

    def _ask(self) -> Trial | None:
        """The next trial, however long others keep it; None when there will be none."""
        while not self._is_over():
            trial = self._ask_for_a_while()
            if trial is not None:
                return self._keep(trial)
        return None

    def _ask_for_a_while(self) -> Trial | None:
        try:
            (trial,) = self._study._ask(
                1, wait_seconds=self._bound(WAIT_SECONDS), deadline_seconds=self._bound(math.inf)
            )
            return trial
        except (StudyPausedError, TooManyRequestsError) as refusal:
            self._announce_waiting(refusal)
            self._clock.sleep(self._bound(pause_after(refusal)))
        except ConflictError as error:
            if error.code != "study-finished":
                raise
            self._has_study_finished = True
        return None

    def _bound(self, seconds: float) -> float:
        return max(0.0, min(seconds, self._ends_at - self._clock.monotonic()))

    def _keep(self, trial: Trial) -> Trial | None:
        self._is_waiting = False
        if not self._is_stopped:
            return trial
        # While this thread waited for it, somebody said that there shall be no more.
        trial._release()
        return None

    def _announce_waiting(self, refusal: Exception) -> None:
        if not self._is_waiting:
            _logger.info("Waiting for a trial: %s", refusal)
        self._is_waiting = True

    def _evaluate_while_ours(self, trial: Trial) -> None:
        try:
            self._evaluate(trial)
        except ConflictError as error:
            if not trial._lease.is_ended_by(error):
                raise
            _logger.warning("Trial %d is not ours any more: %s", trial.number, error)

    def _evaluate(self, trial: Trial) -> None:
        try:
            returned = self._objective(trial)
        except BaseException as error:
            if trial._lease.is_ended_by(error):
                raise
            is_pruned = trial._end_by(error)
            if is_pruned:
                _logger.info("Trial %d was pruned.", trial.number)
                return
            _logger.warning("Trial %d failed: %s", trial.number, explain_error(error))
            if not isinstance(error, self._catch):
                raise
        else:
            self._tell_returned(trial, returned)

    def _tell_returned(self, trial: Trial, returned: Any) -> None:
        if trial.told is not None:
            return
        try:
            values = read_values(returned, len(self._study.objectives))
        except ValueError as flaw:
            trial._fail(str(flaw))
            _logger.warning("Trial %d failed: %s", trial.number, flaw)
            return
        try:
            told = trial.tell(values)
        except Exception as error:
            # Something that is told along, such as an attribute, was refused.
            trial._end_by(error)
            raise
        _logger.info("Trial %d finished with %s.", trial.number, told.values)


def read_values(returned: Any, n_objectives: int) -> list[float]:
    """What an objective returned, as numbers; ValueError says why it cannot be told."""
    is_several = isinstance(returned, Sequence) and not isinstance(returned, str)
    values = returned if is_several else [returned]
    if len(values) != n_objectives:
        raise ValueError(
            f"The objective returned {len(values)} values, but the study has "
            f"{n_objectives} objectives."
        )
    numbers = [_read_number(value) for value in values]
    if any(math.isnan(number) for number in numbers):
        raise ValueError("The objective returned NaN.")
    return numbers


def _read_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        shown = repr(value)[:80]
        raise ValueError(f"The objective returned {shown}, which is not a number.") from error
