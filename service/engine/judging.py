"""Judge: have a pruner that a user wrote decide after each report, beside the server.

A report is stored before the pruner sees it, and its decision after that, so the study goes on
meanwhile. Whoever repeats a report after a crash gets the decision that is missing.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from optuna.trial import TrialState as OptunaState

from service.domain.trials import TrialState
from service.engine.actor import Actor
from service.engine.drawing import end_sentence
from service.engine.ending import end_trial
from service.engine.leases import renew
from service.engine.replica.messages import Judge
from service.engine.replica.user_answers import OF_PRUNERS, read_decision, write_attributes
from service.sandbox import FileFailed


async def report_and_judge(
    actor: Actor,
    number: int,
    points: Sequence[tuple[int, float]],
    *,
    attempt: int,
    drops_late: bool = False,
) -> str | None:
    """Stores (step, value) points in the order of their steps, each followed by a decision.

    It ends early once the trial is no longer this attempt's. Everything is accepted, nothing
    confirmed.

    Args:
        drops_late: Whether points after the decision to stop are left out.

    Returns:
        Why the pruner failed, and the trial with it; None if it did not.

    Raises:
        ProcessUnavailable: Its process was killed twice; repeat it.
    """
    first = dict(reversed(points))
    for step in sorted(first):
        if not _is_ours(actor, number, attempt):
            return None
        if drops_late and actor.get_record(number).should_prune:
            return None
        _store(actor, number, step, first[step])
        async with actor.judging:
            is_open = _is_ours(actor, number, attempt) and not _is_decided(actor, number, step)
            failure = await _judge(actor, number, step, attempt) if is_open else None
        if failure is not None:
            return failure
    return None


def _is_ours(actor: Actor, number: int, attempt: int) -> bool:
    is_running = actor.get_trial(number).state is OptunaState.RUNNING
    return is_running and actor.get_record(number).attempt == attempt


def _store(actor: Actor, number: int, step: int, value: float) -> None:
    trial = actor.get_trial(number)
    if step in trial.intermediate_values:
        return
    draft = actor.begin()
    draft.mirror.set_trial_intermediate_value(trial._trial_id, step, value)
    record = renew(actor.get_record(number), has_room=actor.room != 0, now=actor.clock())
    if record.should_prune:
        record = replace(record, decision_step=step)
    draft.records[number] = record
    actor.accept(draft)


async def _judge(actor: Actor, number: int, step: int, attempt: int) -> str | None:
    judge, call = actor.open_judge(), Judge(actor.get_trial(number)._trial_id, step)
    loop = asyncio.get_running_loop()
    try:
        answer = await loop.run_in_executor(judge.threads, judge.ask, call)
        should_prune = read_decision(answer)
        draft = actor.begin()
        write_attributes(draft.mirror, answer.get("writes"), ours=OF_PRUNERS, is_late=True)
    except FileFailed as error:
        return _fail(actor, number, attempt, end_sentence(error.reason))
    if _is_ours(actor, number, attempt):
        # Whoever reports waits for this; heartbeats that came meanwhile are in memory only.
        record = renew(actor.get_record(number), has_room=actor.room != 0, now=actor.clock())
        draft.records[number] = replace(record, decision_step=step, should_prune=should_prune)
    if not draft.is_empty:
        actor.accept(draft)
    return None


def _fail(actor: Actor, number: int, attempt: int, reason: str) -> str | None:
    if not _is_ours(actor, number, attempt):
        return None
    draft = actor.begin()
    end_trial(actor, draft, actor.get_record(number), state=TrialState.FAIL, reason=reason)
    actor.accept(draft)
    return reason


def _is_decided(actor: Actor, number: int, step: int) -> bool:
    record = actor.get_record(number)
    is_judged = record.decision_step is not None and record.decision_step >= step
    return record.should_prune or is_judged
