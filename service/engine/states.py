"""Pause, resume, stop, cancel: people decide whether a study hands out trials."""

import asyncio
from dataclasses import replace

from service.domain.errors import StudyFinished
from service.domain.studies import StopReason, StudyState
from service.engine.actor import Actor
from service.engine.control import Control
from service.engine.launches import cancel_launches
from service.engine.refusals import confirms_refusals
from service.engine.room import explain_stop


@confirms_refusals
async def pause(actor: Actor) -> None:
    """Refuses asks until resumed, committed; running trials go on, a stopped study stays so."""
    async with actor.drawing:
        committed = _change(actor, replace(actor.control, is_paused=True))
    await committed


@confirms_refusals
async def stop(actor: Actor) -> None:
    """Starts no more trials, committed; running ones may finish, lost ones are not tried again.

    What has finished stays as it is, and keeps the reason why it did.
    """
    async with actor.drawing:
        stopped = replace(actor.control, is_paused=False, stop_reason=StopReason.STOPPED)
        is_over = actor.state is StudyState.FINISHED
        committed = actor.confirm() if is_over else _change(actor, stopped)
    await committed


@confirms_refusals
async def cancel(actor: Actor) -> None:
    """As `stop`, committed, and workers end what they run; those trials will FAIL."""
    async with actor.drawing:
        committed = actor.confirm() if actor.state is StudyState.FINISHED else _cancel(actor)
    await committed


@confirms_refusals
async def resume(actor: Actor) -> None:
    """Hands out trials again, committed: after a pause, a stop, or what no longer holds.

    Raises:
        StudyFinished: The budget is used up, or the sampler has tried everything.
    """
    async with actor.drawing:
        reopened = replace(actor.control, is_paused=False, stop_reason=None)
        reason = actor.find_stop_reason(reopened)
        if reason is not None and not _has_retries_to_resume(actor, reason):
            raise StudyFinished(explain_stop(actor, reason))
        committed = _change(actor, reopened)
    await committed


def _cancel(actor: Actor) -> asyncio.Future[None]:
    draft = actor.begin()
    draft.control = replace(actor.control, is_paused=False, stop_reason=StopReason.CANCELLED)
    cancel_launches(draft, actor.launches.list())
    return actor.accept(draft)


def _has_retries_to_resume(actor: Actor, reason: StopReason) -> bool:
    return actor.control.is_paused and reason.allows_retries


def _change(actor: Actor, control: Control) -> asyncio.Future[None]:
    if control == actor.control:
        return actor.confirm()
    draft = actor.begin()
    draft.control = control
    return actor.accept(draft)
