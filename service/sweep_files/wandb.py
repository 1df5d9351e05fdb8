"""W&B's dialects: what its sweep commands take, and what of ours may stand beside it.

The rules are those of the JSON schema and the checks in the `sweeps` package 0.3.0, and for what
only `wandb launch-sweep` takes those of wandb 0.31.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from service.search_space import SearchSpace, describe, find_number_problem
from service.sweep_files.body_parts import KEYS_OF_PARTS, refuse_unknown_in_part, take_over_part
from service.sweep_files.documents import Path
from service.sweep_files.draft import Draft
from service.sweep_files.python_sources import Sources
from service.sweep_files.sweep_file import Defaults
from service.sweep_files.wandb_launches import KEYS_OF_LAUNCH, read_launch
from service.sweep_files.wandb_methods import KEYS_OF_CUSTOM, read_components, read_method
from service.sweep_files.wandb_metrics import read_metrics
from service.sweep_files.wandb_parameters import read_parameters
from service.sweep_files.wandb_schedulers import Scheduler, read_scheduler

_BAND_KEYS = ("min_iter", "max_iter", "s")
_HYPERBAND_KEYS = ("type", *_BAND_KEYS, "eta", "strict")

_WITHOUT_EFFECT = {
    "controller": "The server is the controller of every sweep, so this has no effect.",
    "apiVersion": "There is one version of this form, so this has no effect.",
    "kind": "Every file is a sweep here, so this has no effect.",
}
# Ours, which W&B does not know.
_OF_STUDY = ("seed", "parallelism", "retry", "lease_seconds")
_KEYS = (
    "method",
    "parameters",
    "metric",
    "metrics",
    "early_terminate",
    "run_cap",
    "name",
    "description",
    *_WITHOUT_EFFECT,
    "budget",
    *_OF_STUDY,
    *KEYS_OF_CUSTOM,
    "scheduler",
    *KEYS_OF_LAUNCH,
)


def read_wandb(draft: Draft, defaults: Defaults, sources: Sources | None) -> None:
    """Translates a sweep of W&B's; what it means and we cannot do is a problem.

    Args:
        sources: Of the Python that the file names; None if nothing can be opened.
    """
    sweep = draft.source.content
    draft.refuse_unknown((), sweep, _KEYS)
    _read_names(draft, sweep)
    scheduler = read_scheduler(draft, sweep, sources)
    method = read_method(draft, sweep, scheduler)
    name = None if method is None else method.name
    read_metrics(draft, sweep, scheduler, name)
    is_grid = name == "grid"
    space = _read_space(draft, sweep, scheduler, is_grid=is_grid)
    if method is not None:
        read_components(draft, sweep, scheduler, method, space, has_gp=defaults.has_gp)
    _read_early_terminate(draft, sweep)
    _read_settings(draft, sweep)
    if is_grid and space is not None:
        _settle_grid(draft, space)
    read_launch(draft, sweep, scheduler, defaults)


def _read_space(
    draft: Draft, sweep: Mapping[str, Any], scheduler: Scheduler, *, is_grid: bool
) -> SearchSpace | None:
    if not scheduler.declares_space:
        return read_parameters(draft, sweep.get("parameters"), is_grid=is_grid)
    if "parameters" in sweep:
        draft.note(
            ("parameters",),
            "As in W&B, the Python file declares the parameters, so this has no effect.",
        )
    return None


def _read_names(draft: Draft, sweep: Mapping[str, Any]) -> None:
    if sweep.get("name") is not None:
        draft.take_over(("name",), ("name",))
    if sweep.get("description") is not None:
        draft.link(("user_attrs",), ("description",))
        draft.put(("user_attrs", "description"), sweep["description"], ("description",))
    if sweep.get("kind", "sweep") != "sweep":
        draft.refuse(("kind",), f"This must be sweep, not {describe(sweep['kind'])}.")
    for key, note in _WITHOUT_EFFECT.items():
        if key in sweep:
            draft.note((key,), note)


def _settle_grid(draft: Draft, space: SearchSpace) -> None:
    """A grid without anything to vary has one point, which GridSampler does not know."""
    if all(found.single() for found in space.distributions.values()):
        draft.put(("sampler",), {"type": "RandomSampler"}, ("method",))
        draft.put(("budget", "max_trials"), 1, ("method",))
        draft.note(("parameters",), "There is nothing to vary, so the sweep has a single trial.")


def _read_early_terminate(draft: Draft, sweep: Mapping[str, Any]) -> None:
    path: Path = ("early_terminate",)
    if "early_terminate" not in sweep:
        return
    found = sweep["early_terminate"]
    draft.link(("pruner",), path)
    if not isinstance(found, dict) or found.get("type") != "hyperband":
        draft.refuse((*path, "type"), "This must be `type: hyperband`.")
        return
    draft.refuse_unknown(path, found, _HYPERBAND_KEYS)
    if "pruner" in draft.content:
        draft.refuse(path, "Give `early_terminate` or `pruner`, not both.")
    if len(draft.content.get("objectives", ())) > 1:
        draft.refuse(path, "A sweep with several metrics cannot end trials early.")
    args = _read_bands(draft, found, path)
    args |= {"eta": found.get("eta", 3), "strict": found.get("strict", True)}
    _check_hyperband(draft, args, path)
    draft.put(("pruner",), {"type": "WandbHyperbandPruner", "args": args}, path)
    for key in args:
        draft.link(("pruner", "args", key), (*path, key))


def _read_bands(draft: Draft, found: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The keys that count: W&B looks at `min_iter` only without `max_iter`."""
    if "max_iter" in found and "s" not in found:
        draft.refuse((*path, "max_iter"), "This needs `s` beside it.")
    elif not found.keys() & {"max_iter", "min_iter"}:
        draft.refuse(path, "Hyperband needs `min_iter`, or `max_iter` together with `s`.")
    keys = ("max_iter", "s") if "max_iter" in found else ("min_iter",)
    for key in _list_given(found, _BAND_KEYS):
        if key not in keys:
            draft.note((*path, key), f"As in W&B, {key} has no effect {_explain_band(key)}.")
    return {key: _to_integer(found[key]) for key in _list_given(found, keys)}


