"""Who sent the request at hand, for whatever has to know it behind the gate."""

from contextvars import ContextVar
from datetime import timedelta

from service.api.problems import RequestRefused
from service.domain.errors import LeaseLost
from service.domain.scopes import AttemptClaims, Principal
from service.domain.studies import DEFAULT_LEASE_SECONDS
from service.domain.trials import AttemptPhase
from service.engine.actor import Actor
from service.engine.engine import Engine

current_principal: ContextVar[Principal] = ContextVar("current_principal")
"""Set by the gate for every request that it lets in; public addresses have none."""


def choose_attempt(named: int | None) -> int | None:
    """The attempt that a call speaks for: the one it names, or of its token; None: whichever.

    Raises:
        RequestRefused: It names another one than that of its token.
    """
    claims = _find_claims()
    if claims is None:
        return named
    if named not in (None, claims.attempt):
        raise RequestRefused(
            403,
            "not-own-attempt",
            f"This token speaks for attempt {claims.attempt} alone; leave `attempt` out.",
        )
    return claims.attempt


def refuse_lost_attempt(actor: Actor, number: int) -> None:
    """For calls about a trial that do not say for which attempt: an old one's token is too old.

    Raises:
        LeaseLost: A newer attempt of the trial has taken over.
    """
    claims = _find_claims()
    record = None if claims is None else actor.attempts.find(number)
    if claims is not None and record is not None and record.attempt > claims.attempt:
        raise LeaseLost(
            f"Attempt {claims.attempt} of trial {number} was given up and attempt "
            f"{record.attempt} has taken over. Stop working on it."
        )


async def refuse_stale_attempt(engine: Engine, *, study_id: int, actor: Actor | None) -> None:
    """Ends the use of an attempt's token one lease time after the attempt.

    Until then it may still read, and repeat what it has said.

    Args:
        actor: Spares the database the question while the attempt is live.

    Raises:
        RequestRefused: The attempt is over, or its study is gone and another has its name.
        DatabaseUnavailable
    """
    claims = _find_claims()
    if claims is None:
        return
    if study_id != claims.study_id:
        raise _over(f"The study of this token is gone; another is called {claims.study!r} now.")
    if actor is not None and _is_live(actor, claims):
        return
    found = await engine.tokens.find_attempt_end(study_id, claims.trial, claims.attempt)
    if found is None:
        raise _over("Nothing is known of the attempt of this token.")
    ended_at, lease_seconds = found
    grace = timedelta(seconds=lease_seconds or DEFAULT_LEASE_SECONDS)
    if ended_at is not None and engine.clock() >= ended_at + grace:
        raise _over("The attempt of this token ended more than a lease time ago.")


def _find_claims() -> AttemptClaims | None:
    return current_principal.get().attempt


def _is_live(actor: Actor, claims: AttemptClaims) -> bool:
    record = actor.attempts.find(claims.trial)
    return (
        record is not None
        and record.attempt == claims.attempt
        and record.phase is AttemptPhase.LIVE
    )


def _over(reason: str) -> RequestRefused:
    return RequestRefused(
        403, "attempt-token-over", f"{reason} Stop; a trial's next attempt gets a token of its own."
    )
