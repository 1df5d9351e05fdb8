"""What the service knows about each of Optuna's samplers beyond its signature."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna import samplers
from optuna.samplers import BaseSampler, nsgaii

from service.domain.arguments import Limits
from service.domain.studies import Component
from service.domain.user_code import USER_SAMPLER
from service.samplers.brute_force import BruteForceSampler
from service.samplers.imputing import ImputingSampler
from service.samplers.users import UserSampler

_STARTUP = Limits(0, 1_000_000)
_GENETIC = {"population_size": Limits(2, 100_000), "dividing_parameter": Limits(1, 50)}
_OPERATORS: Mapping[str, type[nsgaii.BaseCrossover] | type[nsgaii.BaseMutation]] = {
    "crossover": nsgaii.BaseCrossover,
    "mutation": nsgaii.BaseMutation,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """One sampler class.

    Attributes:
        draws_jointly: `sample_relative` may return something. Of a wrapper: if the one inside does.
        has_hooks: `before_trial` or `after_trial` does something.
        is_reusable: Nothing but its random state changes from call to call.
        is_finite: Calls `study.stop()` when it has nothing left to suggest.
        keeps_base_seed: Every instance needs the study's own seed, because all of them walk
            through one sequence.
        single_objective: Fails at the first suggestion for several objectives.
        learns_values: What it draws depends on the values of trials, looked up anew each time.
        inner: The argument that is a sampler, if one is.
        is_wrapper: What it draws is what the sampler inside draws.
        operators: Arguments that are crossovers or mutations.
        package: What it imports when it is made and is too heavy for a server; it runs beside it.
        is_users: It stands for code of a user's, which runs beside the server.
    """

    constructor: type[BaseSampler]
    draws_jointly: bool = True
    has_hooks: bool = False
    is_reusable: bool = False
    is_finite: bool = False
    keeps_base_seed: bool = False
    single_objective: bool = False
    learns_values: bool = False
    inner: str | None = None
    is_wrapper: bool = False
    operators: Mapping[str, type[nsgaii.BaseCrossover] | type[nsgaii.BaseMutation]] = field(
        default_factory=dict
    )
    limits: Mapping[str, Limits] = field(default_factory=dict)
    package: str | None = None
    is_users: bool = False


KINDS: Mapping[str, Kind] = {
    "RandomSampler": Kind(samplers.RandomSampler, draws_jointly=False, is_reusable=True),
    "TPESampler": Kind(
        samplers.TPESampler,
        learns_values=True,
        limits={"n_startup_trials": _STARTUP, "n_ei_candidates": Limits(1, 10_000)},
    ),
    "CmaEsSampler": Kind(
        samplers.CmaEsSampler,
        single_objective=True,
        learns_values=True,
        inner="independent_sampler",
        limits={"n_startup_trials": _STARTUP, "popsize": Limits(2, 10_000), "sigma0": Limits(1e-9)},
    ),
    "GPSampler": Kind(
        samplers.GPSampler,
        learns_values=True,
        inner="independent_sampler",
        limits={"n_startup_trials": _STARTUP},
        package="torch",
    ),
    "QMCSampler": Kind(samplers.QMCSampler, keeps_base_seed=True, inner="independent_sampler"),
    "NSGAIISampler": Kind(samplers.NSGAIISampler, operators=_OPERATORS, limits=_GENETIC),
    "NSGAIIISampler": Kind(samplers.NSGAIIISampler, operators=_OPERATORS, limits=_GENETIC),
    "GridSampler": Kind(
        samplers.GridSampler,
        draws_jointly=False,
        has_hooks=True,
        is_reusable=True,
        is_finite=True,
        keeps_base_seed=True,
    ),
    "BruteForceSampler": Kind(
        BruteForceSampler,
        draws_jointly=False,
        has_hooks=True,
        is_reusable=True,
        is_finite=True,
    ),
    "PartialFixedSampler": Kind(
        samplers.PartialFixedSampler,
        is_reusable=True,
        inner="base_sampler",
        is_wrapper=True,
    ),
    "ImputingSampler": Kind(
        ImputingSampler,
        has_hooks=True,
        single_objective=True,
        inner="base_sampler",
        is_wrapper=True,
    ),
    USER_SAMPLER: Kind(UserSampler, is_users=True),
}


def find_inner(component: Component) -> Component | None:
    """Return the sampler inside this one, or None; the component must be resolved."""
    name = KINDS[component.type].inner
    document = component.args.get(name) if name else None
    return None if document is None else Component(document["type"], document.get("args") or {})


def draws_jointly(component: Component) -> bool:
    """Tell whether the sampler may draw several parameters at once."""
    if component.type == "TPESampler":
        return bool(component.args["multivariate"])
    kind = KINDS[component.type]
    if kind.is_wrapper:
        return any(draws_jointly(inner) for inner in _inners(component))
    return kind.draws_jointly


def needs_own_scan(component: Component) -> bool:
    """Tell whether `sample_relative` uses more of the history's spaces than it is passed.

    TPE with `group=True` remembers the groups that it found while inferring; GP fails on a trial
    that lacks a parameter.
    """
    if component.type == "TPESampler":
        return bool(component.args["group"])
    if component.type == "GPSampler":
        return True
    return KINDS[component.type].is_wrapper and any(map(needs_own_scan, _inners(component)))


def has_hooks(component: Component) -> bool:
    """Tell whether the sampler does something before or after a trial."""
    return any(kind.has_hooks for kind in _list_kinds(component))


def is_finite(component: Component) -> bool:
    """Tell whether the sampler may have nothing left to suggest one day."""
    return any(kind.is_finite for kind in _list_kinds(component))


def is_reusable(component: Component) -> bool:
    """Tell whether one object may serve all calls, if it is seeded before each."""
    return all(kind.is_reusable for kind in _list_kinds(component))


def needs_process(component: Component) -> bool:
    """Tell whether the sampler must not run in the server."""
    return any(kind.package is not None or kind.is_users for kind in _list_kinds(component))


def is_users_sampler(component: Component) -> bool:
    """Tell whether code of a user's draws."""
    return KINDS[component.type].is_users


def find_grid(component: Component) -> Mapping[str, Sequence[Any]] | None:
    """Return the values by parameter that a grid search, or one inside the sampler, visits."""
    if component.type == "GridSampler":
        grid: Mapping[str, Sequence[Any]] = component.args["search_space"]
        return grid
    inner = find_inner(component)
    return None if inner is None else find_grid(inner)


def _list_kinds(component: Component) -> list[Kind]:
    inner = [kind for found in _inners(component) for kind in _list_kinds(found)]
    return [KINDS[component.type], *inner]


def _inners(component: Component) -> list[Component]:
    inner = find_inner(component)
    return [] if inner is None else [inner]
