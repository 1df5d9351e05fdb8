"""How W&B's files say what suggests trials and what ends them early."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from service.search_space import SearchSpace, describe
from service.sweep_files.body_parts import KEYS_OF_PARTS
from service.sweep_files.documents import Path
from service.sweep_files.draft import Draft
from service.sweep_files.wandb_metrics import find_imputing, note_no_imputing
from service.sweep_files.wandb_schedulers import SETTINGS, Scheduler, check_method

KEYS_OF_CUSTOM = ("sampler", "pruner")
_BLIND_SAMPLERS = {"grid": "GridSampler", "random": "RandomSampler"}
_STOCK_METHODS = (*_BLIND_SAMPLERS, "bayes")
_METHODS = (*_STOCK_METHODS, "custom")
_BAYES: Mapping[bool | None, str] = {
    True: "The method bayes is Optuna's GPSampler here, as the server has torch.",
    False: "The method bayes is Optuna's TPESampler here, as the server has no torch.",
    None: "The method bayes is Optuna's TPESampler here; a server with torch may take GPSampler.",
}
# GPSampler makes a list of all that a parameter with a step may be.
_MOST_VALUES = 1_000_000
_SAMPLER: Path = ("sampler",)
_METRIC: Path = ("metric",)
_SCHEDULER: Path = ("scheduler",)
_INNER_SAMPLER: Path = ("sampler", "args", "base_sampler")


@dataclass(frozen=True, slots=True)
class Method:
    """How a sweep searches, in W&B's words, and where the file says it."""

    name: str
    path: Path


def read_method(draft: Draft, sweep: Mapping[str, Any], scheduler: Scheduler) -> Method | None:
    """Returns how a sweep searches, or None if what the file says of it is wrong."""
    name, path = _find_method(draft, sweep, scheduler)
    draft.link(_SAMPLER, path)
    if name not in _METHODS:
        given = "" if name is None else f", not {describe(name)}"
        draft.refuse(path, f"This must be one of {', '.join(_METHODS)}{given}.")
        return None
    check_method(draft, scheduler, name)
    return Method(name, path)


def read_components(
    draft: Draft,
    sweep: Mapping[str, Any],
    scheduler: Scheduler,
    method: Method,
    space: SearchSpace | None,
    *,
    has_gp: bool | None,
) -> None:
    """Says which sampler and which pruner a sweep has.

    Args:
        space: That of the file; None if Python declares it, or if it is wrong.
        has_gp: Whether the server can run GPSampler; None if nobody knows.
    """
    paths = _find_components(draft, sweep, scheduler, method)
    named = _name_sampler(draft, scheduler, method, space, has_gp=has_gp)
    _read_sampler(draft, sweep, scheduler, method, paths.get("sampler"), named)
    if path := paths.get("pruner"):
        _take_component(draft, path, ("pruner",))
    elif _has_default_pruner(sweep, scheduler, method):
        draft.put(("pruner",), {"type": "MedianPruner"}, _SCHEDULER)
        draft.note(
            _SCHEDULER,
            "As in W&B's Optuna scheduler, a MedianPruner ends trials early, since the settings "
            "have no `pruner`; `pruner: {type: NopPruner}` ends none.",
        )


def _find_method(draft: Draft, sweep: Mapping[str, Any], scheduler: Scheduler) -> tuple[Any, Path]:
    """As `wandb launch-sweep` finds it: the settings win, and a job need not have one."""
    if "method" in scheduler.settings:
        return scheduler.settings["method"], (*SETTINGS, "method")
    if scheduler.uses_optuna and sweep.get("method") in _STOCK_METHODS:
        draft.note(
            ("method",), "As in W&B's Optuna scheduler, whose settings count, this has no effect."
        )
        return "custom", _SCHEDULER
    if "method" not in sweep and (scheduler.has_job or scheduler.uses_optuna):
        return "custom", _SCHEDULER
    return sweep.get("method"), ("method",)


def _find_components(
    draft: Draft, sweep: Mapping[str, Any], scheduler: Scheduler, method: Method
) -> dict[str, Path]:
    """Where the file has sampler and pruner, if it has them."""
    paths: dict[str, Path] = {}
    for key in KEYS_OF_CUSTOM:
        given: list[Path] = [(*SETTINGS, key)] if key in scheduler.settings else []
        given += [(key,)] if key in sweep else []
        if len(given) > 1:
            draft.refuse((key,), "The scheduler's settings say the same; leave one out.")
        for path in given:
            if method.name != "custom":
                draft.refuse(
                    path, f"This needs `method: custom`; {method.name} stands for a sampler."
                )
            elif path != (key,) and scheduler.defines(key, "study"):
                draft.note(path, "As in W&B, that of the Python file counts.")
            else:
                paths[key] = path
    return paths


