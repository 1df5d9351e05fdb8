"""Resources that Optuna estimates from the first completed trials, fixed for good."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from service.domain.studies import Component
from service.pruners.kinds import KINDS, find_inner

_AUTO = "auto"


def has_auto(component: Component) -> bool:
    """Tell whether a resolved pruner, or one inside it, still has a resource to estimate."""
    name = KINDS[component.type].auto
    inner = find_inner(component)
    return (name is not None and component.args.get(name) == _AUTO) or (
        inner is not None and has_auto(inner)
    )


def resolve_auto(component: Component, trials: Sequence[FrozenTrial]) -> Component | None:
    """Return the pruner with numbers in place of "auto", or None while none can be known.

    The numbers are those that Optuna's pruner would find in the completed ones of `trials`
    (`HyperbandPruner._try_initialization`, `_estimate_min_resource` of successive halving). Store
    them: Optuna itself estimates once a process, so that a restart would change the brackets.
    """
    steps = [
        trial.last_step
        for trial in trials
        if trial.state is TrialState.COMPLETE and trial.last_step is not None
    ]
    if not has_auto(component):
        return component
    return _fill_in(component, max(steps)) if steps else None


def _fill_in(component: Component, last_step: int) -> Component:
    args: dict[str, Any] = dict(component.args)
    match component.type:
        case "HyperbandPruner":
            args["max_resource"] = last_step + 1
        case "SuccessiveHalvingPruner":
            args["min_resource"] = max(last_step // 100, 1)
        case _:
            inner, name = find_inner(component), KINDS[component.type].inner
            if inner is not None and name is not None:
                filled = _fill_in(inner, last_step)
                args[name] = {"type": filled.type, "args": dict(filled.args)}
    return replace(component, args=args)
