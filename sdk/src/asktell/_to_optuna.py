"""A server's study as an Optuna study in memory, for plots, importances and dataframes.

The one module that imports optuna, and itself imported only when somebody asks for a copy.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
    json_to_distribution,
)
from optuna.study import StudyDirection
from optuna.trial import TrialState

from asktell._optuna import SYSTEM_ATTR_PREFIX
from asktell._records import FrozenTrial, Objective, find_metric_names

REASON_ATTR = "asktell:reason"

_CHANGES = (
    "add_trial",
    "add_trials",
    "ask",
    "enqueue_trial",
    "optimize",
    "set_metric_names",
    "set_user_attr",
    "stop",
    "tell",
)


class StudyCopy(optuna.Study):
    """A study of the server as it was at one moment; whatever would change it is refused."""


def _refuse(name: str) -> Callable[..., NoReturn]:
    def refuse(study: StudyCopy, *_: Any, **__: Any) -> NoReturn:
        raise RuntimeError(
            f"This is a copy of study {study.study_name!r}, of which the server would not hear: "
            f"call `{name}` of the study that `to_optuna` was called on."
        )

    return refuse


for _name in _CHANGES:
    setattr(StudyCopy, _name, _refuse(_name))


def build_copy(
    name: str,
    objectives: Sequence[Objective],
    user_attrs: Mapping[str, Any],
    trials: Sequence[FrozenTrial],
    used: Iterable[Mapping[str, Any]],
) -> StudyCopy:
    """A study in memory with these trials.

    Args:
        name: Of the study.
        objectives: Of the study.
        user_attrs: Of the study.
        trials: All of them, by number.
        used: What the API lists as the study's distributions. Of a parameter that is not in
            there, or has values besides, the distribution is what its values span.
    """
    storage = optuna.storages.InMemoryStorage()
    directions = [StudyDirection[objective.direction.name] for objective in objectives]
    with _keeping_quiet():
        study_id = storage.create_new_study(directions, name)
    for key, value in user_attrs.items():
        storage.set_study_user_attr(study_id, key, value)
    _keep_metric_names(storage, study_id, objectives)
    distributions = _find_distributions(trials, used)
    for trial in trials:
        template = _to_optuna(trial, distributions.get(trial.number, {}))
        storage.create_new_trial(study_id, template_trial=template)
    return StudyCopy(name, storage)


def to_optuna_distribution(document: Mapping[str, Any]) -> BaseDistribution:
    """Optuna's distribution for a document of either form that the API takes."""
    return json_to_distribution(json.dumps(document))