def _read_sampler(
    draft: Draft,
    sweep: Mapping[str, Any],
    scheduler: Scheduler,
    method: Method,
    path: Path | None,
    named: str | None,
) -> None:
    imputing = _find_imputing(draft, sweep, scheduler, method)
    target = _INNER_SAMPLER if imputing else _SAMPLER
    if path is not None:
        _take_component(draft, path, target)
        _take_seed(draft, sweep, path, target)
    elif named is not None or imputing:
        draft.put(target, {"type": named or "TPESampler"}, method.path)
    if imputing:
        draft.put(("sampler", "type"), "ImputingSampler", _METRIC)
    for trials, strategy in imputing.items():
        draft.put(("sampler", "args", trials), strategy, _METRIC)


def _name_sampler(
    draft: Draft,
    scheduler: Scheduler,
    method: Method,
    space: SearchSpace | None,
    *,
    has_gp: bool | None,
) -> str | None:
    """The sampler that the method stands for; None for `custom`."""
    if method.name != "bayes":
        return _BLIND_SAMPLERS.get(method.name)
    if has_gp is not False and (problem := _find_gp_problem(scheduler, space)):
        draft.note(method.path, f"The method bayes is Optuna's TPESampler here: {problem}")
        return "TPESampler"
    draft.note(method.path, _BAYES[has_gp])
    return "GPSampler" if has_gp else "TPESampler"


def _find_gp_problem(scheduler: Scheduler, space: SearchSpace | None) -> str | None:
    if scheduler.declares_space:
        return (
            "of parameters that Python declares, a Gaussian process learns only those that every "
            "trial has. `method: custom` with `sampler: {type: GPSampler}` is one nevertheless."
        )
    vast = [name for name, found in _list_distributions(space) if _is_vast(found)]
    if vast:
        return (
            f"{vast[0]} has more values than GPSampler can go through. With a `step` that leaves "
            f"at most {_MOST_VALUES} of them, or as a float, it could be a Gaussian process."
        )
    return None


def _list_distributions(space: SearchSpace | None) -> Iterable[tuple[str, BaseDistribution]]:
    return () if space is None else space.distributions.items()


def _is_vast(found: BaseDistribution) -> bool:
    if not isinstance(found, IntDistribution | FloatDistribution) or found.step is None:
        return False
    return (found.high - found.low) / found.step >= _MOST_VALUES


def _find_imputing(
    draft: Draft, sweep: Mapping[str, Any], scheduler: Scheduler, method: Method
) -> Mapping[str, str]:
    imputing = find_imputing(sweep)
    if not imputing:
        return {}
    if method.name in ("grid", "random"):
        note_no_imputing(
            draft,
            sweep,
            f"The method {method.name} learns nothing from trials, so this has no effect.",
        )
        return {}
    if scheduler.has_code:
        draft.refuse(
            _METRIC,
            "`impute` cannot go with Python that may bring a sampler of its own; leave one out.",
        )
        return {}
    return imputing


def _has_default_pruner(sweep: Mapping[str, Any], scheduler: Scheduler, method: Method) -> bool:
    is_optunas = scheduler.has_job or scheduler.uses_optuna
    if not is_optunas or method.name != "custom" or "metric" not in sweep:
        return False
    return "early_terminate" not in sweep and not scheduler.defines("pruner", "study")


def _take_component(draft: Draft, path: Path, target: Path) -> None:
    component = draft.find(path)
    draft.take_over(target, path)
    if isinstance(component, dict):
        draft.refuse_unknown(path, component, KEYS_OF_PARTS["sampler"])
        # A copy: what the file says is not touched.
        draft.put(target, {**component}, path)


def _take_seed(draft: Draft, sweep: Mapping[str, Any], path: Path, target: Path) -> None:
    """A sampler's seed is the study's here; Optuna has it among the arguments."""
    component = draft.find(path)
    args = component.get("args") if isinstance(component, dict) else None
    if not isinstance(args, dict) or args.get("seed") is None or "seed" in sweep:
        return
    rest = {name: value for name, value in args.items() if name != "seed"}
    draft.put((*target, "args"), rest, (*path, "args"))
    draft.put(("seed",), args["seed"], (*path, "args", "seed"))
