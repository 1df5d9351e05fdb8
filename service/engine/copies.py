"""Copies of what must not change under those who look at it."""

import copy
import json
from typing import Any

from optuna.trial import FrozenTrial


def copy_trial(trial: FrozenTrial) -> FrozenTrial:
    """Returns a trial that can be changed without changing the original."""
    changed = copy.copy(trial)
    changed.params = dict(trial.params)
    changed.distributions = dict(trial.distributions)
    changed.user_attrs = dict(trial.user_attrs)
    changed.system_attrs = dict(trial.system_attrs)
    changed.intermediate_values = dict(trial.intermediate_values)
    return changed


def as_stored(attr: Any) -> Any:
    """Returns a copy that nobody else can change, the same before and after a reload."""
    return json.loads(json.dumps(attr))
