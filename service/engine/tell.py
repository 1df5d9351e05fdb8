"""Tell: end a trial, once."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from service.domain.errors import AlreadyTold, InvalidValues, TrialNotRunning
from service.domain.trials import Outcome, TrialState, TrialView
from service.engine.actor import Actor
from service.engine.prune import decision_of
from service.storage.journal import TrialRecord


async def tell(actor: Actor, number: int, outcome: Outcome) -> TrialView:
    """Ends a running trial and returns it, committed; an identical repeat returns it again.

    A PRUNED trial keeps the value at its largest step, as in Optuna.

    Raises:
        TrialNotFound: The study has no such trial.
        AlreadyTold: It ended before, in another way.
        TrialNotRunning: Nobody has started it.
        InvalidValues: State and values do not fit the study; the trial is untouched.
    """
    trial = actor.get_trial(number)
    _check_outcome(outcome, len(actor.spec.objectives))
    if trial.state.is_finished():
        _check_repeat(trial, actor.get_record(number), outcome)
        view = _build_view(trial, actor.get_record(number))
        await actor.confirm()
        return view
    if trial.state is not OptunaState.RUNNING:
        raise TrialNotRunning(f"Trial {number} is {trial.state.name}; ask for it before you tell.")
    return await _end(actor, trial, outcome)


async def _end(actor: Actor, trial: FrozenTrial, outcome: Outcome) -> TrialView:
    draft = actor.begin()
    for key, value in (outcome.user_attrs or {}).items():
        draft.mirror.set_trial_user_attr(trial._trial_id, key, value)
    draft.study.tell(trial.number, values=outcome.values, state=OptunaState[outcome.state.name])
    (seq,) = actor.draw_seqs(1)
    record = replace(actor.get_record(trial.number), tell_seq=seq, reason=outcome.reason)
    draft.records[trial.number] = record
    ended = draft.mirror.get_trial(trial._trial_id)
    await actor.accept(draft)
    return _build_view(ended, record)


def _check_outcome(outcome: Outcome, n_objectives: int) -> None:
    match outcome.state:
        case TrialState.COMPLETE:
            _check_values(outcome.values, n_objectives)
        case TrialState.PRUNED | TrialState.FAIL:
            if outcome.values is not None:
                raise InvalidValues(
                    f"A trial told {outcome.state} has no values: leave them out. A pruned trial "
                    "keeps its last report."
                )
        case TrialState.WAITING | TrialState.RUNNING:
            raise InvalidValues("Tell COMPLETE, PRUNED or FAIL.")


def _check_values(values: Sequence[float] | None, n_objectives: int) -> None:
    if values is None or len(values) != n_objectives:
        given = 0 if values is None else len(values)
        raise InvalidValues(
            f"The study has {n_objectives} objective(s), the tell has {given} value(s). "
            "Give one value per objective, in their order."
        )
    if any(math.isnan(value) for value in values):
        raise InvalidValues("A value is NaN: tell the trial FAIL instead, or give a number.")


def _check_repeat(trial: FrozenTrial, record: TrialRecord, outcome: Outcome) -> None:
    told = trial.state.name == outcome.state.name
    # What a PRUNED trial has for values came from its reports, not from the tell.
    same_values = outcome.values is None or list(outcome.values) == list(trial.values or ())
    attrs = outcome.user_attrs or {}
    same_attrs = all(
        key in trial.user_attrs and trial.user_attrs[key] == value for key, value in attrs.items()
    )
    same_reason = outcome.reason is None or outcome.reason == record.reason
    if not (told and same_values and same_attrs and same_reason):
        raise AlreadyTold(
            f"Trial {trial.number} has already ended as {trial.state.name} with values "
            f"{trial.values}; it cannot end twice. Ask for a new trial instead."
        )


def _build_view(trial: FrozenTrial, record: TrialRecord) -> TrialView:
    return TrialView(
        number=trial.number,
        state=TrialState[trial.state.name],
        params=dict(trial.params),
        values=None if trial.values is None else tuple(trial.values),
        intermediate_values=dict(trial.intermediate_values),
        user_attrs=dict(trial.user_attrs),
        attempt=record.attempt,
        decision=decision_of(record),
        reason=record.reason,
        ask_seq=record.ask_seq,
        tell_seq=record.tell_seq,
        started_at=_aware(trial.datetime_start),
        finished_at=_aware(trial.datetime_complete),
    )


def _aware(local: datetime | None) -> datetime | None:
    return None if local is None else local.astimezone(UTC)
