"""Suggest: choose parameters of a running trial that its code declares as it goes."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from service.domain.errors import CodeFailed, FieldError, InvalidParams, TrialNotRunning
from service.domain.trials import TrialState as Ended
from service.engine.actor import Actor
from service.engine.consulting import leave_out_late
from service.engine.draft import Draft
from service.engine.drawing import FIXED_ATTR, end_sentence, suggest_value
from service.engine.ending import end_trial
from service.engine.refusals import confirms_refusals
from service.samplers import check_suggestible
from service.sandbox import FileFailed
from service.search_space import (
    check_fixed_values,
    find_distribution_change,
    parse_distribution,
)
from service.storage.journal import Suggestion


@confirms_refusals
async def suggest(actor: Actor, number: int, distributions: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a value for each named distribution (native JSON), committed.

    A name that the trial already has keeps its value, so repeats are harmless.

    Raises:
        TrialNotFound: The study has no such trial.
        TrialNotRunning: It has ended.
        InvalidSpace: A distribution is malformed.
        InvalidParams: A distribution clashes with an earlier one of the same name, or with a
            fixed value.
        CodeFailed: A user's sampler failed; the trial is FAIL.
    """
    parsed = {name: parse_distribution(name, document) for name, document in distributions.items()}
    check_suggestible(actor.spec.sampler, parsed)
    async with actor.drawing:
        trial = actor.get_trial(number)
        if trial.state is not TrialState.RUNNING:
            raise TrialNotRunning(
                f"Trial {number} is {trial.state.name}; only a running trial gets parameters."
            )
        _check(trial, parsed)
        (seq,) = actor.draw_seqs(1)
        draft = actor.begin_drawing()
        try:
            params = await actor.sampling.run(partial(_suggest_all, draft, trial._trial_id, parsed))
        except FileFailed as error:
            raise _fail(actor, number, end_sentence(error.reason)) from error
        chosen = tuple(name for name in parsed if name not in trial.params)
        if chosen:
            draft.suggestions.append(Suggestion(trial._trial_id, seq, chosen))
        if actor.runs_code:
            leave_out_late(actor, draft)
        committed = actor.confirm() if draft.is_empty else actor.accept(draft)
    await committed
    return params


def _fail(actor: Actor, number: int, reason: str) -> CodeFailed:
    draft = actor.begin()
    if actor.get_trial(number).state is TrialState.RUNNING:
        end_trial(actor, draft, actor.get_record(number), state=Ended.FAIL, reason=reason)
        actor.accept(draft)
    return CodeFailed(f"Trial {number} is FAIL. {reason}")


def _check(trial: FrozenTrial, parsed: Mapping[str, BaseDistribution]) -> None:
    check_fixed_values(parsed, trial.system_attrs.get(FIXED_ATTR, {}))
    for name, known in trial.distributions.items():
        if name in parsed and (change := find_distribution_change(known, parsed[name])):
            raise InvalidParams(
                f"Parameter {name!r} cannot be suggested again: {change}",
                errors=[FieldError(name, change)],
            )


def _suggest_all(
    draft: Draft, trial_id: int, distributions: Mapping[str, BaseDistribution]
) -> dict[str, Any]:
    trial = optuna.Trial(draft.study, trial_id)
    return {
        name: suggest_value(trial, name, distribution)
        for name, distribution in distributions.items()
    }
