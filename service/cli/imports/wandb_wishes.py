"""What is wanted of runs of W&B, and what they are judged by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.cli.failures import WrongUse
from service.cli.imports.found import Target


@dataclass(frozen=True, slots=True)
class WandbWishes:
    """What the options say.

    Attributes:
        metrics: Names as they are logged, in the order of the objectives; empty: the sweep's.
        goals: Of each metric; empty: the study's, else the sweep's, else to minimize.
        value: Which value of a metric is the trial's: that of the summary, the last or the best.
        filters: Of W&B's, in the form of MongoDB's.
    """

    metrics: Sequence[str] = ()
    goals: Sequence[str] = ()
    value: str = "summary"
    step_metric: str | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)
    guesses_space: bool = False


def choose_objectives(
    wishes: WandbWishes, config: Mapping[str, Any], existing: Target | None
) -> dict[str, str]:
    """Returns directions by the names of the metrics, in the order of the study's objectives.

    Args:
        config: Of the sweep; empty for a project.

    Raises:
        WrongUse: There is no metric, or they do not go with the study.
    """
    said = _list_sweep_metrics(config)
    metrics = list(dict.fromkeys(wishes.metrics or said))
    if not metrics:
        raise WrongUse("Say with --metric what the runs are judged by.")
    if wishes.goals and len(wishes.goals) != len(metrics):
        raise WrongUse(f"Give one --goal for each of {', '.join(metrics)}, or none.")
    wished = dict(zip(metrics, wishes.goals, strict=False))
    goals = {name: wished.get(name) or said.get(name) for name in metrics}
    if existing is None:
        return {name: goal or "minimize" for name, goal in goals.items()}
    _check_goals(goals, existing)
    return dict(zip(metrics, existing.objectives.values(), strict=True))


def _list_sweep_metrics(config: Mapping[str, Any]) -> dict[str, str]:
    entries = config.get("metrics") or [config.get("metric") or {}]
    return {entry["name"]: entry.get("goal", "minimize") for entry in entries if "name" in entry}


def _check_goals(goals: Mapping[str, str | None], existing: Target) -> None:
    objectives = existing.objectives
    if len(goals) != len(objectives):
        raise WrongUse(
            f"The study {existing.name!r} has {len(objectives)} objective(s), "
            f"{', '.join(objectives)}: give one --metric for each, in this order."
        )
    pairs = zip(goals.items(), objectives.items(), strict=True)
    for (metric, goal), (name, direction) in pairs:
        if goal not in (None, direction):
            raise WrongUse(
                f"{metric} is to {goal}, but the study {existing.name!r} is to {direction} {name}."
            )
