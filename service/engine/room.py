"""How many trials an ask gets, and of which kind."""

import shlex
from dataclasses import dataclass

from service.domain.errors import ParallelismReached, StudyFinished, StudyPaused
from service.domain.studies import StopReason
from service.engine.actor import Actor
from service.storage.journal import TrialRecord

_BECAUSE = {
    StopReason.STOPPED: "somebody stopped it. Resume it",
    StopReason.CANCELLED: "somebody cancelled it. Resume it",
    StopReason.MAX_TRIALS: "its budget of max_trials is used up. Raise it with PATCH",
    StopReason.MAX_SECONDS: "its max_seconds are over. Raise them with PATCH",
    StopReason.MAX_FAILURES: "max_failures trials failed in a row. Mend the job, then raise it",
    StopReason.TARGET: "its target is reached. Set another one with PATCH",
    StopReason.PATIENCE: "there was no better trial for as long as its patience. Raise it",
    StopReason.EXHAUSTED: "its sampler has tried everything there is, or its terminator has said "
    "that it is enough. Create a new study",
    StopReason.REFUSED: "what it is to launch is not there, or does not fit it; its last failure "
    "says how. Mend that and resume it, or create another one",
}


@dataclass(frozen=True, slots=True)
class HandOut:
    """What an ask gets.

    Attributes:
        retries: Trials to get a further attempt.
        n_new: Trials to start.
    """

    retries: tuple[TrialRecord, ...]
    n_new: int


def plan_hand_out(actor: Actor, count: int, *, only_new: bool) -> HandOut:
    """Returns what an ask for `count` trials gets now: something.

    Raises:
        StudyPaused, StudyFinished, ParallelismReached: It gets nothing.
    """
    retries = _list_retries(actor, only_new=only_new)
    left = count if actor.trials_left is None else min(count, actor.trials_left)
    if not retries and not left:
        raise _build_finished(actor)
    if actor.control.is_paused:
        raise StudyPaused(f"Study {actor.spec.name!r} is paused; resume it to get trials.")
    room = count if actor.room is None else min(count, actor.room)
    if not room:
        raise ParallelismReached(
            f"Study {actor.spec.name!r} has as many live attempts as its parallelism, "
            f"{actor.control.settings.parallelism}. Ask again when one has ended, or send "
            "wait_seconds."
        )
    retries = retries[:room]
    return HandOut(tuple(retries), min(room - len(retries), left))


def check_takes_trials(actor: Actor) -> None:
    """Raises StudyFinished when the study starts no new trials."""
    if actor.control.stop_reason is not None:
        raise StudyFinished(explain_stop(actor, actor.control.stop_reason))


def explain_stop(actor: Actor, reason: StopReason) -> str:
    """Returns why a study starts no new trials, and what to do about it."""
    name = actor.spec.name
    because = _BECAUSE[reason]
    if reason is StopReason.MAX_TRIALS and actor.sweep is not None:
        because += f" or `asktell sweep set {shlex.quote(name)} --trials N`, then resume it"
    return f"Study {name!r} hands out no more trials: {because} to go on."


def _list_retries(actor: Actor, *, only_new: bool) -> list[TrialRecord]:
    if only_new or not actor.control.hands_out_retries:
        return []
    return actor.attempts.list_retries()


def _build_finished(actor: Actor) -> StudyFinished:
    # An ask for new trials only may find the study open but for a budget that is being used up.
    reason = actor.control.stop_reason or StopReason.MAX_TRIALS
    return StudyFinished(explain_stop(actor, reason))
