"""A server's study as an Optuna study in memory, to plot and to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import TrialState

from asktell._records import FrozenTrial
from asktell.flyte._suggestions import Suggestion
from asktell.flyte._trials import REASON_ATTR


def build_study(
    name: str,
    directions: Sequence[str],
    trials: Sequence[FrozenTrial],
    suggestions: Mapping[str, Suggestion],
) -> optuna.Study:
    """A study in memory with these trials.

    Args:
        name: Its name.
        directions: `minimize` or `maximize`, one per objective.
        trials: All of them, by number.
        suggestions: Where parameters come from, as far as it is known here; of others the
            distribution is what their values span.
    """
    storage = optuna.storages.InMemoryStorage()
    storage.create_new_study([StudyDirection[word.upper()] for word in directions], name)
    study = optuna.load_study(study_name=name, storage=storage)
    distributions = _find_distributions(trials, suggestions)
    study.add_trials([_to_optuna(trial, distributions) for trial in trials])
    return study


def _to_optuna(
    trial: FrozenTrial, distributions: Mapping[str, BaseDistribution]
) -> optuna.trial.FrozenTrial:
    reason = {} if trial.reason is None else {REASON_ATTR: trial.reason}
    return optuna.trial.FrozenTrial(
        number=trial.number,
        trial_id=trial.number,
        state=TrialState[trial.state.name],
        value=None,
        values=trial.values,
        datetime_start=_to_local(trial.datetime_start),
        datetime_complete=_to_local(trial.datetime_complete),
        params=trial.params,
        distributions={name: distributions[name] for name in trial.params},
        user_attrs={**trial.user_attrs, **reason},
        system_attrs={},
        intermediate_values=trial.intermediate_values,
    )


def _to_local(at: datetime | None) -> datetime | None:
    # Optuna's times are naive and local.
    return None if at is None else at.astimezone().replace(tzinfo=None)


def _find_distributions(
    trials: Iterable[FrozenTrial], suggestions: Mapping[str, Suggestion]
) -> dict[str, BaseDistribution]:
    values: dict[str, list[Any]] = {}
    for trial in trials:
        for name, value in trial.params.items():
            values.setdefault(name, []).append(value)
    return {
        name: _find_distribution(chosen, suggestions.get(name)) for name, chosen in values.items()
    }


def _find_distribution(values: list[Any], suggestion: Suggestion | None) -> BaseDistribution:
    if suggestion is not None and all(map(suggestion.holds, values)):
        distribution = suggestion.to_distribution()
        # The values may be older than the step.
        if all(distribution._contains(distribution.to_internal_repr(value)) for value in values):
            return distribution
    types = set(map(type, values))
    if types == {int}:
        return IntDistribution(min(values), max(values))
    if types <= {int, float}:
        return FloatDistribution(min(values), max(values))
    return CategoricalDistribution(list(dict.fromkeys(values)))
