"""Expire: give up what nobody was heard of for the time of its lease."""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import assert_never

import structlog

from service.domain.attempts import AttemptState
from service.domain.studies import AttemptEnd
from service.domain.trials import AttemptPhase, TrialState
from service.engine.actor import Actor
from service.engine.draft import Draft
from service.engine.ending import end_trial, queue_lost
from service.engine.leases import compute_expiry
from service.metrics import count_expired_lease
from service.storage.journal import TrialRecord

_log = structlog.get_logger(__name__)


async def expire(actor: Actor) -> None:
    """Gives up every attempt of a study that is overdue, and notices that its time is over.

    A trial that was to be pruned is; one that the policy lets have another attempt waits for an
    ask; one on its last attempt waits for a late result, one lease time more. What runs in an
    outside system ends as the next worker finds it, be it hours later. Nothing happens, and
    nothing is written, before `actor.wake_at`.

    Raises:
        Unavailable: Nothing is known to have happened; it will be seen again.
    """
    if actor.is_due:
        # With nothing to give up this moves the stored `wake_at`, which other servers go by.
        await (give_up_overdue(actor) or actor.accept(actor.begin()))


def give_up_overdue(actor: Actor) -> asyncio.Future[None] | None:
    """Does so at once; the future ends once it is committed. None: there was nothing to do."""
    if not actor.is_due:
        return None
    now = actor.clock()
    draft = actor.begin()
    for record in _list_overdue(actor, now):
        _give_up(actor, draft, record, now)
    if draft.is_empty and not actor.is_stopping_now:
        return None
    return actor.accept(draft)


def _list_overdue(actor: Actor, now: datetime) -> list[TrialRecord]:
    overdue = actor.attempts.list_overdue(now, queued=_is_asked_no_more(actor))
    if not actor.control.hands_out_retries:
        leased = [record for record in overdue if record.phase is not AttemptPhase.QUEUED]
        overdue = leased + actor.attempts.list_retries()
    return [record for record in overdue if not _waits_for_worker(actor, record)]


def _waits_for_worker(actor: Actor, record: TrialRecord) -> bool:
    """Whether it was given up already, and can end only as whichever worker comes finds it."""
    return record.phase is not AttemptPhase.LIVE and _runs_elsewhere(actor, record)


def _runs_elsewhere(actor: Actor, record: TrialRecord) -> bool:
    launch = actor.launches.find(record.number)
    is_open = launch is not None and launch.attempt == record.attempt
    return is_open and actor.sweep is not None and actor.sweep.launch.runs_elsewhere


def _is_asked_no_more(actor: Actor) -> bool:
    """Whether what waits for another attempt may do so in vain.

    Who asks for trials may leave when there are no new ones; workers go on asking for a sweep's.
    """
    is_sweep = actor.sweep is not None
    return actor.control.stop_reason is not None and not (
        is_sweep and actor.control.hands_out_retries
    )


def _give_up(actor: Actor, draft: Draft, record: TrialRecord, now: datetime) -> None:
    match record.phase:
        case AttemptPhase.LIVE:
            _lose(actor, draft, record, now)
        case AttemptPhase.EXPIRED:
            _end(actor, draft, record, reason=_lost(record))
        case AttemptPhase.QUEUED:
            _end(actor, draft, record, reason=_left(actor, record))
        case AttemptPhase.ENDED:
            raise AssertionError("What has ended is never overdue.")
        case _:
            assert_never(record.phase)


def _end(actor: Actor, draft: Draft, record: TrialRecord, *, reason: str) -> None:
    if record.should_prune:
        reason = f"{reason} The pruner had decided to stop it."
        end_trial(actor, draft, record, state=TrialState.PRUNED, reason=reason)
    else:
        end_trial(
            actor,
            draft,
            record,
            state=TrialState.FAIL,
            reason=reason,
            attempt_state=AttemptState.LOST,
        )


def _left(actor: Actor, record: TrialRecord) -> str:
    if actor.control.hands_out_retries:
        return f"{record.reason} Nobody asked for another attempt."
    return f"{record.reason} The study stopped before another one."


def _lose(actor: Actor, draft: Draft, record: TrialRecord, now: datetime) -> None:
    _log.info("lease.expired", study=actor.spec.name, trial=record.number, attempt=record.attempt)
    count_expired_lease()
    if record.should_prune and not _runs_elsewhere(actor, record):
        _end(actor, draft, record, reason=_lost(record))
    elif _is_tried_again(actor, record):
        queue_lost(draft, record, reason=_lost(record), now=now)
    else:
        draft.records[record.number] = replace(
            record,
            phase=AttemptPhase.EXPIRED,
            reason=_lost(record),
            lease_expires_at=compute_expiry(record.lease_seconds, now),
        )


def _is_tried_again(actor: Actor, record: TrialRecord) -> bool:
    if record.should_prune or not actor.control.hands_out_retries:
        return False
    return actor.control.settings.retry.allows(AttemptEnd.LOST, attempt=record.attempt)


def _lost(record: TrialRecord) -> str:
    return (
        f"Attempt {record.attempt} was lost: no report and no heartbeat came for the "
        f"{record.lease_seconds:g} seconds of its lease."
    )
