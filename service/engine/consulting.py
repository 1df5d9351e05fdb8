"""Consult: what a user's own sampler and terminator are asked before a trial is created."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.user_code import TOLD_ATTR
from service.engine.actor import Actor
from service.engine.draft import Draft
from service.engine.replica.messages import HasEnough
from service.engine.replica.replicas import Look
from service.engine.replica.user_answers import read_decision, write_attributes
from service.engine.replica.user_sampler import RemoteUserSampler
from service.engine.tally import is_ended_here
from service.samplers import EXHAUSTED_ATTR
from service.storage.journal import TrialRecord


@dataclass(frozen=True, slots=True)
class Consultation:
    """What there is to consult about a draft.

    Attributes:
        ended: Trials of which the sampler has not heard that they ended, in that order.
        terminator: None if there is none.
    """

    ended: Sequence[TrialRecord] = ()
    terminator: Look | None = None


def prepare_consultation(actor: Actor, draft: Draft) -> Consultation:
    """Returns what is to be consulted about a draft that begins now."""
    ended: Sequence[TrialRecord] = ()
    if isinstance(draft.study.sampler, RemoteUserSampler):
        told = draft.mirror.system_attrs.get(TOLD_ATTR, 0)
        ended = [each for each in actor.attempts.list_ended(after=told) if is_ended_here(each)]
    terminator = actor.open_judge() if actor.spec.has_terminator else None
    return Consultation(ended, terminator)


def consult(consultation: Consultation, draft: Draft) -> None:
    """Lets the sampler hear what has ended, and has the terminator say whether it is enough.

    Blocks. In a draft that has no new trials yet.

    Raises:
        FileFailed: One of them failed.
        ProcessUnavailable: A process was killed twice.
    """
    if consultation.ended:
        last = consultation.ended[-1].tell_seq
        draft.mirror.set_study_system_attr(draft.mirror.study_id, TOLD_ATTR, last)
        sampler = draft.study.sampler
        assert isinstance(sampler, RemoteUserSampler), "no other is told"
        sampler.hear_of_ends(draft.study, [each.number for each in consultation.ended])
    if consultation.terminator is not None:
        answer = consultation.terminator.ask(HasEnough())
        has_enough = read_decision(answer)
        write_attributes(draft.mirror, answer.get("writes"))
        if has_enough:
            draft.mirror.set_study_system_attr(draft.mirror.study_id, EXHAUSTED_ATTR, True)
