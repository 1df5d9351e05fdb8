"""Optuna's pruner objects, made from resolved components."""

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner

from service.domain.studies import Component
from service.domain.warning_filters import ignore_warning
from service.pruners.kinds import KINDS, find_inner


def build_pruner(component: Component | None) -> BasePruner:
    """Return the pruner that a resolved component describes; NopPruner for None.

    Hyperband comes as a real HyperbandPruner: Optuna's samplers look for one. With "auto" still
    in its arguments (see `resolve_auto`) Optuna would estimate anew in every process.
    """
    if component is None:
        return NopPruner()
    _silence_optuna()
    kind = KINDS[component.type]
    args = dict(component.args)
    if kind.inner is not None:
        inner = find_inner(component)
        args[kind.inner] = None if inner is None else build_pruner(inner)
    return kind.constructor(**args)


def _silence_optuna() -> None:
    ignore_warning("", ExperimentalWarning)
    # Reports that are infinite, nothing but NaN, or near the largest float.
    ignore_warning("invalid value encountered", RuntimeWarning)
    ignore_warning("All-NaN slice encountered", RuntimeWarning)
    ignore_warning("overflow encountered in", RuntimeWarning)
    # WilcoxonPruner, once a report, where it cannot compare.
    ignore_warning("The intermediate values of the (current|best) trial", UserWarning)
    ignore_warning("The best trial has no intermediate values so Wilcoxon", UserWarning)
    ignore_warning("WilcoxonPruner finds steps existing in the current trial", UserWarning)
