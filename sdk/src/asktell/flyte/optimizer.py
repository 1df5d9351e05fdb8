"""`Optimizer` and `optimize`, with the other names of `flytekitplugins.optuna.optimizer`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

import optuna
from flytekit.core.python_function_task import AsyncPythonFunctionTask
from flytekit.deck import Deck

from asktell._client import Client
from asktell.flyte._deck import draw_study
from asktell.flyte._inputs import Inputs, process
from asktell.flyte._limits import Limits, OnError
from asktell.flyte._objectives import is_task, read_objective
from asktell.flyte._opening import open_trials
from asktell.flyte._suggestions import Category, Float, Integer, Number, Suggestion, suggest
from asktell.flyte._sweep import Sweep

__all__ = [
    "CallbackType",
    "Category",
    "Float",
    "Integer",
    "Number",
    "Optimizer",
    "Result",
    "Suggestion",
    "optimize",
    "process",
    "suggest",
]

Result = float | tuple[float, ...]
CallbackType = Callable[..., Awaitable[Result] | Result]


class Optimizer:
    """Runs an objective as trials of an Optuna study, so many at a time.

    ```python
    optimizer = Optimizer(objective, concurrency=4, n_trials=100)
    await optimizer(x=suggest.float(-10, 10), power=2)
    optimizer.study.best_params
    ```

    Args:
        objective: An async task that returns a float or a tuple of floats, eager ones included;
            or a function with a parameter `trial`, which may be async or return an awaitable.
        concurrency: Most trials that run at a time.
        n_trials: Trials of each await. Both may be assigned later, for the next await.
        study: The study; a new one in memory by default.
        delay: Seconds to wait before each trial.
        server: Address of an Asktell server, or an `asktell.Client`, that keeps the study.
        study_name: Its name, which a server needs.
        resume: Goes on with the study of that name, if the server has one that was created
            alike. Its trials count for `n_trials`, those that run are run again from their
            parameters: a study has one optimizer at a time.
        direction: `minimize`, the default, or `maximize`; of a study that is created here.
        directions: Instead of it, one per value that the objective returns.
        sampler: Optuna's; with a server `{"type": "TPESampler", "args": {…}}`.
        pruner: Likewise.
        on_error: What an error of the objective does, NaN included: `fail` ends its trial as
            FAIL and goes on, `raise` ends the other trials too and raises it.
        max_retries: How often the objective is called again, with the same parameters, when it
            raised something else than TrialPruned.
        timeout: Seconds after which an await starts no more trials.

    Raises:
        ValueError: An argument makes no sense, or the objective does not fit the study.
    """

    def __init__(
        self,
        objective: CallbackType | AsyncPythonFunctionTask[Any],
        concurrency: int,
        n_trials: int,
        study: optuna.Study | None = None,
        delay: float = 0,
        *,
        server: str | Client | None = None,
        study_name: str | None = None,
        resume: bool = True,
        direction: str | Enum | None = None,
        directions: Sequence[str | Enum] | None = None,
        sampler: optuna.samplers.BaseSampler | Mapping[str, Any] | None = None,
        pruner: optuna.pruners.BasePruner | Mapping[str, Any] | None = None,
        on_error: OnError = "fail",
        max_retries: int = 0,
        timeout: float | None = None,
    ) -> None:
        self.objective = objective
        self.concurrency = concurrency
        self.n_trials = n_trials
        self.delay = delay
        self._others: dict[str, Any] = {
            "timeout": timeout,
            "max_retries": max_retries,
            "on_error": on_error,
        }
        self._build_limits()
        self._trials = open_trials(
            study,
            server=server,
            study_name=study_name,
            resume=resume,
            direction=direction,
            directions=directions,
            sampler=sampler,
            pruner=pruner,
        )
        read_objective(objective, self._trials.n_directions)

    @property
    def study(self) -> optuna.Study:
        """The study. Of a server's a copy in memory, as it is now: to read and to plot."""
        return self._trials.study

    @property
    def is_imperative(self) -> bool:
        """Whether the objective is a task rather than a function with a trial."""
        return is_task(self.objective)

    async def __call__(self, **inputs: Any) -> None:
        """Runs `n_trials` more trials.

        No trial is left running, whatever ends it: when this is cancelled, those that run are
        told FAIL.

        Args:
            inputs: Of the objective. Suggestions among them, and in dictionaries among them, are
                replaced by what a trial chooses; each trial gets a deep copy of the others.

        Raises:
            TypeError: The objective cannot be called with these inputs.
            ValueError: Two suggestions share a name; `concurrency`, `n_trials` or `delay` was
                assigned something that makes no sense.
            AsktellError: The server could not be used.
        """
        limits = self._build_limits()
        objective = read_objective(self.objective, self._trials.n_directions)
        objective.check_inputs(inputs)
        await Sweep(objective, self._trials, Inputs(inputs), limits).run()

    def deck(self, name: str = "Optimizer") -> Deck:
        """A Flyte Deck of the study: timeline, history and importances; its HTML is `.html`.

        The task that calls it shows it, if it is declared with `enable_deck=True`.

        Raises:
            ImportError: plotly is not installed.
        """
        return Deck(name, draw_study(self.study))

    def _build_limits(self) -> Limits:
        return Limits(self.concurrency, self.n_trials, self.delay, **self._others)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # On a cluster flytekit takes what has the name of a task in its module for the task,
            # and that is an optimizer if `@optimize` stands above `@task`.
            objective = vars(self).get("objective")
            if name.startswith("__") or not is_task(objective):
                raise AttributeError(f"An Optimizer has no attribute {name!r}.")
            return getattr(objective, name)


def optimize(
    objective: CallbackType | AsyncPythonFunctionTask[Any] | None = None,
    concurrency: int = 1,
    n_trials: int = 1,
    study: optuna.Study | None = None,
    **options: Any,
) -> Any:
    """Makes an `Optimizer` of a function or a task: `@optimize`, or `@optimize(n_trials=10)`.

    Above `@task` it leaves the task usable on a cluster.

    Args:
        objective: As `Optimizer` takes it; without one, a decorator is returned.
        concurrency: Likewise, as all others.
        n_trials: Likewise.
        study: Likewise.
        options: Keyword arguments of `Optimizer`, `delay` among them.

    Raises:
        ValueError: See `Optimizer`.
    """

    def decorate(decorated: Any) -> Optimizer:
        return Optimizer(decorated, concurrency, n_trials, study, **options)

    return decorate if objective is None else decorate(objective)
