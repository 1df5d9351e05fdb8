"""Suggest: choose parameters of a running trial that its code declares as it goes."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from service.domain.errors import InvalidParams, TrialNotRunning
from service.engine.actor import Actor, Draft
from service.samplers import check_suggestible
from service.search_space import parse_distribution


async def suggest(actor: Actor, number: int, distributions: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a value for each named distribution (native JSON), committed.

    A name that the trial already has keeps its value, so repeats are harmless.

    Raises:
        TrialNotFound: The study has no such trial.
        TrialNotRunning: It has ended.
        InvalidSpace: A distribution is malformed.
        InvalidParams: A distribution clashes with an earlier one of the same name.
    """
    parsed = {name: parse_distribution(name, document) for name, document in distributions.items()}
    check_suggestible(actor.spec.sampler, parsed)
    async with actor.drawing:
        trial = actor.get_trial(number)
        if trial.state is not TrialState.RUNNING:
            raise TrialNotRunning(
                f"Trial {number} is {trial.state.name}; only a running trial gets parameters."
            )
        draft = actor.begin()
        params = await actor.sampling.run(partial(_suggest_all, draft, trial._trial_id, parsed))
        committed = actor.accept(draft) if draft.mirror.journal else actor.confirm()
    await committed
    return params


def suggest_value(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    """Asks stock Optuna for a value, through the public method for the distribution's kind."""
    match distribution:
        case FloatDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_float(name, low, high, step=step, log=log)
        case IntDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_int(name, low, high, step=step, log=log)
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
    raise TypeError(f"{name}: {type(distribution).__name__} is not a distribution of Optuna 5.")


def _suggest_all(
    draft: Draft, trial_id: int, distributions: Mapping[str, BaseDistribution]
) -> dict[str, Any]:
    trial = optuna.Trial(draft.study, trial_id)
    return {
        name: _suggest_one(trial, name, distribution)
        for name, distribution in distributions.items()
    }


def _suggest_one(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    try:
        return suggest_value(trial, name, distribution)
    except ValueError as error:
        raise InvalidParams(
            f"Parameter {name!r} cannot be suggested: {error} "
            "Give the distribution that this study used for it before, or another name."
        ) from error
