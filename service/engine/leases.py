"""Who may speak for a trial, and for how long."""

from dataclasses import replace
from datetime import datetime, timedelta

from service.domain.errors import Invalid, LeaseLost
from service.domain.trials import AttemptPhase, Decision
from service.storage.journal import TrialRecord


def check_attempt(record: TrialRecord, attempt: int | None, *, is_end: bool = False) -> None:
    """Checks that `attempt` may speak for its trial; None speaks for whoever is at it.

    Args:
        is_end: The result of an earlier attempt is welcome as long as no newer one is live.

    Raises:
        LeaseLost: A newer attempt has taken over.
        Invalid: There is no such attempt.
    """
    if attempt is None or attempt == record.attempt:
        return
    if not 1 <= attempt < record.attempt:
        raise Invalid(
            f"Trial {record.number} has had {record.attempt} attempt(s); there is no attempt "
            f"{attempt}. Send the one that the ask returned, or leave it out."
        )
    if not is_end or record.phase is AttemptPhase.LIVE:
        raise LeaseLost(
            f"Attempt {attempt} of trial {record.number} was given up and attempt "
            f"{record.attempt} has taken over. Stop working on it and ask for another trial."
        )


def grant(
    record: TrialRecord, *, client_id: str | None, lease_seconds: float | None, now: datetime
) -> TrialRecord:
    """Returns the record with its next attempt live."""
    return replace(
        record,
        attempt=record.attempt + 1,
        phase=AttemptPhase.LIVE,
        client_id=client_id,
        lease_seconds=lease_seconds,
        lease_expires_at=compute_expiry(lease_seconds, now),
        reason=None,
    )


def renew(record: TrialRecord, *, has_room: bool, now: datetime) -> TrialRecord:
    """Returns the record of an attempt that was heard of.

    Args:
        has_room: Whether an attempt that was given up may count as live again.
    """
    if record.phase is AttemptPhase.QUEUED and record.lease_seconds is None:
        # It said itself that it failed, and has no lease left to renew.
        return record
    is_live = has_room or record.phase is AttemptPhase.LIVE
    return replace(
        record,
        phase=AttemptPhase.LIVE if is_live else record.phase,
        reason=None if is_live else record.reason,
        lease_expires_at=compute_expiry(record.lease_seconds, now),
    )


def compute_expiry(lease_seconds: float | None, now: datetime) -> datetime | None:
    """Returns when a lease that starts now ends; None: never."""
    return None if lease_seconds is None else now + timedelta(seconds=lease_seconds)


def is_given_up(record: TrialRecord) -> bool:
    """Whether a trial waits for a result only, and nobody is promised to keep it."""
    return record.phase in (AttemptPhase.QUEUED, AttemptPhase.EXPIRED)


def compute_promise(record: TrialRecord, now: datetime) -> datetime | None:
    """Returns until when an attempt that was heard of now keeps its trial; None: for ever."""
    if is_given_up(record):
        # There was no room: the next ask may get the trial, or an earlier attempt end it.
        return now
    return compute_expiry(record.lease_seconds, now)


def decision_of(record: TrialRecord, lease_expires_at: datetime | None) -> Decision:
    """What a record says to the training job."""
    return Decision(
        should_prune=record.should_prune,
        step=record.decision_step,
        lease_expires_at=lease_expires_at,
        lease_seconds=record.lease_seconds,
    )
