"""Trials of a study of Optuna, from any storage that Optuna can read."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from service.cli.documents import to_document
from service.cli.failures import CannotStart, WrongUse
from service.cli.imports.found import ORIGIN_ATTR, Found, FoundTrial, Target
from service.cli.imports.optuna_storage import open_storage

_METRIC_NAMES_ATTR = "study:metric_names"
_MAX_STUDIES_SHOWN = 20
_DIGEST_LENGTH = 16


def read_optuna(
    location: str,
    study_name: str | None,
    states: Collection[TrialState],
    *,
    name: str,
    existing: Target | None,
) -> Found:
    """Returns the finished trials of a study, by number.

    Args:
        location: See `open_storage`.
        study_name: May be left out where there is one study only.
        states: In which trials are wanted.
        name: Of the study here.
        existing: That study, if there is one.

    Raises:
        CannotStart: There is no such study, or it cannot be read.
    """
    with open_storage(location) as storage:
        study_name, study_id = _find_study(storage, study_name)
        target = existing or Target(name, _read_objectives(storage, study_id), is_new=True)
        trials = storage.get_all_trials(study_id, deepcopy=False)
    wanted = [trial for trial in trials if trial.state in states]
    left_out = Counter(trial.state.name.lower() for trial in trials if trial.state not in states)
    origins = [_name_origin(study_name, trial) for trial in wanted]
    found = [
        FoundTrial(str(trial.number), _describe(trial, origin, target))
        for trial, origin in zip(wanted, origins, strict=True)
        if origin not in target.origins
    ]
    return Found(
        source=f"Optuna's study {study_name!r}",
        target=target,
        trials=found,
        n_known=len(wanted) - len(found),
        left_out=left_out,
    )


def _find_study(storage: BaseStorage, name: str | None) -> tuple[str, int]:
    ids = {study.study_name: study._study_id for study in storage.get_all_studies()}
    if name is None and len(ids) == 1:
        return next(iter(ids.items()))
    if name in ids:
        return name, ids[name]
    names = sorted(ids)
    shown = ", ".join(names[:_MAX_STUDIES_SHOWN]) + (", …" if names[_MAX_STUDIES_SHOWN:] else "")
    if not names:
        raise CannotStart("The storage has no study.")
    if name is None:
        raise WrongUse(f"Say which study with --source-study; the storage has {shown}.")
    raise WrongUse(f"--source-study: the storage has no study {name!r}, but {shown}.")


def _read_objectives(storage: BaseStorage, study_id: int) -> dict[str, str]:
    directions = storage.get_study_directions(study_id)
    names = storage.get_study_system_attrs(study_id).get(_METRIC_NAMES_ATTR)
    if names is None:
        names = _name_objectives(len(directions))
    return {
        name: "maximize" if direction == StudyDirection.MAXIMIZE else "minimize"
        for name, direction in zip(names, directions, strict=True)
    }


def _name_objectives(count: int) -> Sequence[str]:
    """As the SDK names those that nobody has named."""
    return ["value"] if count == 1 else [f"value_{index}" for index in range(count)]


def _describe(trial: FrozenTrial, origin: str, target: Target) -> dict[str, Any]:
    document = {
        "distributions": None if target.space is not None else _describe_distributions(trial),
        "values": trial.values if trial.state == TrialState.COMPLETE else None,
        "intermediate_values": [
            {"step": step, "value": value} for step, value in trial.intermediate_values.items()
        ],
        "constraints": trial.constraints,
        "started_at": _to_utc(trial.datetime_start),
        "finished_at": _to_utc(trial.datetime_complete),
    }
    given = {key: value for key, value in document.items() if value}
    user_attrs = {**trial.user_attrs, ORIGIN_ATTR: origin}
    described: dict[str, Any] = to_document(
        {"state": trial.state.name, "params": trial.params, "user_attrs": user_attrs, **given}
    )
    return described


def _describe_distributions(trial: FrozenTrial) -> Mapping[str, Any]:
    return {
        name: json.loads(distribution_to_json(distribution))
        for name, distribution in trial.distributions.items()
    }


def _name_origin(study_name: str, trial: FrozenTrial) -> str:
    """Tells apart trials of one number in studies of one name, which many storages have.

    A finished trial never changes, so it is named alike whenever it is read; and in a copy of
    its study too, which has its times.
    """
    identity = [str(trial.datetime_start), str(trial.datetime_complete), trial.state.name]
    values = [repr(sorted(trial.params.items())), repr(trial.values)]
    digest = hashlib.sha256("|".join([*identity, *values]).encode()).hexdigest()
    return f"optuna/{study_name}/{trial.number}/{digest[:_DIGEST_LENGTH]}"


def _to_utc(moment: datetime | None) -> datetime | None:
    # Optuna's times are naive and local, which is what astimezone takes them for.
    return None if moment is None else moment.astimezone(UTC)
