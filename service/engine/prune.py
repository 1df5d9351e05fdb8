"""Prune: what the pruner decided after the last report, without asking it again."""

from service.domain.trials import Decision
from service.engine.actor import Actor
from service.storage.journal import TrialRecord


async def decide(actor: Actor, number: int) -> Decision:
    """Returns the stored decision, committed.

    Raises:
        TrialNotFound: The study has no such trial.
    """
    actor.get_trial(number)
    decision = decision_of(actor.get_record(number))
    await actor.confirm()
    return decision


def decision_of(record: TrialRecord) -> Decision:
    """What a record says to the training job."""
    return Decision(should_prune=record.should_prune, step=record.decision_step)
