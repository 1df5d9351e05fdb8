"""A study on the server: ask for trials, tell how they ended, look at them, optimize."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, overload

from asktell import _protocol
from asktell._imports import add_trials
from asktell._json import to_plain
from asktell._leases import DEFAULT_LEASE_SECONDS, open_lease
from asktell._optimize import Optimization
from asktell._protocol import LEFT_OUT, LeftOut
from asktell._reading import ReadableStudy
from asktell._records import FrozenTrial
from asktell._telling import tell, tell_many
from asktell._trial import Trial
from asktell._waiting import ask

if TYPE_CHECKING:
    from asktell._connection import Connection
    from asktell._heartbeats import Heartbeats


class Study(ReadableStudy):
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
    """

    def __init__(
        self, connection: Connection, heartbeats: Heartbeats, document: Mapping[str, Any]
    ) -> None:
        super().__init__(connection, document)
        self._heartbeats = heartbeats
        self._optimizations: list[Optimization] = []

    @overload
    def ask(
        self,
        count: None = None,
        *,
        params: Mapping[str, Any] | None = None,
        distributions: Mapping[str, Any] | None = None,
        lease_seconds: float | None = DEFAULT_LEASE_SECONDS,
        wait_seconds: float = 0.0,
    ) -> Trial: ...

    @overload
    def ask(
        self,
        count: int,
        *,
        params: Mapping[str, Any] | None = None,
        distributions: Mapping[str, Any] | None = None,
        lease_seconds: float | None = DEFAULT_LEASE_SECONDS,
        wait_seconds: float = 0.0,
    ) -> list[Trial]: ...

    def ask(
        self,
        count: int | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        distributions: Mapping[str, Any] | None = None,
        lease_seconds: float | None = DEFAULT_LEASE_SECONDS,
        wait_seconds: float = 0.0,
    ) -> Trial | list[Trial]:
        """Starts a trial, or `count` of them as a list.

        Args:
            count: 1 to 1000.
            params: Values to fix instead of having them suggested.
            distributions: The search space of this ask, where the study declares none; in the
                API's form or in Optuna's distributions.
            lease_seconds: After how long without a word the trial counts as lost, at least 1;
                None for never. It is renewed in the background as long as somebody holds the
                Trial; whoever keeps only its number asks for as long as the trial may take.
            wait_seconds: How long to wait while the study is paused, or as many trials run as it
                allows.

        Raises:
            StudyPausedError: It was paused all the time.
            TooManyRequestsError: `parallelism-reached` all the time.
            ConflictError: `study-finished`: the budget is spent, somebody ended the study, or
                the sampler has nothing left to suggest. `python-failed`: the study's Python has
                failed the next trial, which is FAIL now.
            InvalidError: The params contradict the declared space.
            NotFoundError: The study was deleted.

        Example:
            >>> trial = study.ask()
            >>> study.tell(trial, trial.suggest_float("x", 0, 1) ** 2).state.name
            'COMPLETE'
            >>> [trial.number for trial in study.ask(3)]
            [1, 2, 3]
        """
        trials = self._ask(
            1 if count is None else count,
            params=params,
            distributions=distributions,
            lease_seconds=lease_seconds,
            wait_seconds=wait_seconds,
        )
        return trials[0] if count is None else trials

    def tell(
        self,
        trial: Trial | int,
        values: float | Sequence[float] | None = None,
        state: str | Enum | None = None,
        *,
        reason: str | None = None,
        cause: str | None = None,
        constraints: Mapping[str, float] | Sequence[float] | None = None,
    ) -> FrozenTrial:
        """Ends a trial. Telling the same again changes nothing and is no error.

        The answer is RUNNING when a failure led to a further attempt.

        Args:
            trial: The trial, or its number; only the former brings along what was set on it, and
                is refused when somebody else has the trial now.
            values: A number, or one per objective, for COMPLETE.
            state: COMPLETE when values are given; else PRUNED or FAIL as text or enum.
            reason: Why it failed.
            cause: Of a FAIL: `failed`, or `preempted` when its machine was taken away, after
                which studies try it again by default.
            constraints: Satisfied if ≤ 0, by name or as a list, in place of those set on the
                trial. All trials of a study that have any have the same.

        Raises:
            LeaseLostError: Somebody else has the trial now.
            ConflictError: `already-told`, and told something else.
            InvalidError: Wrong number of values, or NaN among them. The trial is untouched.
            ValueError: Neither values nor a state, or a trial of another study.
        """
        details = {"reason": reason, "cause": cause, "constraints": constraints}
        return self._connection.run(
            tell(self._heartbeats, self.name, trial, values, state, **details)
        )

    def tell_many(self, tells: Iterable[tuple[Any, ...]]) -> list[FrozenTrial]:
        """Ends up to 1000 trials in one request, all or none.

        Args:
            tells: For each the positional arguments of `tell`: `(trial, values)` or
                `(trial, values, state)`.

        Raises:
            ConflictError: One of them was told something else, or has somebody else.
            InvalidError: One of them is not valid. No trial was touched.
            ValueError: Neither values nor a state, or a trial of another study.

        Example:
            >>> one, other = study.ask(2)
            >>> told = study.tell_many([(one, 0.5), (other, None, "FAIL")])
            >>> [trial.state.name for trial in told]
            ['COMPLETE', 'FAIL']
        """
        return self._connection.run(tell_many(self._heartbeats, self.name, tells))

    def enqueue_trial(
        self, params: Mapping[str, Any], user_attrs: Mapping[str, Any] | None = None
    ) -> int:
        """Lets a later ask hand out these parameters, and returns the number of that trial.

        Args:
            params: The sampler chooses those that are left out.
            user_attrs: JSON values kept with the trial.

        Raises:
            InvalidError: The params contradict the declared space.

        Example:
            >>> study.enqueue_trial({"x": 0.25})
            0
            >>> study.ask().suggest_float("x", 0, 1)
            0.25
        """
        document = {"params": to_plain(params), "user_attrs": to_plain(user_attrs or {})}
        numbers = self._connection.call(_protocol.enqueue(self.name, [document]))["numbers"]
        return int(numbers[0])

    def add_trial(self, trial: Any, *, distributions: Mapping[str, Any] | None = None) -> int:
        """Adds a trial that finished elsewhere, and returns its number here; see `add_trials`.

        Example:
            >>> import optuna
            >>> study.add_trial(optuna.trial.create_trial(value=0.5))
            0
        """
        return self.add_trials([trial], distributions=distributions)[0]

    def add_trials(
        self,
        trials: Iterable[Any],
        *,
        distributions: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> list[int]:
        """Adds trials that finished elsewhere, and returns their numbers here.

        They teach the sampler, and spend no budget. Each 200 of them are added together or not at
        all.

        Args:
            trials: FrozenTrial objects, Optuna's or ours, or documents as the API takes them.
            distributions: Of their parameters, for our own in a study that declares no space.
            idempotency_key: Of the caller's own, for at most 200 trials: within a day the same
                trials under the same key are added once, by whichever process.

        Raises:
            InvalidError: A trial does not fit the study.
            ValueError: A trial is not finished; `enqueue_trial` is for those. Or there are more
                trials than one key is for.
        """
        return self._connection.run(
            add_trials(
                self._connection.server,
                self,
                trials,
                distributions=distributions,
                idempotency_key=idempotency_key,
            )
        )

    def optimize(
        self,
        func: Callable[[Any], Any],
        n_trials: int | None = None,
        timeout: float | None = None,
        n_jobs: int = 1,
        catch: type[Exception] | Iterable[type[Exception]] = (),
        callbacks: Iterable[Callable[[Any, Any], object]] | None = None,
        gc_after_trial: bool = False,
        show_progress_bar: bool = False,
    ) -> None:
        """Runs an Optuna objective until one of the limits, `stop()`, or the end of the study.

        An exception of the objective tells FAIL and is raised again, unless it is to be caught;
        TrialPruned tells PRUNED. A returned NaN, None or wrong number of values is a FAIL. A trial
        that somebody else has got meanwhile, because its lease ran out, is left to them. One that
        the study's own Python has failed counts as a trial and ends nothing.

        While the study is paused, and while others run as many trials as it allows, it waits.

        Ctrl-C fails the running trial. With several threads it starts no more and waits for those
        that run; a second one tells them FAIL and is raised at once. A thread cannot be ended from
        outside: an objective that was given up goes on until it returns, or the process ends.

        Args:
            func: The objective: takes a Trial, returns its value or values.
            n_trials: Trials to start here; None for no limit.
            timeout: Seconds after which no further trial is started.
            n_jobs: Threads that run trials; -1 for one per processor.
            catch: Exceptions after which to go on with the next trial.
            callbacks: Called with the study and the finished trial, by the thread that ran it.
            gc_after_trial: Whether to collect garbage after each trial.
            show_progress_bar: Whether to draw one with tqdm, which also names the best trial of
                the study; that takes a request after each trial.

        Raises:
            AsktellError: The server could not be used.
            TypeError: An argument is of another kind; no trial was started.
            ValueError: n_trials or timeout is negative, or n_jobs neither positive nor -1.

        Example:
            >>> study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=3)
            >>> [trial.state.name for trial in study.trials]
            ['COMPLETE', 'COMPLETE', 'COMPLETE']
        """
        optimization = Optimization(
            self,
            func,
            n_trials=n_trials,
            timeout_seconds=timeout,
            catch=catch,
            callbacks=callbacks,
            collects_garbage=gc_after_trial,
            shows_progress=show_progress_bar,
            clock=self._connection.clock,
        )
        self._optimizations.append(optimization)
        try:
            optimization.run(n_jobs)
        finally:
            self._optimizations.remove(optimization)

    def stop(self) -> None:
        """Lets every `optimize` of this object end after the trials that it is running.

        A trial that arrives for a thread that was waiting for one is given back.

        Raises:
            RuntimeError: No `optimize` is running.
        """
        if not self._optimizations:
            raise RuntimeError("Nothing to stop: `optimize` is not running.")
        for optimization in list(self._optimizations):
            optimization.stop()

    def pause(self) -> None:
        """Lets nobody start a trial until `resume`; those that run go on."""
        self._change_state("pause")

    def resume(self) -> None:
        """Lets trials be started again after `pause` or `finish`.

        Raises:
            ConflictError: `study-finished`: its budget is spent; `configure` can raise it.
        """
        self._change_state("resume")

    def finish(self) -> None:
        """Lets nobody start a trial any more; those that run go on and are the last ones.

        It holds for everybody who works on the study, unlike `stop`, which ends an `optimize` of
        this object as it does in Optuna.
        """
        self._change_state("stop")

    def configure(
        self,
        *,
        budget: Mapping[str, Any] | LeftOut = LEFT_OUT,
        parallelism: int | LeftOut | None = LEFT_OUT,
        lease_seconds: float | LeftOut | None = LEFT_OUT,
        retry: Mapping[str, Any] | LeftOut = LEFT_OUT,
    ) -> None:
        """Changes settings of the study; see `Client.create_study`. A larger budget reopens it.

        What is left out stays as it is, also within `budget` and `retry`. None means no limit.

        Raises:
            InvalidError: A setting makes no sense.

        Example:
            >>> study.configure(budget={"max_trials": 100, "target": 0.01}, parallelism=8)
            >>> study.summary().max_trials
            100
        """
        document = _protocol.describe_settings(
            {
                "budget": budget,
                "parallelism": parallelism,
                "lease_seconds": lease_seconds,
                "retry": retry,
            }
        )
        self._connection.call(_protocol.patch_study(self.name, document))

    def set_user_attr(self, key: str, value: Any) -> None:
        """Keeps a JSON value with the study.

        Raises:
            TypeError: The value has no JSON form.
            ValueError: It contains a NaN or an infinity.
        """
        document = {"user_attrs": to_plain({key: value})}
        self._connection.call(_protocol.patch_study(self.name, document))

    def __getstate__(self) -> dict[str, Any]:
        # What this process is optimizing is nothing to another one.
        return self.__dict__ | {"_optimizations": []}

    def _ask(
        self, count: int, *, lease_seconds: float | None = DEFAULT_LEASE_SECONDS, **wishes: Any
    ) -> list[Trial]:
        exchange = ask(
            self._connection.server, self.name, count=count, lease_seconds=lease_seconds, **wishes
        )
        asked = self._connection.run(exchange)
        return [self._start_trial(each, lease_seconds, asked.sent_at) for each in asked.trials]

    def _start_trial(
        self, asked: Mapping[str, Any], lease_seconds: float | None, sent_at: float
    ) -> Trial:
        lease = open_lease(
            self._heartbeats, self.name, asked, seconds=lease_seconds, sent_at=sent_at
        )
        return Trial(self, self._connection, asked, lease)

    def _change_state(self, action: str) -> None:
        self._connection.call(_protocol.change_state(self.name, action))
