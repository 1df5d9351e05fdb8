"""Consult: what a user's own sampler and terminator are asked before a trial is created."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.user_code import TOLD_ATTR
from service.engine.actor import Actor
from service.engine.draft import Draft
from service.engine.replica.messages import HasEnough
from service.engine.replica.replicas import Look
from service.engine.replica.user_answers import OF_PRUNERS, read_decision, write_attributes
from service.engine.replica.user_sampler import RemoteUserSampler
from service.engine.tally import is_ended_here
from service.samplers import EXHAUSTED_ATTR
from service.storage.journal import TrialAttrSet, TrialRecord


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
        _tell_ends(consultation.ended, draft)
    if consultation.terminator is not None:
        _ask_terminator(consultation.terminator, draft)


def leave_out_late(actor: Actor, draft: Draft) -> None:
    """Leaves out what a user's sampler wrote to trials that have ended since the draft began."""
    draft.mirror.journal = [
        mutation
        for mutation in draft.mirror.journal
        if not (isinstance(mutation, TrialAttrSet) and _has_ended(actor, draft, mutation.trial_id))
    ]


def _tell_ends(ended: Sequence[TrialRecord], draft: Draft) -> None:
    sampler, told = draft.study.sampler, None
    assert isinstance(sampler, RemoteUserSampler), "no other is told"
    try:
        for record in ended:
            # Whatever comes of it: one on which the code fails would fail every ask.
            told = record.tell_seq
            sampler.hear_of_end(draft.study, record.number)
    finally:
        draft.mirror.set_study_system_attr(draft.mirror.study_id, TOLD_ATTR, told)


def _ask_terminator(terminator: Look, draft: Draft) -> None:
    answer = terminator.threads.submit(terminator.ask, HasEnough()).result()
    has_enough = read_decision(answer)
    write_attributes(draft.mirror, answer.get("writes"), ours=OF_PRUNERS)
    if has_enough:
        draft.mirror.set_study_system_attr(draft.mirror.study_id, EXHAUSTED_ATTR, True)


def _has_ended(actor: Actor, draft: Draft, trial_id: int) -> bool:
    number = draft.mirror.get_trial_number_from_id(trial_id)
    return number < actor.count_trials and actor.get_trial(number).state.is_finished()
