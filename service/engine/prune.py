"""Prune: what the pruner decided after the last report, without asking it again."""

from service.domain.trials import Decision
from service.engine.actor import Actor
from service.engine.leases import check_attempt, decision_of, is_given_up
from service.engine.refusals import confirms_refusals


@confirms_refusals
async def decide(actor: Actor, number: int, *, attempt: int | None = None) -> Decision:
    """Returns the stored decision, committed.

    Raises:
        TrialNotFound: The study has no such trial.
        LeaseLost: A newer attempt has taken over.
    """
    actor.get_trial(number)
    record = actor.get_record(number)
    check_attempt(record, attempt)
    expires_at = actor.clock() if is_given_up(record) else actor.attempts.get_expiry(record)
    decision = decision_of(record, expires_at)
    await actor.confirm()
    return decision
