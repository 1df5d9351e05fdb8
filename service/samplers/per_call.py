"""A sampler whose draws depend on the study's seed and the trial, not on the process."""

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    distribution_to_json,
    json_to_distribution,
)
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from service.domain.errors import InvalidParams
from service.domain.studies import Component
from service.samplers.combinations import find_combinations
from service.samplers.construct import prepare
from service.samplers.grids import first_value
from service.samplers.kinds import (
    draws_jointly,
    find_grid,
    has_hooks,
    is_finite,
    is_reusable,
    needs_own_scan,
)
from service.samplers.seeding import RandomStates, derive_seed
from service.search_space import SearchSpace

EXHAUSTED_ATTR = "asktell:exhausted"
RELATIVE_ATTR = "asktell:relative"
# Those that raise ValueError about a parameter that a client declared.
_PARTICULAR = ("BruteForceSampler", "GridSampler", "PartialFixedSampler")


class PerCallSampler(BaseSampler):
    """Wraps one of Optuna's samplers and seeds it anew for every call.

    Each call is served by a sampler that keeps nothing from earlier calls and is seeded by the
    study's seed, the trial's number and the purpose of the call. So any number of instances, in
    any processes, continue one another exactly, and two parameters never share a random draw.

    For a declared unconditional space the joint draw covers the declared parameters from the
    first trial on; nothing is read from the history for it. Stock samplers learn the parameters
    from the first complete trial, so trials before that may differ from theirs (QMC's do);
    later ones do not, as long as every complete trial has all declared parameters. One that
    lacks some or had another range, as only an adopted study may have it, does no harm.
    Otherwise the joint draw of a trial is kept in its system attribute `asktell:relative`, and a
    trial that is taken up again, in another process say, continues it.

    Grid and brute force search say that they are done by stopping the study; here that, or
    handing out the last combination, sets the study's system attribute `asktell:exhausted`.

    Thread-safety: one thread at a time may draw for a study. `after_trial` and `after_ask` do
    not draw and may run beside it.
    """

    def __init__(self, component: Component, *, seed: int, space: SearchSpace | None) -> None:
        self._seed = seed
        self._make = prepare(component, base_seed=seed)
        self._kept = self._make() if is_reusable(component) else None
        self._random_states = RandomStates()
        self._draws_jointly = draws_jointly(component)
        self._needs_own_scan = needs_own_scan(component)
        self._has_hooks = has_hooks(component)
        self._is_finite = is_finite(component)
        self._may_refuse = component.type in _PARTICULAR
        self._has_grid = find_grid(component) is not None
        self._combinations = find_combinations(component, space)
        self._space = None if space is None or space.is_conditional else space
        self._is_declared = space is not None
        self._declared = frozenset(self._space.distributions) if self._space else None
        self._inferred: tuple[int, BaseSampler] | None = None

    def reseed_rng(self) -> None:
        """Do nothing: no random state outlives a call."""

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        if self._has_hooks:
            self._open(trial, "before").before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        if not self._draws_jointly or self._has_drawn(trial):
            return {}
        if (stored := self._find_stored(trial)) is not None:
            return {name: json_to_distribution(pair[0]) for name, pair in stored.items()}
        if self._space is not None and not self._needs_own_scan:
            return dict(self._declared_relative_space)
        inner = self._open(trial, "relative")
        self._inferred = (trial.number, inner)
        return inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not self._draws_jointly or self._has_drawn(trial):
            return {}
        if (stored := self._find_stored(trial)) is not None:
            return {name: pair[1] for name, pair in stored.items()}
        params = self._take_inferred(trial).sample_relative(study, trial, search_space)
        if self._space is None:
            _store(study, trial, search_space, params)
        return params

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one parameter.

        Raises:
            InvalidParams: The parameter is not one that a grid, an exhaustive search or fixed
                values allow; `check_suggestible` finds this beforehand.
        """
        inner = self._open(trial, f"independent:{param_name}")
        try:
            return inner.sample_independent(study, trial, param_name, param_distribution)
        except ValueError as error:
            if not self._may_refuse:
                raise
            raise InvalidParams(f'"{param_name}" cannot be suggested: {error}') from error

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        # The others only look for a function of the user's.
        if not self._is_finite or self._is_outside_grid(trial):
            return
        try:
            (self._kept or self._make()).after_trial(study, trial, state, values)
        except RuntimeError as error:
            # Study.stop() refuses to be called outside Study.optimize().
            if "Study.stop" not in str(error):
                raise
            _record_exhausted(study)

    def after_ask(self, study: Study, trial: FrozenTrial) -> None:
        """Record that nothing is left to suggest, if `trial` is the last combination.

        Call it once the parameters that an ask chooses are chosen. Where trials declare theirs
        as they go, a brute force search shows that it is done when the last one finishes.
        """
        if self._combinations is not None:
            if self._combinations.are_handed_out(study, trial):
                _record_exhausted(study)
        elif self._is_finite and self._is_declared:
            # To a brute force search any end of the trial counts as a visit.
            self.after_trial(study, trial, TrialState.FAIL, None)

    @cached_property
    def _declared_relative_space(self) -> dict[str, BaseDistribution]:
        """What the sampler draws jointly, by its own account of one trial with every parameter."""
        assert self._space is not None
        distributions = self._space.distributions
        # It would tell the log of a new study.
        logging.getLogger(InMemoryStorage.__module__).setLevel(logging.WARNING)
        storage = InMemoryStorage()
        storage.create_new_study([StudyDirection.MINIMIZE], "declared")
        study = optuna.load_study(study_name="declared", storage=storage)
        params = {name: first_value(found) for name, found in distributions.items()}
        study.add_trial(create_trial(value=0.0, params=params, distributions=distributions))
        return self._make().infer_relative_search_space(study, study.get_trials()[0])

    def _has_drawn(self, trial: FrozenTrial) -> bool:
        """Tell whether a trial of a declared space is taken up again; it has all it can draw."""
        return self._declared is not None and self._declared <= trial.params.keys()

    def _find_stored(self, trial: FrozenTrial) -> dict[str, Any] | None:
        return None if self._space is not None else trial.system_attrs.get(RELATIVE_ATTR)

    def _take_inferred(self, trial: FrozenTrial) -> BaseSampler:
        number, inner = self._inferred or (None, None)
        self._inferred = None
        if inner is None or number != trial.number:
            return self._open(trial, "relative")
        return inner

    def _open(self, trial: FrozenTrial, purpose: str) -> BaseSampler:
        inner = self._kept or self._make()
        self._random_states.seed(inner, derive_seed(self._seed, trial.number, purpose))
        return inner

    def _is_outside_grid(self, trial: FrozenTrial) -> bool:
        """Tell whether a trial with fixed parameters visits no grid point: Grid fails on those."""
        return self._has_grid and "grid_id" not in trial.system_attrs


def _store(
    study: Study,
    trial: FrozenTrial,
    search_space: dict[str, BaseDistribution],
    params: dict[str, Any],
) -> None:
    pairs = {name: [distribution_to_json(search_space[name]), params[name]] for name in params}
    study._storage.set_trial_system_attr(trial._trial_id, RELATIVE_ATTR, pairs)


def _record_exhausted(study: Study) -> None:
    if not study._storage.get_study_system_attrs(study._study_id).get(EXHAUSTED_ATTR):
        study._storage.set_study_system_attr(study._study_id, EXHAUSTED_ATTR, True)
