"""How a trial ends, or its attempt alone does, whoever says so: a client, or its lease."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from optuna.trial import TrialState as OptunaState

from service.domain.studies import DEFAULT_LEASE_SECONDS
from service.domain.trials import AttemptPhase, TrialState
from service.engine.actor import Actor, Draft
from service.engine.leases import compute_expiry
from service.storage.journal import TrialRecord


def end_trial(
    actor: Actor,
    draft: Draft,
    record: TrialRecord,
    *,
    state: TrialState,
    values: Sequence[float] | None = None,
    reason: str | None = None,
) -> None:
    """Ends a running trial in the draft, at the next position of the recorded order."""
    draft.study.tell(record.number, values=values, state=OptunaState[state.name])
    (seq,) = actor.draw_seqs(1)
    draft.records[record.number] = replace(
        record, phase=AttemptPhase.ENDED, tell_seq=seq, reason=reason, lease_expires_at=None
    )


def queue_lost(draft: Draft, record: TrialRecord, *, reason: str, now: datetime) -> None:
    """Lets the next ask have a further attempt of a trial, unless it is heard of before."""
    draft.records[record.number] = replace(
        record,
        phase=AttemptPhase.QUEUED,
        reason=reason,
        lease_expires_at=compute_expiry(record.lease_seconds, now),
    )


def queue_failed(draft: Draft, record: TrialRecord, *, reason: str, now: datetime) -> None:
    """Lets the next ask have a further attempt of a trial whose job has given up."""
    kept_seconds = record.lease_seconds or DEFAULT_LEASE_SECONDS
    draft.records[record.number] = replace(
        record,
        phase=AttemptPhase.QUEUED,
        reason=reason,
        lease_seconds=None,
        lease_expires_at=compute_expiry(kept_seconds, now),
    )
