"""How a trial ends, or its attempt alone does, whoever says so: a client, a worker, its lease."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from optuna.trial import TrialState as OptunaState

from service.domain.attempts import AttemptState
from service.domain.studies import DEFAULT_LEASE_SECONDS, AttemptEnd
from service.domain.trials import AttemptPhase, Outcome, TrialState
from service.engine.actor import Actor
from service.engine.constraints import CONSTRAINTS_ATTR, complete_constraints
from service.engine.draft import Draft
from service.engine.launches import close_launch
from service.engine.leases import compute_expiry
from service.storage.journal import TrialRecord

_AFTER_TRIAL = {
    TrialState.COMPLETE: AttemptState.SUCCEEDED,
    TrialState.PRUNED: AttemptState.PRUNED,
    TrialState.FAIL: AttemptState.FAILED,
}
_AFTER_FAILURE = {
    AttemptEnd.FAILED: AttemptState.FAILED,
    AttemptEnd.PREEMPTED: AttemptState.PREEMPTED,
    AttemptEnd.LOST: AttemptState.LOST,
}


def end_attempt(
    actor: Actor,
    draft: Draft,
    record: TrialRecord,
    outcome: Outcome,
    *,
    is_workers_doing: bool = False,
) -> None:
    """Ends a running trial as told, or lets it wait for another attempt if the policy allows.

    Args:
        is_workers_doing: Its worker had to go, which says nothing about the trial; see
            `RetryPolicy`. A job's own word is not enough for that.
    """
    trial_id = actor.get_trial(record.number)._trial_id
    for key, value in (outcome.user_attrs or {}).items():
        draft.mirror.set_trial_user_attr(trial_id, key, value)
    if _is_tried_again(actor, record, outcome, is_workers_doing=is_workers_doing):
        # Told twice, or by a job whose lease had run out: it waits for its next attempt already.
        if record.phase is not AttemptPhase.QUEUED:
            _queue_failed(actor, draft, record, outcome)
        ended_as = _AFTER_FAILURE[outcome.cause]
        close_launch(actor, draft, record.number, state=ended_as, reason=outcome.reason)
        return
    if outcome.constraints:
        trial = draft.mirror.get_trial(trial_id)
        ordered = complete_constraints(
            draft.mirror,
            trial,
            outcome.constraints,
            is_complete=outcome.state is TrialState.COMPLETE,
        )
        if ordered is not None:
            draft.mirror.set_trial_system_attr(trial_id, CONSTRAINTS_ATTR, ordered)
    end_trial(
        actor,
        draft,
        record,
        state=outcome.state,
        values=outcome.values,
        reason=outcome.reason,
        attempt_state=_find_attempt_state(outcome),
    )


def end_trial(
    actor: Actor,
    draft: Draft,
    record: TrialRecord,
    *,
    state: TrialState,
    values: Sequence[float] | None = None,
    reason: str | None = None,
    attempt_state: AttemptState | None = None,
) -> None:
    """Ends a running trial in the draft, at the next position of the recorded order.

    Args:
        attempt_state: Of the attempt that a worker has; None for what goes with `state`.
    """
    draft.study.tell(record.number, values=values, state=OptunaState[state.name])
    (seq,) = actor.draw_seqs(1)
    draft.records[record.number] = replace(
        record, phase=AttemptPhase.ENDED, tell_seq=seq, reason=reason, lease_expires_at=None
    )
    ended_as = attempt_state or _AFTER_TRIAL[state]
    close_launch(actor, draft, record.number, state=ended_as, reason=reason)


def queue_lost(draft: Draft, record: TrialRecord, *, reason: str, now: datetime) -> None:
    """Lets the next ask have a further attempt of a trial, unless it is heard of before."""
    draft.records[record.number] = replace(
        record,
        phase=AttemptPhase.QUEUED,
        reason=reason,
        lease_expires_at=compute_expiry(record.lease_seconds, now),
    )


def _is_tried_again(
    actor: Actor, record: TrialRecord, outcome: Outcome, *, is_workers_doing: bool
) -> bool:
    if outcome.state is not TrialState.FAIL or not actor.control.hands_out_retries:
        return False
    return actor.control.settings.retry.allows(
        outcome.cause, attempt=record.attempt, is_workers_doing=is_workers_doing
    )


def _queue_failed(actor: Actor, draft: Draft, record: TrialRecord, outcome: Outcome) -> None:
    """Lets the next ask have a further attempt of a trial whose job has given up."""
    reason = outcome.reason or f"Attempt {record.attempt} {outcome.cause}."
    kept_seconds = record.lease_seconds or DEFAULT_LEASE_SECONDS
    draft.records[record.number] = replace(
        record,
        phase=AttemptPhase.QUEUED,
        reason=reason,
        lease_seconds=None,
        lease_expires_at=compute_expiry(kept_seconds, actor.clock()),
    )


def _find_attempt_state(outcome: Outcome) -> AttemptState:
    if outcome.state is TrialState.FAIL:
        return _AFTER_FAILURE[outcome.cause]
    return _AFTER_TRIAL[outcome.state]
