"""Mirrors: a worker says how the sweep outside is, and hears how it should be."""

import structlog

from service.domain.errors import ClaimLost, StudyFinished
from service.domain.mirrors import MirrorReport, MirrorState, Settlement, Wish, settle
from service.domain.sweeps import SweepState, get_sweep_state
from service.engine.actor import Actor
from service.engine.engine import Engine
from service.engine.states import cancel, pause, resume, stop

_log = structlog.get_logger(__name__)

_COMMANDS = {Wish.PAUSE: pause, Wish.RESUME: resume, Wish.STOP: stop, Wish.CANCEL: cancel}


async def keep_mirror(engine: Engine, actor: Actor, report: MirrorReport) -> MirrorState | None:
    """Notes what a worker says of a mirror, does here what was done outside, committed.

    Who deletes the sweep outside stops ours; resumed, it gets another one. Repeating it is
    harmless.

    Returns:
        The state that the sweep outside is to be given; None: it may stay as it is.

    Raises:
        ClaimLost: Another worker keeps this mirror, or the sweep wants none.
        Unavailable: Repeat it.
    """
    known = await engine.mirrors.find(actor.study_id)
    if known is None:
        raise ClaimLost("This sweep wants no mirror; leave it.")
    if report.is_deleted:
        # Said again of the one before, it is no news of the one that there is now.
        if known.external_ref is not None and known.external_ref == report.external_ref:
            await stop(actor)
            await engine.mirrors.forget(actor.study_id, report, now=engine.clock())
        return None
    mirror = await engine.mirrors.tell(actor.study_id, report, now=engine.clock())
    if (known.external_ref, known.problem) != (mirror.external_ref, mirror.problem):
        # Its attempts have waited for this.
        engine.offers.announce()
    settlement = settle(_read_state(actor), agreed=mirror.agreed, seen=report.seen)
    if settlement.wish is not None:
        settlement = await _follow(actor, settlement, settlement.wish)
    if settlement.agreed is not None and settlement.agreed is not mirror.agreed:
        await engine.mirrors.agree(actor.study_id, report.worker_id, settlement.agreed)
    return settlement.set_state


async def _follow(actor: Actor, settlement: Settlement, wish: Wish) -> Settlement:
    try:
        await _COMMANDS[wish](actor)
    except StudyFinished:
        # There is nothing to resume: the one outside has to follow.
        return settle(_read_state(actor), agreed=settlement.agreed, seen=settlement.agreed)
    _log.info("sweep.followed", study=actor.spec.name, wish=wish.value)
    return settlement


def _read_state(actor: Actor) -> SweepState:
    return get_sweep_state(actor.state, actor.control.stop_reason)
