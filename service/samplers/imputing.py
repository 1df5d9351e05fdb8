"""Trials that failed or still run, counted with a value in place of the one that they lack."""

import copy
import math
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

IMPUTED_ATTR = "asktell:imputed"
"""Trial system attribute: what the running trials counted with when this one was drawn."""

STRATEGIES = ("best", "latest", "worst")
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class ImputingSampler(BaseSampler):
    """Wraps a sampler, to which it shows failed or running trials as complete ones.

    The words are those of `impute` and `impute_while_running` in sweeps of W&B, as its package
    `sweeps` 0.3.0 reads them (`impute` in `bayes_search.py`); only finite values count:

    - `latest`: the last value that the trial reported.
    - `best`: the best value that the trial reported.
    - `worst`: the worst value that any ended trial reported or ended with.

    Where there is no such value, W&B takes 0, whatever that is worth; here the trial stays what it
    is. There a running trial that has reported counts with its best value, whatever is asked for;
    here it counts with what is asked for. What was pruned stays pruned: the wrapped sampler judges
    it by its reports.

    A trial counts where it has all parameters that are drawn. What the running trials counted with
    is kept in the system attribute `asktell:imputed` of the trial that was drawn, because reports
    have no place in the recorded order.

    Args:
        failed: How trials that have failed count; None: not at all, as in Optuna.
        running: The same for trials that still run.

    Raises:
        ValueError: There is no such word, or both are None.
    """

    def __init__(
        self, base_sampler: BaseSampler, failed: str | None = None, running: str | None = None
    ) -> None:
        given = {"failed": failed, "running": running}
        for name, strategy in given.items():
            if strategy not in (None, *STRATEGIES):
                raise ValueError(f"{name} must be {', '.join(STRATEGIES)} or null.")
        if failed is None and running is None:
            raise ValueError("Say how trials count that have failed, or that are running.")
        self._base_sampler = base_sampler
        self._failed = failed
        self._running = running

    def reseed_rng(self) -> None:
        self._base_sampler.reseed_rng()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._base_sampler.before_trial(study, trial)
        if self._running is None or IMPUTED_ATTR in trial.system_attrs:
            return
        others = [each for each in study._get_trials(deepcopy=False) if each.number != trial.number]
        values = _find_values(others, TrialState.RUNNING, self._running, study.direction)
        document = {str(number): value for number, value in values.items()}
        study._storage.set_trial_system_attr(trial._trial_id, IMPUTED_ATTR, document)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        # By the study itself: a trial that failed may not have come to all of its parameters.
        return self._base_sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        view = self._open_view(study, trial, search_space.keys())
        return self._base_sampler.sample_relative(view, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        view = self._open_view(study, trial, {param_name})
        return self._base_sampler.sample_independent(view, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._base_sampler.after_trial(study, trial, state, values)

    def _open_view(self, study: Study, trial: FrozenTrial, names: Collection[str]) -> Study:
        trials = study._get_trials(deepcopy=False)
        values = self._find_running(study, trial)
        if self._failed is not None:
            values |= _find_values(trials, TrialState.FAIL, self._failed, study.direction)
        shown = [
            _complete(each, values[each.number])
            if each.number in values and all(name in each.params for name in names)
            else each
            for each in trials
        ]
        return _View(study, shown)

    def _find_running(self, study: Study, trial: FrozenTrial) -> dict[int, float]:
        if self._running is None:
            return {}
        attrs = study._storage.get_trial_system_attrs(trial._trial_id)
        values: Mapping[str, float] = attrs.get(IMPUTED_ATTR, {})
        ended = {each.number for each in study._get_trials(deepcopy=False, states=_ENDED)}
        return {int(number): value for number, value in values.items() if int(number) not in ended}


class _View(Study):
    """A study that has these trials in place of its own; what is written goes into the study."""

    def __init__(self, study: Study, trials: list[FrozenTrial]) -> None:
        super().__init__(study.study_name, study._storage, study.sampler, study.pruner)
        self._shown = trials

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,  # noqa: ARG002 - Optuna's signature
    ) -> list[FrozenTrial]:
        found = [trial for trial in self._shown if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found


def _complete(trial: FrozenTrial, value: float) -> FrozenTrial:
    shown = copy.copy(trial)
    shown.state = TrialState.COMPLETE
    shown.value = value
    return shown


def _find_values(
    trials: Sequence[FrozenTrial], state: TrialState, strategy: str, direction: StudyDirection
) -> dict[int, float]:
    """Returns what the trials in a state count with, by number, as far as that can be said."""
    found = [trial for trial in trials if trial.state is state]
    best, worst = (max, min) if direction is StudyDirection.MAXIMIZE else (min, max)
    if strategy == "worst":
        value = _find_worst(trials, worst) if found else None
        return {} if value is None else {trial.number: value for trial in found}
    reports = {trial.number: _list_reports(trial) for trial in found}
    if strategy == "best":
        return {number: best(values) for number, values in reports.items() if values}
    return {number: values[-1] for number, values in reports.items() if values}


def _find_worst(
    trials: Iterable[FrozenTrial], worst: Callable[[Iterable[float]], float]
) -> float | None:
    values = [value for trial in trials if trial.state in _ENDED for value in _list_values(trial)]
    return worst(values) if values else None


def _list_values(trial: FrozenTrial) -> list[float]:
    """Returns the finite ones that a trial reported or ended with."""
    values = [*trial.intermediate_values.values(), *(trial.values or ())]
    return list(filter(math.isfinite, values))


def _list_reports(trial: FrozenTrial) -> list[float]:
    """Returns the finite ones, in the order of their steps."""
    reports = (value for _, value in sorted(trial.intermediate_values.items()))
    return list(filter(math.isfinite, reports))
