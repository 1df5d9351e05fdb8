"""What the service knows about each pruner beyond its signature."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from optuna import pruners
from optuna.pruners import BasePruner

from service.domain.arguments import Limits
from service.domain.studies import Component
from service.domain.user_code import USER_PRUNER
from service.pruners.users import UserPruner
from service.pruners.wandb_hyperband import WandbHyperbandPruner

_STEPS = Limits(1, 2**31)
_FACTOR = Limits(2, 1_000_000)
_BANDS = {
    "min_iter": _STEPS,
    "max_iter": _STEPS,
    "s": Limits(1, 1_000),
    "eta": Limits(1, 1_000_000),
}
_HALVING = {"min_resource": _STEPS, "max_resource": _STEPS, "reduction_factor": _FACTOR}


@dataclass(frozen=True, slots=True)
class Kind:
    """One pruner class.

    Attributes:
        auto: The argument that Optuna estimates from completed trials when it is "auto".
        inner: The argument that is a pruner, if one is.
        is_users: It stands for code of a user's.
    """

    constructor: type[BasePruner]
    auto: str | None = None
    inner: str | None = None
    limits: Mapping[str, Limits] = field(default_factory=dict)
    is_users: bool = False


KINDS: Mapping[str, Kind] = {
    "NopPruner": Kind(pruners.NopPruner),
    "MedianPruner": Kind(pruners.MedianPruner),
    "PercentilePruner": Kind(pruners.PercentilePruner),
    "PatientPruner": Kind(pruners.PatientPruner, inner="wrapped_pruner"),
    "ThresholdPruner": Kind(pruners.ThresholdPruner),
    "SuccessiveHalvingPruner": Kind(
        pruners.SuccessiveHalvingPruner, auto="min_resource", limits=_HALVING
    ),
    "HyperbandPruner": Kind(
        pruners.HyperbandPruner,
        auto="max_resource",
        limits=_HALVING | {"bootstrap_count": Limits(0)},
    ),
    "WilcoxonPruner": Kind(pruners.WilcoxonPruner),
    "WandbHyperbandPruner": Kind(WandbHyperbandPruner, limits=_BANDS),
    USER_PRUNER: Kind(UserPruner, is_users=True),
}


def is_users_pruner(component: Component | None) -> bool:
    """Tell whether code of a user's judges."""
    return component is not None and KINDS[component.type].is_users


def find_inner(component: Component) -> Component | None:
    """Return the pruner inside a resolved one, or None."""
    name = KINDS[component.type].inner
    document = component.args.get(name) if name else None
    return None if document is None else Component(document["type"], document.get("args") or {})