def _explain_band(key: str) -> str:
    return "beside max_iter" if key == "min_iter" else "without max_iter"


def _check_hyperband(draft: Draft, args: Mapping[str, Any], path: Path) -> None:
    for key in _list_given(args, _BAND_KEYS):
        if not _is_integer(args[key]) or args[key] < 1:
            draft.refuse(
                (*path, key), f"This must be an integer from 1, not {describe(args[key])}."
            )
    eta = args["eta"]
    if find_number_problem(eta) or eta <= 1:
        draft.refuse((*path, "eta"), f"This must be a number above 1, not {describe(eta)}.")
    if not isinstance(args["strict"], bool):
        draft.refuse((*path, "strict"), "This must be true or false.")


def _read_settings(draft: Draft, sweep: Mapping[str, Any]) -> None:
    for key in _list_given(sweep, _OF_STUDY):
        take_over_part(draft, key)
    _read_budget(draft, sweep)
    if "run_cap" in sweep:
        cap = sweep["run_cap"]
        if not _is_integer(cap) or cap < 1:
            draft.refuse(("run_cap",), f"This must be an integer from 1, not {describe(cap)}.")
        draft.put(("budget", "max_trials"), cap, ("run_cap",))


def _read_budget(draft: Draft, sweep: Mapping[str, Any]) -> None:
    if "budget" not in sweep:
        return
    budget = sweep["budget"]
    if budget is None:
        draft.put(("budget", "max_failures"), None, ("budget",))
        return
    if not isinstance(budget, dict):
        draft.refuse(("budget",), "A budget is written {max_trials: 100}.")
        return
    metric = sweep.get("metric")
    if "run_cap" in sweep and "max_trials" in budget:
        draft.refuse(("budget", "max_trials"), "`run_cap` says the same; leave one out.")
    if isinstance(metric, dict) and "target" in metric and "target" in budget:
        draft.refuse(("budget", "target"), "The metric has a target; leave one out.")
    refuse_unknown_in_part(draft, "budget")
    for key in _list_given(budget, KEYS_OF_PARTS["budget"]):
        draft.take_over(("budget", key), ("budget", key))


def _list_given(mapping: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    return [key for key in keys if key in mapping]


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _to_integer(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