@contextmanager
def _keeping_quiet() -> Iterator[None]:
    """Optuna announces each study at INFO, but a copy is none that anybody has created."""
    thread = threading.get_ident()

    def is_of_others(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger = logging.getLogger(optuna.storages.InMemoryStorage.__module__)
    logger.addFilter(is_of_others)
    try:
        yield
    finally:
        logger.removeFilter(is_of_others)


def _keep_metric_names(
    storage: optuna.storages.InMemoryStorage, study_id: int, objectives: Sequence[Objective]
) -> None:
    # With names Optuna titles axes and columns by them.
    if (names := find_metric_names(objectives)) is not None:
        storage.set_study_system_attr(study_id, "study:metric_names", names)


def _to_optuna(
    trial: FrozenTrial, distributions: Mapping[str, BaseDistribution]
) -> optuna.trial.FrozenTrial:
    attrs = {key: value for key, value in trial.user_attrs.items() if not _is_systems(key)}
    return optuna.trial.FrozenTrial(
        number=trial.number,
        trial_id=trial.number,
        state=TrialState[trial.state.name],
        value=None,
        values=trial.values,
        datetime_start=_to_local(trial.datetime_start),
        datetime_complete=_to_local(trial.datetime_complete),
        params={name: _simplify(value) for name, value in trial.params.items()},
        distributions=dict(distributions),
        user_attrs=attrs,
        system_attrs=_build_system_attrs(trial),
        intermediate_values=dict(trial.intermediate_values),
    )


def _build_system_attrs(trial: FrozenTrial) -> dict[str, Any]:
    reason = {} if trial.reason is None else {REASON_ATTR: trial.reason}
    constraints = describe_constraints(trial.constraints, version=optuna.__version__)
    return {**trial.system_attrs, **constraints, **reason}


def describe_constraints(constraints: Mapping[str, float], *, version: str) -> dict[str, Any]:
    """A trial's constraints as that version of Optuna reads them: before 5 they had no names."""
    if int(version.split(".")[0]) < 5:
        return {"constraints": list(constraints.values())} if constraints else {}
    return {f"constraints:{name}": value for name, value in constraints.items()}


def _is_systems(key: str) -> bool:
    return key.startswith(SYSTEM_ATTR_PREFIX)


def _to_local(at: datetime | None) -> datetime | None:
    # Optuna's times are naive and local.
    return None if at is None else at.astimezone().replace(tzinfo=None)


def _simplify(value: Any) -> Any:
    """A value as Optuna takes it: a list or an object, of which it has none, as JSON text."""
    return json.dumps(value) if isinstance(value, (list, Mapping)) else value


def _find_distributions(
    trials: Iterable[FrozenTrial], used: Iterable[Mapping[str, Any]]
) -> dict[int, dict[str, BaseDistribution]]:
    """The distributions of each trial's parameters, by its number."""
    drawn = _expand(used)
    values: dict[str, dict[int, Any]] = {}
    for trial in trials:
        for name, value in trial.params.items():
            values.setdefault(name, {})[trial.number] = _simplify(value)
    found: dict[int, dict[str, BaseDistribution]] = {}
    for name, chosen in values.items():
        for number, distribution in _settle(chosen, drawn.get(name, {})).items():
            found.setdefault(number, {})[name] = distribution
    return found


def _expand(used: Iterable[Mapping[str, Any]]) -> dict[str, dict[int, BaseDistribution]]:
    drawn: dict[str, dict[int, BaseDistribution]] = {}
    for entry in used:
        distribution = to_optuna_distribution(entry["distribution"])
        of_name = drawn.setdefault(entry["name"], {})
        for first, last in entry["trials"]:
            of_name |= dict.fromkeys(range(first, last + 1), distribution)
    return drawn


def _settle(
    values: Mapping[int, Any], drawn: Mapping[int, BaseDistribution]
) -> Mapping[int, BaseDistribution]:
    """A distribution for each value; within one study Optuna has them agree with each other."""
    is_known = all(
        number in drawn and _holds(drawn[number], value) for number, value in values.items()
    )
    if not is_known:
        return dict.fromkeys(values, _span(list(values.values())))
    distinct = list({id(drawn[number]): drawn[number] for number in values}.values())
    if all(_agree(distinct[0], other) for other in distinct[1:]):
        return {number: drawn[number] for number in values}
    return dict.fromkeys(values, _merge(distinct, list(values.values())))


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except ValueError:
        return False


def _agree(one: BaseDistribution, other: BaseDistribution) -> bool:
    try:
        check_distribution_compatibility(one, other)
    except ValueError:
        return False
    return True


def _merge(distributions: Sequence[BaseDistribution], values: list[Any]) -> BaseDistribution:
    choices: list[Any] = []
    for distribution in distributions:
        if not isinstance(distribution, CategoricalDistribution):
            return _span(values)
        choices += distribution.choices
    return CategoricalDistribution(list(dict.fromkeys(choices)))


def _span(values: list[Any]) -> BaseDistribution:
    types = set(map(type, values))
    if types == {int}:
        return IntDistribution(min(values), max(values))
    if types <= {int, float}:
        return FloatDistribution(min(values), max(values))
    return CategoricalDistribution(list(dict.fromkeys(values)))
