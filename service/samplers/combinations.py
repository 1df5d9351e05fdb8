"""When a finite sampler has handed out everything it has."""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from optuna.study import Study
from optuna.trial import FrozenTrial

from service.domain.studies import Component
from service.samplers.grids import count_combinations, count_values
from service.samplers.kinds import find_inner
from service.search_space import SearchSpace


@dataclass(frozen=True, slots=True)
class Combinations:
    """The combinations of values that a sampler visits, and how to tell which a trial is.

    Attributes:
        identify: Returns what distinguishes a trial's combination, or None if it has none.
    """

    total: int
    identify: Callable[[FrozenTrial], Hashable]

    def are_handed_out(self, study: Study, trial: FrozenTrial) -> bool:
        """Tell whether no combination is left after `trial`; scans trials only near the end."""
        if trial.number + 1 < self.total:
            return False
        trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
        return len({self.identify(other) for other in trials} - {None}) >= self.total


def find_combinations(component: Component, space: SearchSpace | None) -> Combinations | None:
    """Return the combinations of a resolved sampler, or None if they cannot be counted."""
    fixed: frozenset[str] = frozenset()
    current: Component | None = component
    while current is not None:
        if current.type == "GridSampler":
            return Combinations(count_combinations(current.args["search_space"]), _grid_id)
        if current.type == "BruteForceSampler" and space is not None and not space.is_conditional:
            return _declared_combinations(space, fixed)
        if current.type != "PartialFixedSampler":
            return None
        fixed |= frozenset(current.args["fixed_params"])
        current = find_inner(current)
    return None


def _grid_id(trial: FrozenTrial) -> Hashable:
    grid_id: Hashable = trial.system_attrs.get("grid_id")
    return grid_id


def _declared_combinations(space: SearchSpace, fixed: frozenset[str]) -> Combinations:
    open_names = [name for name in space.distributions if name not in fixed]
    total = math.prod(int(count_values(space.distributions[name])) for name in open_names)

    def identify(trial: FrozenTrial) -> Hashable:
        if any(name not in trial.params for name in open_names):
            return None
        return tuple(trial.params[name] for name in open_names)

    return Combinations(total, identify)
