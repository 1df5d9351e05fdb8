"""The system attributes of users' code: under names of their own in the study, not in its eyes."""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import Any

from optuna.trial import FrozenTrial

from service.domain.user_code import THEIR_PREFIX
from service.engine.replica.user_answers import OF_PRUNERS, OF_SAMPLERS
from service.storage.journal import (
    AttrKind,
    Mutation,
    StudyAttrSet,
    TrialAttrSet,
    TrialCreated,
)

_OURS = OF_PRUNERS | OF_SAMPLERS


def show_attrs(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Returns system attributes as users' code sees them; the service's win."""
    theirs = {key: value for key, value in stored.items() if key.startswith(THEIR_PREFIX)}
    others = {key: value for key, value in stored.items() if key not in theirs}
    return {_show(key): value for key, value in theirs.items()} | others


def show_trial(stored: FrozenTrial) -> FrozenTrial:
    """Returns a trial likewise; the same one if there is nothing to change."""
    if not any(key.startswith(THEIR_PREFIX) for key in stored.system_attrs):
        return stored
    trial = copy(stored)
    trial.system_attrs = show_attrs(stored.system_attrs)
    return trial


def show_mutation(stored: Mutation) -> Mutation:
    """Returns what happened to the study likewise."""
    match stored:
        case TrialCreated(trial):
            return TrialCreated(show_trial(trial))
        case TrialAttrSet(kind=AttrKind.SYSTEM) | StudyAttrSet(kind=AttrKind.SYSTEM):
            return replace(stored, key=_show(stored.key))
    return stored


def store_mutation(done: Mutation) -> Mutation:
    """Returns what users' code did as it is to be stored."""
    match done:
        case TrialAttrSet(kind=AttrKind.SYSTEM) | StudyAttrSet(kind=AttrKind.SYSTEM):
            if done.key not in _OURS:
                return replace(done, key=f"{THEIR_PREFIX}{done.key}")
    return done


def _show(key: str) -> str:
    return key.removeprefix(THEIR_PREFIX)
