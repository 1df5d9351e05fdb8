"""Heartbeat: an attempt is still at work."""

from optuna.trial import TrialState

from service.domain.errors import TrialNotRunning
from service.domain.trials import Decision
from service.engine.actor import Actor
from service.engine.leases import check_attempt, compute_promise, decision_of, renew
from service.engine.refusals import confirms_refusals
from service.storage.journal import TrialRecord


@confirms_refusals
async def heartbeat(actor: Actor, number: int, *, attempt: int | None = None) -> Decision:
    """Renews the lease of a running trial and returns the stored decision, committed.

    Raises:
        TrialNotFound: The study has no such trial.
        TrialNotRunning: It has ended, or nobody has started it.
        LeaseLost: A newer attempt has taken over.
    """
    trial = actor.get_trial(number)
    record = actor.get_record(number)
    if trial.state is not TrialState.RUNNING:
        raise TrialNotRunning(f"Trial {number} is {trial.state.name}; stop working on it.")
    check_attempt(record, attempt)
    return await beat(actor, record)


async def beat(actor: Actor, record: TrialRecord) -> Decision:
    """Renews a lease: written when half of the stored one is used up, else kept in memory."""
    now = actor.clock()
    renewed = renew(record, has_room=actor.room != 0, now=now)
    if _is_worth_writing(record, renewed):
        draft = actor.begin()
        draft.records[record.number] = renewed
        await actor.accept(draft)
    else:
        if renewed.lease_expires_at is not None:
            actor.attempts.beat(record.number, renewed.lease_expires_at)
        await actor.confirm()
    return decision_of(renewed, compute_promise(renewed, now))


def _is_worth_writing(record: TrialRecord, renewed: TrialRecord) -> bool:
    if renewed.phase is not record.phase:
        return True
    if record.lease_seconds is None or record.lease_expires_at is None:
        return False
    assert renewed.lease_expires_at is not None
    used = renewed.lease_expires_at - record.lease_expires_at
    return used.total_seconds() >= record.lease_seconds / 2
