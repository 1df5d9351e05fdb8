"""Folds the mutations of a batch into rows: one per key, the last word of each."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, assert_never

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from service.storage.encoding import TypedFloat, encode_distribution, encode_float
from service.storage.journal import (
    AttrKind,
    IntermediateValueSet,
    Mutation,
    ParamSet,
    StateSet,
    StudyAttrSet,
    StudyWrite,
    TrialAttrSet,
    TrialCreated,
    TrialRestarted,
    is_rung,
)


@dataclass(slots=True)
class NewTrial:
    number: int
    study_id: int
    state: str
    started: datetime | None
    completed: datetime | None


@dataclass(slots=True)
class Transition:
    expected: str
    state: str
    started: datetime | None
    completed: datetime | None


@dataclass(slots=True)
class OptunaRows:
    """Rows by table; dictionaries keep the order in which things happened first.

    Attributes:
        restarted: Trials whose stored reports and rungs go before anything here is written.
    """

    restarted: dict[int, None] = field(default_factory=dict)
    trials: dict[int, NewTrial] = field(default_factory=dict)
    transitions: dict[int, Transition] = field(default_factory=dict)
    params: dict[tuple[int, str], tuple[float, str]] = field(default_factory=dict)
    values: dict[tuple[int, int], TypedFloat] = field(default_factory=dict)
    intermediate_values: dict[tuple[int, int], TypedFloat] = field(default_factory=dict)
    trial_user_attrs: dict[tuple[int, str], tuple[str]] = field(default_factory=dict)
    trial_system_attrs: dict[tuple[int, str], tuple[str]] = field(default_factory=dict)
    study_user_attrs: dict[tuple[int, str], tuple[str]] = field(default_factory=dict)
    study_system_attrs: dict[tuple[int, str], tuple[str]] = field(default_factory=dict)

    def trial_attrs(self, kind: AttrKind) -> dict[tuple[int, str], tuple[str]]:
        return self.trial_user_attrs if kind is AttrKind.USER else self.trial_system_attrs

    def study_attrs(self, kind: AttrKind) -> dict[tuple[int, str], tuple[str]]:
        return self.study_user_attrs if kind is AttrKind.USER else self.study_system_attrs


def fold(writes: Iterable[StudyWrite]) -> OptunaRows:
    """Returns the rows that leave Optuna's tables as if each mutation was written alone."""
    rows = OptunaRows()
    for write in writes:
        for mutation in write.mutations:
            _add(rows, write.study_id, mutation)
    return rows


def _add(rows: OptunaRows, study_id: int, mutation: Mutation) -> None:
    match mutation:
        case IntermediateValueSet(trial_id, step, value):
            rows.intermediate_values[trial_id, step] = encode_float(value)
        case TrialCreated(trial):
            _add_trial(rows, study_id, trial)
        case ParamSet(trial_id, name, internal_value, distribution):
            _add_param(rows, trial_id, name, internal_value, distribution)
        case StateSet():
            _add_transition(rows, mutation)
        case TrialAttrSet(trial_id, kind, key, value):
            rows.trial_attrs(kind)[trial_id, key] = (json.dumps(value),)
        case TrialRestarted(trial_id):
            _restart(rows, trial_id)
        case StudyAttrSet(kind, key, value):
            rows.study_attrs(kind)[study_id, key] = (json.dumps(value),)
        case _:
            assert_never(mutation)


def _add_trial(rows: OptunaRows, study_id: int, trial: FrozenTrial) -> None:
    trial_id = trial._trial_id
    rows.trials[trial_id] = NewTrial(
        trial.number, study_id, trial.state.name, trial.datetime_start, trial.datetime_complete
    )
    for name, value in trial.params.items():
        distribution = trial.distributions[name]
        _add_param(rows, trial_id, name, distribution.to_internal_repr(value), distribution)
    _add_values(rows, trial_id, trial.values)
    for step, value in trial.intermediate_values.items():
        rows.intermediate_values[trial_id, step] = encode_float(value)
    _add_attrs(rows.trial_user_attrs, trial_id, trial.user_attrs)
    _add_attrs(rows.trial_system_attrs, trial_id, trial.system_attrs)


def _add_param(
    rows: OptunaRows,
    trial_id: int,
    name: str,
    internal_value: float,
    distribution: BaseDistribution,
) -> None:
    # The index of a categorical choice is an int, and psycopg dumps no list of mixed types.
    rows.params[trial_id, name] = (float(internal_value), encode_distribution(distribution))


def _add_values(rows: OptunaRows, trial_id: int, values: Iterable[float] | None) -> None:
    for objective, value in enumerate(values or ()):
        rows.values[trial_id, objective] = encode_float(value)


def _add_attrs(
    into: dict[tuple[int, str], tuple[str]], trial_id: int, attrs: Mapping[str, Any]
) -> None:
    for key, value in attrs.items():
        into[trial_id, key] = (json.dumps(value),)


def _restart(rows: OptunaRows, trial_id: int) -> None:
    rows.restarted[trial_id] = None
    for point in [point for point in rows.intermediate_values if point[0] == trial_id]:
        del rows.intermediate_values[point]
    attrs = rows.trial_system_attrs
    for attr in [attr for attr in attrs if attr[0] == trial_id and is_rung(attr[1])]:
        del attrs[attr]


def _add_transition(rows: OptunaRows, change: StateSet) -> None:
    earlier = rows.transitions.get(change.trial_id)
    started = change.at if change.state is TrialState.RUNNING else None
    completed = change.at if change.state.is_finished() else None
    rows.transitions[change.trial_id] = Transition(
        expected=earlier.expected if earlier else change.expected.name,
        state=change.state.name,
        started=started or (earlier.started if earlier else None),
        completed=completed,
    )
    _add_values(rows, change.trial_id, change.values)
