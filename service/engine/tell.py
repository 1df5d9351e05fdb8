"""Tell: end trials, each once."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from service.domain.errors import AlreadyTold, TrialNotRunning
from service.domain.trials import Outcome, TrialState, TrialView
from service.engine.actor import Actor
from service.engine.constraints import constraints_of
from service.engine.draft import Draft
from service.engine.ending import end_attempt
from service.engine.leases import check_attempt, decision_of
from service.engine.refusals import confirms_refusals
from service.engine.results import check_result
from service.storage.journal import TrialRecord


async def tell(actor: Actor, number: int, outcome: Outcome) -> TrialView:
    """Ends a running trial and returns it, committed; an identical repeat returns it again.

    A PRUNED trial keeps the value at its largest step, as in Optuna. A FAIL whose cause the retry
    policy lists lets the trial wait for a further attempt instead.

    Raises:
        TrialNotFound: The study has no such trial.
        AlreadyTold: It ended before, in another way.
        TrialNotRunning: Nobody has started it.
        LeaseLost: A newer attempt has taken over.
        InvalidValues: State and values do not fit the study; the trial is untouched.
    """
    (view,) = await tell_many(actor, [(number, outcome)])
    return view


@confirms_refusals
async def tell_many(actor: Actor, outcomes: Sequence[tuple[int, Outcome]]) -> list[TrialView]:
    """Ends trials in this order, all of them or, if one is refused, none.

    Raises:
        As `tell`; what is raised is about the first trial that is refused.
    """
    draft = actor.begin()
    views = [_tell_one(actor, draft, number, outcome) for number, outcome in outcomes]
    await (actor.confirm() if draft.is_empty else actor.accept(draft))
    return views


def _tell_one(actor: Actor, draft: Draft, number: int, outcome: Outcome) -> TrialView:
    trial_id = actor.get_trial(number)._trial_id
    trial = draft.mirror.get_trial(trial_id)
    record = draft.records.get(number) or actor.get_record(number)
    check_result(outcome.state, outcome.values, n_objectives=len(actor.spec.objectives))
    if trial.state is OptunaState.WAITING:
        raise TrialNotRunning(f"Trial {number} is WAITING; ask for it before you tell.")
    check_attempt(record, outcome.attempt, is_end=True)
    if trial.state.is_finished():
        _check_repeat(trial, record, outcome, constraints_of(draft.mirror, trial))
    else:
        end_attempt(actor, draft, record, outcome)
    ended = draft.mirror.get_trial(trial_id)
    return _build_view(actor, draft, ended)


def _check_repeat(
    trial: FrozenTrial,
    record: TrialRecord,
    outcome: Outcome,
    constraints: Mapping[str, float] | None,
) -> None:
    told = trial.state.name == outcome.state.name
    # What a PRUNED trial has for values came from its reports, not from the tell.
    same_values = outcome.values is None or list(outcome.values) == list(trial.values or ())
    attrs = outcome.user_attrs or {}
    same_attrs = all(
        key in trial.user_attrs and trial.user_attrs[key] == value for key, value in attrs.items()
    )
    same_reason = outcome.reason is None or outcome.reason == record.reason
    same_constraints = _are_same(outcome, constraints or {})
    if not (told and same_values and same_attrs and same_reason and same_constraints):
        raise AlreadyTold(
            f"Trial {trial.number} has already ended as {trial.state.name}"
            f"{'' if trial.values is None else f' with {trial.values}'}; it cannot end twice. Ask "
            "for a new trial instead."
        )


def _are_same(outcome: Outcome, kept: Mapping[str, float]) -> bool:
    """Whether these constraints were told; of a trial without a result they may not be kept."""
    told = outcome.constraints or {}
    if outcome.state is TrialState.COMPLETE:
        return told.items() <= kept.items()
    return all(kept.get(name, value) == value for name, value in told.items())


def _build_view(actor: Actor, draft: Draft, trial: FrozenTrial) -> TrialView:
    record = draft.records.get(trial.number) or actor.get_record(trial.number)
    return TrialView(
        number=trial.number,
        state=TrialState[trial.state.name],
        params=dict(trial.params) if actor.space is None else actor.space.resolve(trial.params),
        values=None if trial.values is None else tuple(trial.values),
        intermediate_values=dict(trial.intermediate_values),
        user_attrs=dict(trial.user_attrs),
        constraints=constraints_of(draft.mirror, trial),
        attempt=record.attempt,
        phase=record.phase,
        decision=decision_of(record, record.lease_expires_at),
        reason=record.reason,
        ask_seq=record.ask_seq,
        tell_seq=record.tell_seq,
        started_at=_aware(trial.datetime_start),
        finished_at=_aware(trial.datetime_complete),
    )


def _aware(local: datetime | None) -> datetime | None:
    return None if local is None else local.astimezone(UTC)
