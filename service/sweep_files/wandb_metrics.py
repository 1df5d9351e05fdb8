"""What W&B's files say of metrics: objectives, and what trials without a value count with."""

from collections.abc import Mapping
from typing import Any

from service.search_space import describe, find_number_problem
from service.sweep_files.documents import Path
from service.sweep_files.draft import Draft
from service.sweep_files.wandb_schedulers import SETTINGS, Scheduler

_GOALS = ("minimize", "maximize")
_METRIC_KEYS = ("name", "goal", "target", "impute", "impute_while_running")
_STRATEGIES = ("latest", "best", "worst")
_TRIALS_OF_KEYS = {"impute": "failed", "impute_while_running": "running"}
_METRIC: Path = ("metric",)


def read_metrics(
    draft: Draft, sweep: Mapping[str, Any], scheduler: Scheduler, method: str | None
) -> None:
    """Makes objectives of `metric`, `metrics`, or what the scheduler of W&B Launch was told."""
    path: Path = ("metrics",)
    metrics = sweep.get("metrics")
    if "metrics" in scheduler.settings:
        if "metric" in sweep:
            draft.note((*SETTINGS, "metrics"), "As in W&B, this has no effect beside `metric`.")
        elif "metrics" in sweep:
            draft.refuse(path, "The scheduler's settings say the same; leave one out.")
        else:
            path, metrics = (*SETTINGS, "metrics"), scheduler.settings["metrics"]
    draft.link(("objectives",), _METRIC if metrics is None else path)
    if "metric" in sweep and metrics is not None:
        draft.refuse(path, "Give `metric` for one objective or `metrics`, not both.")
    elif metrics is not None or "metrics" in sweep:
        _read_several(draft, metrics, path, method)
    elif "metric" in sweep:
        _read_single(draft, sweep["metric"])
    else:
        draft.refuse(
            _METRIC,
            "Name the metric by which trials are judged: `metric: {name: loss, goal: minimize}`.",
        )


def find_imputing(sweep: Mapping[str, Any]) -> dict[str, str]:
    """Returns what failed and what running trials count with, by arguments of ImputingSampler."""
    metric = sweep.get("metric")
    if not isinstance(metric, dict):
        return {}
    return {
        trials: metric[key]
        for key, trials in _TRIALS_OF_KEYS.items()
        if metric.get(key) in _STRATEGIES
    }


def note_no_imputing(draft: Draft, sweep: Mapping[str, Any], note: str) -> None:
    """Notes why what trials should count with has no effect."""
    for key in _TRIALS_OF_KEYS:
        if key in sweep["metric"]:
            draft.note((*_METRIC, key), note)


def _read_single(draft: Draft, metric: Any) -> None:
    if objective := _read_metric(draft, metric, _METRIC):
        draft.put(("objectives",), [objective], _METRIC)
        draft.link(("objectives", 0, "name"), (*_METRIC, "name"))
        if "target" in metric:
            draft.put(("budget", "target"), metric["target"], (*_METRIC, "target"))


def _read_several(draft: Draft, metrics: Any, path: Path, method: str | None) -> None:
    if method not in (None, "custom"):
        draft.refuse(path, "Several metrics need `method: custom`.")
    least = 2 if path == ("metrics",) else 1
    if not isinstance(metrics, list) or len(metrics) < least:
        draft.refuse(
            path, f"This is a list of {'two metrics' if least > 1 else 'metrics'} or more."
        )
        return
    for index, metric in enumerate(metrics):
        if isinstance(metric, dict):
            _check_one_of_several(draft, metric, (*path, index))
    found = [_read_metric(draft, each, (*path, index)) for index, each in enumerate(metrics)]
    draft.put(("objectives",), found, path)
    for index in range(len(metrics)):
        draft.link(("objectives", index), (*path, index))
        draft.link(("objectives", index, "name"), (*path, index, "name"))


def _check_one_of_several(draft: Draft, metric: Mapping[str, Any], path: Path) -> None:
    if "target" in metric:
        draft.refuse((*path, "target"), "Only a single metric has a target.")
    for key in _TRIALS_OF_KEYS:
        if key in metric:
            draft.note((*path, key), "This is for a single metric, so it has no effect.")


def _read_metric(draft: Draft, metric: Any, path: Path) -> dict[str, Any] | None:
    if not isinstance(metric, dict):
        draft.refuse(path, "A metric is written {name: loss, goal: minimize}.")
        return None
    draft.refuse_unknown(path, metric, _METRIC_KEYS)
    name, goal = metric.get("name"), metric.get("goal", "minimize")
    if not isinstance(name, str) or not name:
        draft.refuse((*path, "name"), "A metric needs a name, which is text.")
    if goal not in _GOALS:
        draft.refuse((*path, "goal"), f"This must be minimize or maximize, not {describe(goal)}.")
    if "target" in metric and (problem := find_number_problem(metric["target"])):
        draft.refuse((*path, "target"), problem)
    for key in _TRIALS_OF_KEYS:
        if key in metric:
            _check_strategy(draft, metric[key], (*path, key))
    return {"name": name, "direction": goal}


def _check_strategy(draft: Draft, strategy: Any, path: Path) -> None:
    is_off = path[-1] == "impute_while_running" and strategy in ("false", False)
    if strategy not in _STRATEGIES and not is_off:
        draft.refuse(
            path, f"This must be one of {', '.join(_STRATEGIES)}, not {describe(strategy)}."
        )
