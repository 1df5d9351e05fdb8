"""One managed study in memory, as an Optuna storage that remembers what was done to it.

Stock Optuna runs on a `Mirror`. Every mutation is applied in memory and appended to `journal`;
nothing here touches the database. Trials and the study's attributes are copy-on-write: a stored
`FrozenTrial` or dictionary is never changed, only replaced, so a fork is a copy of one list.

Not thread-safe: a mirror belongs to the event loop. A fork may be given to another thread, whole.
"""

import copy
from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, NoReturn, assert_never

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState, create_trial

from service.domain.studies import TrialCounts
from service.engine.copies import as_stored, copy_trial
from service.engine.scores import find_score
from service.storage.journal import (
    AttrKind,
    IntermediateValueSet,
    Mutation,
    ParamSet,
    StateSet,
    StudyAttrSet,
    TrialAttrSet,
    TrialChange,
    TrialCreated,
    TrialRestarted,
    is_rung,
)

_trial_id_of = attrgetter("_trial_id")


class Mirror(BaseStorage):
    """Holds exactly one study; creating and deleting studies is the engine's.

    Args:
        new_trial_id: Gives the next trial id; ids must rise.
        now: Gives naive local time, which is what Optuna's `FrozenTrial` holds.
    """

    def __init__(
        self,
        *,
        study_id: int,
        name: str,
        directions: Sequence[StudyDirection],
        new_trial_id: Callable[[], int],
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.study_id = study_id
        self.name = name
        self.directions = list(directions)
        self.user_attrs: dict[str, Any] = {}
        self.system_attrs: dict[str, Any] = {}
        self.journal: list[Mutation] = []
        self._best: tuple[float, int] | None = None
        self._trials: list[FrozenTrial] = []
        self._counts = dict.fromkeys(TrialState, 0)
        self._distributions: dict[str, BaseDistribution] = {}
        self._new_trial_id = new_trial_id
        self.now = now

    @classmethod
    def of(
        cls,
        *,
        study_id: int,
        name: str,
        directions: Sequence[StudyDirection],
        user_attrs: Mapping[str, Any],
        system_attrs: Mapping[str, Any],
        trials: Iterable[FrozenTrial],
        new_trial_id: Callable[[], int],
        now: Callable[[], datetime] = datetime.now,
    ) -> "Mirror":
        """Builds the mirror of a stored study, with an empty journal; `trials` by number."""
        mirror = cls(
            study_id=study_id,
            name=name,
            directions=directions,
            new_trial_id=new_trial_id,
            now=now,
        )
        mirror.user_attrs.update(user_attrs)
        mirror.system_attrs.update(system_attrs)
        for trial in trials:
            mirror._add(trial)
        return mirror

    def fork(self) -> "Mirror":
        """Returns a mirror of the same moment with an empty journal; neither sees the other."""
        fork = copy.copy(self)
        fork.journal = []
        fork._trials = list(self._trials)
        fork._counts = dict(self._counts)
        fork._distributions = dict(self._distributions)
        return fork

    def replay(self, journal: Sequence[Mutation]) -> None:
        """Does what a fork did, all of it or nothing.

        Raises:
            optuna.exceptions.UpdateFinishedTrialError: A trial it changes has ended meanwhile.
        """
        self._check_replayable(journal)
        for mutation in journal:
            self._apply(mutation)

    @property
    def counts(self) -> TrialCounts:
        """Number of trials by state."""
        return TrialCounts(
            waiting=self._counts[TrialState.WAITING],
            running=self._counts[TrialState.RUNNING],
            complete=self._counts[TrialState.COMPLETE],
            pruned=self._counts[TrialState.PRUNED],
            fail=self._counts[TrialState.FAIL],
        )

    def find_trial(self, number: int) -> FrozenTrial | None:
        """Returns the stored trial itself: read it, never change it."""
        return self._trials[number] if 0 <= number < len(self._trials) else None

    @property
    def best_number(self) -> int | None:
        """The best feasible trial of a study with one objective; None before one."""
        return None if self._best is None else self._best[1]

    # Optuna's BaseStorage: studies

    def create_new_study(
        self,
        directions: Sequence[StudyDirection],  # noqa: ARG002 - Optuna's signature
        study_name: str | None = None,  # noqa: ARG002 - Optuna's signature
    ) -> NoReturn:
        raise RuntimeError("A mirror holds one study; create studies through the engine.")

    def delete_study(self, study_id: int) -> NoReturn:
        raise RuntimeError(f"Delete study {study_id} through the engine, not through its mirror.")

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._check_study(study_id)
        self._record(StudyAttrSet(AttrKind.USER, key, as_stored(value)))

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._check_study(study_id)
        self._record(StudyAttrSet(AttrKind.SYSTEM, key, as_stored(value)))

    def get_study_id_from_name(self, study_name: str) -> int:
        if study_name != self.name:
            raise KeyError(f"This mirror holds study {self.name!r}, not {study_name!r}.")
        return self.study_id

    def get_study_name_from_id(self, study_id: int) -> str:
        self._check_study(study_id)
        return self.name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        self._check_study(study_id)
        return self.directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        self._check_study(study_id)
        return self.user_attrs

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        self._check_study(study_id)
        return self.system_attrs

    def get_all_studies(self) -> list[FrozenStudy]:
        return [
            FrozenStudy(
                study_name=self.name,
                direction=None,
                directions=self.directions,
                user_attrs=copy.deepcopy(self.user_attrs),
                system_attrs=copy.deepcopy(self.system_attrs),
                study_id=self.study_id,
            )
        ]

    # Optuna's BaseStorage: trials

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        self._check_study(study_id)
        trial = self._build_trial(template_trial)
        trial.number = len(self._trials)
        trial._trial_id = self._new_trial_id()
        self._record(TrialCreated(trial))
        return trial._trial_id

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        trial = self._check_updatable(trial_id)
        self.check_compatible(param_name, distribution)
        if param_name in trial.params:
            # Chosen once, as in Optuna's RDBStorage, which keeps the first without a word.
            return
        self._record(ParamSet(trial_id, param_name, param_value_internal, distribution))

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        trial = self._check_updatable(trial_id)
        if state is TrialState.RUNNING and trial.state is not TrialState.WAITING:
            return False
        self._record(StateSet(trial_id, trial.state, state, values, self.now()))
        return True

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        self._check_updatable(trial_id)
        self._record(IntermediateValueSet(trial_id, step, intermediate_value))

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._check_updatable(trial_id)
        self._record(TrialAttrSet(trial_id, AttrKind.USER, key, as_stored(value)))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._check_updatable(trial_id)
        self._record(TrialAttrSet(trial_id, AttrKind.SYSTEM, key, as_stored(value)))

    def get_trial(self, trial_id: int) -> FrozenTrial:
        trial = self._get(trial_id)
        # optuna.Trial writes suggestions into the dictionaries of the trial it was given.
        return trial if trial.state.is_finished() else copy_trial(trial)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        self._check_study(study_id)
        trials = self._select(states)
        return copy.deepcopy(trials) if deepcopy else trials

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        self._check_study(study_id)
        trial = self.find_trial(trial_number)
        if trial is None:
            raise KeyError(f"Study {self.name!r} has no trial {trial_number}.")
        return trial._trial_id

    def get_trial_number_from_id(self, trial_id: int) -> int:
        return self._get(trial_id).number

    def get_trial_param(self, trial_id: int, param_name: str) -> float:
        trial = self._get(trial_id)
        return trial.distributions[param_name].to_internal_repr(trial.params[param_name])

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        self._check_study(study_id)
        if len(self.directions) > 1:
            raise RuntimeError("Best trial can be obtained only for single-objective optimization.")
        if self.best_number is None:
            raise ValueError("No trials are completed yet.")
        return self._trials[self.best_number]

    def restart_trial(self, trial_id: int) -> None:
        """Forgets what an attempt reported, for the next one to begin clean."""
        self._check_updatable(trial_id)
        self._record(TrialRestarted(trial_id))

    def check_compatible(self, param_name: str, distribution: BaseDistribution) -> None:
        """Raises ValueError if the parameter has had another kind of distribution before."""
        known = self._distributions.get(param_name, distribution)
        check_distribution_compatibility(known, distribution)

    def find_distribution(self, param_name: str) -> BaseDistribution | None:
        """Returns one that the parameter has had; None if there was none yet."""
        return self._distributions.get(param_name)

    # One way in for every change

    def _record(self, mutation: Mutation) -> None:
        self._apply(mutation)
        self.journal.append(mutation)

    def _apply(self, mutation: Mutation) -> None:
        match mutation:
            case StudyAttrSet():
                self._change_study(mutation)
            case TrialCreated(trial):
                self._add(trial)
            case _:
                trial = copy_trial(self._get(mutation.trial_id))
                self._change(trial, mutation)
                self._trials[trial.number] = trial

    def _change_study(self, change: StudyAttrSet) -> None:
        if change.kind is AttrKind.USER:
            self.user_attrs = {**self.user_attrs, change.key: change.value}
        else:
            self.system_attrs = {**self.system_attrs, change.key: change.value}

    def _add(self, trial: FrozenTrial) -> None:
        self._trials.append(trial)
        self._counts[trial.state] += 1
        self._distributions |= trial.distributions
        self._consider_best(trial)

    def _change(self, trial: FrozenTrial, mutation: TrialChange) -> None:
        match mutation:
            case IntermediateValueSet(_, step, value):
                trial.intermediate_values[step] = value
            case ParamSet(_, name, internal_value, distribution):
                trial.params[name] = distribution.to_external_repr(internal_value)
                trial.distributions[name] = distribution
                self._distributions[name] = distribution
            case TrialAttrSet(_, kind, key, value):
                attrs = trial.user_attrs if kind is AttrKind.USER else trial.system_attrs
                attrs[key] = value
            case TrialRestarted():
                trial.intermediate_values = {}
                kept = trial.system_attrs.items()
                trial.system_attrs = {key: value for key, value in kept if not is_rung(key)}
            case StateSet():
                self._change_state(trial, mutation)
            case _:
                assert_never(mutation)

    def _change_state(self, trial: FrozenTrial, change: StateSet) -> None:
        self._counts[trial.state] -= 1
        self._counts[change.state] += 1
        trial.state = change.state
        if change.values is not None:
            trial.values = change.values
        if change.state is TrialState.RUNNING:
            trial.datetime_start = change.at
        if change.state.is_finished():
            trial.datetime_complete = change.at
        self._consider_best(trial)

    def _consider_best(self, trial: FrozenTrial) -> None:
        score = find_score(trial, self.directions)
        if score is None:
            return
        # Among equals the lower number, so that the order of the tells leaves no trace.
        if self._best is None or (score, trial.number) < self._best:
            self._best = (score, trial.number)

    # Looking things up

    def _get(self, trial_id: int) -> FrozenTrial:
        position = bisect_left(self._trials, trial_id, key=_trial_id_of)
        if position < len(self._trials) and self._trials[position]._trial_id == trial_id:
            return self._trials[position]
        raise KeyError(f"No trial with trial_id {trial_id} exists.")

    def _select(self, states: Container[TrialState] | None) -> list[FrozenTrial]:
        if states is None:
            return list(self._trials)
        if all(self._counts[state] == 0 for state in TrialState if state in states):
            return []
        return [trial for trial in self._trials if trial.state in states]

    def _check_study(self, study_id: int) -> None:
        if study_id != self.study_id:
            raise KeyError(f"No study with study_id {study_id} exists.")

    def _check_updatable(self, trial_id: int) -> FrozenTrial:
        trial = self._get(trial_id)
        self.check_trial_is_updatable(trial_id, trial.state)
        return trial

    def _check_replayable(self, journal: Sequence[Mutation]) -> None:
        created = {mutation.trial_id for mutation in journal if isinstance(mutation, TrialCreated)}
        for mutation in journal:
            if not isinstance(mutation, StudyAttrSet) and mutation.trial_id not in created:
                self._check_updatable(mutation.trial_id)

    def _build_trial(self, template: FrozenTrial | None) -> FrozenTrial:
        if template is None:
            trial = create_trial(state=TrialState.RUNNING)
            trial.datetime_start = self.now()
            return trial
        for name, distribution in template.distributions.items():
            self.check_compatible(name, distribution)
        trial = copy_trial(template)
        trial.user_attrs = as_stored(template.user_attrs)
        trial.system_attrs = as_stored(template.system_attrs)
        return trial
