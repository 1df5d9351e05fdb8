"""What Optuna computes about a whole study."""

from enum import StrEnum


class Evaluator(StrEnum):
    """How Optuna rates parameters."""

    PED_ANOVA = "ped-anova"
    FANOVA = "fanova"
    MEAN_DECREASE_IMPURITY = "mean-decrease-impurity"


class PlotKind(StrEnum):
    """Optuna's plots, by their names without `plot_`."""

    HISTORY = "history"
    INTERMEDIATE = "intermediate"
    PARALLEL_COORDINATE = "parallel-coordinate"
    CONTOUR = "contour"
    SLICE = "slice"
    IMPORTANCES = "importances"
    EDF = "edf"
    RANK = "rank"
    TIMELINE = "timeline"
    PARETO_FRONT = "pareto-front"
