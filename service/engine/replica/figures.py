"""Importances and plots, as Optuna makes them. Only replicas import this: plotly is large."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import optuna
from optuna import importance, visualization
from optuna.trial import FrozenTrial, TrialState

from service.domain.insights import Evaluator, PlotKind
from service.domain.studies import StudySpec
from service.engine.replica.messages import View
from service.search_space.variants import find_declared_name

Target = Callable[[FrozenTrial], float]

# The server keeps some of them, and browsers have to show them.
_MOST_BYTES = 16 << 20
_MOST_PAIRED = 6
_PAIRED = (PlotKind.CONTOUR, PlotKind.RANK)


def rate_params(study: optuna.Study, spec: StudySpec, view: View) -> dict[str, float]:
    """Returns how much each parameter matters, the most important one first.

    Raises:
        ValueError: There are too few trials, no such parameters, or values that cannot be rated.
        ImportError: The evaluator needs a package that is not installed.
    """
    rated = importance.get_param_importances(
        study,
        evaluator=_build_evaluator(view.evaluator, spec.seed),
        params=None if view.params is None else list(view.params),
        target=_build_target(view.objective),
    )
    return {name: float(value) for name, value in rated.items()}


def draw_plot(study: optuna.Study, spec: StudySpec, kind: PlotKind, view: View) -> str:
    """Returns a plot as Plotly's JSON, of 16 MiB at most.

    Raises:
        ValueError: The study or its trials do not fit the plot, or there are too many of them.
        ImportError: A package is not installed.
    """
    if kind is PlotKind.SLICE and spec.user_code is not None:
        view = replace(view, params=_add_variants(study, view.params))
    if kind in _BY_PARAMS:
        _check_params(study, kind, view.params)
    text: str = _plot(study, spec, kind, view).to_json()
    _check_size("has", len(text))
    return text


def _add_variants(study: optuna.Study, params: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Returns the parameters with all ways in which the user's code has declared them."""
    if params is None:
        return None
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    kept = dict.fromkeys(name for trial in trials for name in trial.params)
    variants = [name for name in kept if find_declared_name(name) in params]
    return tuple(dict.fromkeys([*params, *variants]))


def _check_params(study: optuna.Study, kind: PlotKind, params: Sequence[str] | None) -> None:
    """Refuses beforehand what would take the memory of the machine."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    names = {name for trial in trials for name in trial.params} if params is None else set(params)
    if kind in _PAIRED and len(names) > _MOST_PAIRED:
        raise ValueError(
            f"A {kind} of {len(names)} parameters has a panel for each pair of them. Name at most "
            f"{_MOST_PAIRED} in params."
        )
    _check_size("would have some", _estimate_bytes(kind, trials, names))


def _estimate_bytes(kind: PlotKind, trials: Sequence[FrozenTrial], names: Collection[str]) -> int:
    """About as many as were counted."""
    if kind not in _PAIRED:
        return 8 * len(trials) * len(names)
    # Two parameters have one panel, others one for each order of a pair.
    n_orders = 1 if len(names) == 2 else 2
    if kind is PlotKind.RANK:
        # A point says everything about its trial.
        n_params = max((len(trial.params) for trial in trials), default=0)
        return 50 * n_params * len(trials) * n_orders * math.comb(len(names), 2)
    counts = [len({str(trial.params.get(name)) for trial in trials}) for name in names]
    return 13 * n_orders * sum(a * b for a, b in combinations(counts, 2))


def _check_size(verb: str, n_bytes: int) -> None:
    if n_bytes > _MOST_BYTES:
        raise ValueError(
            f"The plot {verb} {n_bytes / 1e6:.0f} MB, and the server shows at most "
            f"{_MOST_BYTES / 1e6:.0f}. Name fewer params, or draw it with Optuna from an export."
        )


def _plot(study: optuna.Study, spec: StudySpec, kind: PlotKind, view: View) -> Any:
    match kind:
        case PlotKind.INTERMEDIATE:
            return visualization.plot_intermediate_values(study)
        case PlotKind.TIMELINE:
            return visualization.plot_timeline(study)
        case PlotKind.PARETO_FRONT:
            names = [objective.name for objective in spec.objectives]
            return visualization.plot_pareto_front(study, target_names=names)
    about: dict[str, Any] = {
        "target": _build_target(view.objective),
        "target_name": _name_target(spec, view),
    }
    match kind:
        case PlotKind.HISTORY:
            return visualization.plot_optimization_history(study, **about)
        case PlotKind.EDF:
            return visualization.plot_edf(study, **about)
    about["params"] = None if view.params is None else list(view.params)
    if kind is PlotKind.IMPORTANCES:
        evaluator = _build_evaluator(view.evaluator, spec.seed)
        return visualization.plot_param_importances(study, evaluator, **about)
    return _BY_PARAMS[kind](study, **about)


_BY_PARAMS: dict[PlotKind, Callable[..., Any]] = {
    PlotKind.PARALLEL_COORDINATE: visualization.plot_parallel_coordinate,
    PlotKind.CONTOUR: visualization.plot_contour,
    PlotKind.SLICE: visualization.plot_slice,
    PlotKind.RANK: visualization.plot_rank,
}


class _Evaluator(importance.BaseImportanceEvaluator):
    """One of Optuna's, which says with a ValueError that it cannot rate what trials ended with."""

    def __init__(self, evaluator: importance.BaseImportanceEvaluator) -> None:
        self._evaluator = evaluator

    def evaluate(
        self,
        study: optuna.Study,
        params: list[str] | None = None,
        *,
        target: Target | None = None,
    ) -> dict[str, float]:
        try:
            rated = self._evaluator.evaluate(study, params=params, target=target)
        except (RuntimeError, AssertionError) as error:
            # Optuna's fANOVA, of values that are all equal, and of those whose squares overflow.
            raise ValueError(_describe_unrated(str(error))) from error
        if not all(map(math.isfinite, rated.values())):
            raise ValueError(_describe_unrated("an importance is no finite number."))
        return rated


def _describe_unrated(reason: str) -> str:
    about = "The values of the trials cannot be rated; they may be all the same, or too large"
    return f"{about}: {reason}" if reason else f"{about}."


def _build_evaluator(evaluator: Evaluator, seed: int) -> importance.BaseImportanceEvaluator:
    match evaluator:
        case Evaluator.PED_ANOVA:
            return _Evaluator(importance.PedAnovaImportanceEvaluator())
        case Evaluator.FANOVA:
            return _Evaluator(importance.FanovaImportanceEvaluator(seed=seed))
        case Evaluator.MEAN_DECREASE_IMPURITY:
            return _Evaluator(importance.MeanDecreaseImpurityImportanceEvaluator(seed=seed))


def _build_target(objective: int | None) -> Target | None:
    return None if objective is None else lambda trial: trial.values[objective]


def _name_target(spec: StudySpec, view: View) -> str:
    return spec.objectives[view.objective or 0].name
