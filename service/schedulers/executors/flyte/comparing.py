"""Compares a sweep with what it is to launch in Flyte, before there is any trial."""

from collections.abc import Sequence
from typing import Any

from service.schedulers.executors.base import Launch
from service.schedulers.executors.flyte.api import FlyteApi, Place
from service.schedulers.executors.flyte.new_execution import build_inputs


async def compare_with_flyte(api: FlyteApi, trials: Sequence[Launch]) -> list[str]:
    """All that keeps the trials of a sweep from being launched, for people.

    Args:
        trials: At least one; such as there can be, with their arguments, params and metrics.

    Raises:
        SystemAway: Flyte cannot be asked now.
        SystemRefused: It does not answer this, or has nothing of that name.
    """
    examples: dict[str, list[Any]] = {}
    for trial in trials:
        for name, value in build_inputs(trial.arguments, trial.params).items():
            values = examples.setdefault(name, [])
            if value not in values:
                values.append(value)
    outputs = trials[0].arguments.get("outputs") or {}
    return await api.check(Place.of(trials[0]), examples, trials[0].metrics, outputs)
