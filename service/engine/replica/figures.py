"""Importances and plots, as Optuna makes them. Only replicas import this: plotly is large."""

from collections.abc import Callable
from typing import Any

import optuna
from optuna import importance, visualization
from optuna.trial import FrozenTrial

from service.domain.studies import StudySpec
from service.engine.replica.messages import Evaluator, PlotKind, View

Target = Callable[[FrozenTrial], float]


def rate_params(study: optuna.Study, spec: StudySpec, view: View) -> dict[str, float]:
    """Returns how much each parameter matters, the most important one first.

    Raises:
        ValueError: There are too few trials, or no such parameters; in Optuna's words.
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
    """Returns a plot as Plotly's JSON.

    Raises:
        ValueError: The study or its trials do not fit the plot; in Optuna's words.
        ImportError: A package is not installed.
    """
    text: str = _plot(study, spec, kind, view).to_json()
    return text


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


def _build_evaluator(evaluator: Evaluator, seed: int) -> importance.BaseImportanceEvaluator:
    match evaluator:
        case Evaluator.PED_ANOVA:
            return importance.PedAnovaImportanceEvaluator()
        case Evaluator.FANOVA:
            return importance.FanovaImportanceEvaluator(seed=seed)
        case Evaluator.MEAN_DECREASE_IMPURITY:
            return importance.MeanDecreaseImpurityImportanceEvaluator(seed=seed)


def _build_target(objective: int | None) -> Target | None:
    return None if objective is None else lambda trial: trial.values[objective]


def _name_target(spec: StudySpec, view: View) -> str:
    return spec.objectives[view.objective or 0].name
