"""Observe: a worker says what it saw of an attempt, and hears what to do with it."""

import math
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from optuna.trial import FrozenTrial

from service.domain.attempts import (
    AttemptState,
    Ending,
    EndingKind,
    Instruction,
    Observation,
    StopCause,
)
from service.domain.errors import AttemptNotFound, AttemptSuperseded, ClaimLost
from service.domain.studies import AttemptEnd, StopReason
from service.domain.trials import AttemptPhase, Outcome, TrialState
from service.engine.actor import Actor
from service.engine.draft import Draft
from service.engine.ending import end_attempt, end_trial
from service.engine.heartbeat import beat
from service.engine.judging import report_and_judge
from service.engine.launches import advance_launch
from service.engine.leases import compute_promise, renew
from service.engine.refusals import confirms_refusals
from service.engine.report import check_points, report_point, select_new
from service.storage.journal import Launch, TrialRecord

# How a program gives its values, by the executor that runs it.
_ADVICE = {
    "wandb": "log it with wandb.log",
    "wandb-launch": "log it with wandb.log",
    "wandb-agent": "log it with wandb.log",
    "flyte": "return it from the task",
}
# Where the outside world has the values, and all of them: reports are for the pruner only.
_GIVEN_OUTSIDE = frozenset({"flyte"})


@confirms_refusals
async def observe(actor: Actor, number: int, seen: Observation) -> Instruction:
    """Stores what a worker saw of an attempt, renews its lease, and says what to do, committed.

    Points count as reports of the program itself, except that those after the pruner's decision
    are dropped: how late the worker was to stop it changes nothing. How the trial ends is decided
    here, from what was seen. Repeating it changes nothing.

    Raises:
        TrialNotFound: The study has no such trial.
        AttemptNotFound: The trial has had no such attempt, or no worker has it.
        ClaimLost: It was handed out again.
        AttemptSuperseded: It was given up for a newer attempt.
        InvalidReport: A step is out of range, or the study has several objectives.
    """
    trial = actor.get_trial(number)
    record = actor.get_record(number)
    launch = actor.launches.find(number)
    if launch is None or launch.attempt != seen.attempt:
        return await _dismiss(actor, record, seen)
    if launch.claim != seen.claim:
        raise ClaimLost(
            f"Attempt {seen.attempt} of trial {number} was handed out again; end what only you, "
            "with this claim, can see of it, and leave the rest to who has the newer one."
        )
    if seen.points:
        check_points(actor, trial, seen.points)
    if seen.points and actor.judges_elsewhere:
        attempt = seen.attempt
        await report_and_judge(actor, number, seen.points, attempt=attempt, drops_late=True)
        # Meanwhile much may have happened, the end of the trial for one.
        return await observe(actor, number, replace(seen, points=()))
    if not _is_news(launch, seen):
        decision = await beat(actor, record)
        return Instruction(_find_stop(record, launch), False, decision.lease_expires_at)
    draft = actor.begin()
    record = _take_in(actor, draft, trial, record, launch, seen)
    await actor.accept(draft)
    launch = draft.launches[number, seen.attempt]
    expires_at = None if launch.state.is_over else compute_promise(record, actor.clock())
    return Instruction(_find_stop(record, launch), launch.state.is_over, expires_at)


async def _dismiss(actor: Actor, record: TrialRecord, seen: Observation) -> Instruction:
    """Answers for an attempt that no worker has any more."""
    if seen.attempt < record.attempt:
        raise AttemptSuperseded(
            f"Attempt {seen.attempt} of trial {record.number} was given up and attempt "
            f"{record.attempt} has taken over; end what still runs of it."
        )
    if seen.attempt > record.attempt or record.phase is AttemptPhase.LIVE:
        raise AttemptNotFound(f"No worker has an attempt {seen.attempt} of trial {record.number}.")
    await actor.confirm()
    return Instruction(StopCause.OVER, True, None)


def _is_news(launch: Launch, seen: Observation) -> bool:
    has_moved = seen.state is not launch.state and seen.state is not AttemptState.LAUNCHING
    has_words = any(
        word is not None and word != known
        for word, known in (
            (seen.external_ref, launch.external_ref),
            (seen.url, launch.url),
            (seen.note, launch.note or ""),
        )
    )
    return bool(seen.points) or seen.ending is not None or has_moved or has_words


def _find_stop(record: TrialRecord, launch: Launch) -> StopCause | None:
    if launch.state.is_over:
        return StopCause.OVER
    return launch.stop or (StopCause.PRUNED if record.should_prune else None)


def _take_in(
    actor: Actor,
    draft: Draft,
    trial: FrozenTrial,
    record: TrialRecord,
    launch: Launch,
    seen: Observation,
) -> TrialRecord:
    now = actor.clock()
    record = renew(record, has_room=actor.room != 0, now=now)
    for point in select_new(trial, seen.points):
        if record.should_prune:
            break
        record = report_point(actor, draft, trial._trial_id, record, point)
    draft.records[record.number] = record
    advance_launch(draft, launch, seen, should_prune=record.should_prune, now=now)
    if seen.ending is not None:
        _end(actor, draft, record, launch, seen.ending)
    return record


def _end(actor: Actor, draft: Draft, record: TrialRecord, launch: Launch, ending: Ending) -> None:
    if record.should_prune:
        end_trial(actor, draft, record, state=TrialState.PRUNED)
    elif launch.stop is StopCause.CANCELLED:
        _cancel(actor, draft, record, "It was cancelled by a person.")
    elif ending.kind is EndingKind.CANCELLED:
        _cancel(actor, draft, record, ending.message or "A person ended it outside.")
    elif ending.kind is EndingKind.REFUSED:
        _refuse_sweep(actor, draft, record, ending.message or "It can never be launched.")
    else:
        outcome = _judge(actor, draft, record, ending)
        had_to_go = ending.kind is EndingKind.PREEMPTED
        end_attempt(actor, draft, record, outcome, is_workers_doing=had_to_go)


def _cancel(actor: Actor, draft: Draft, record: TrialRecord, reason: str) -> None:
    """Nobody tries again what a person did not want."""
    end_trial(
        actor,
        draft,
        record,
        state=TrialState.FAIL,
        reason=reason,
        attempt_state=AttemptState.CANCELLED,
    )


def _refuse_sweep(actor: Actor, draft: Draft, record: TrialRecord, reason: str) -> None:
    """Every further trial would end like this one."""
    end_trial(actor, draft, record, state=TrialState.FAIL, reason=reason)
    if actor.control.hands_out_retries:
        draft.control = replace(actor.control, is_paused=False, stop_reason=StopReason.REFUSED)


def _judge(actor: Actor, draft: Draft, record: TrialRecord, ending: Ending) -> Outcome:
    match ending.kind:
        case EndingKind.EXITED:
            return _judge_exit(actor, draft, record, ending)
        case EndingKind.FAILED:
            reason = ending.message or "It failed outside, and nothing tells how."
            return Outcome(TrialState.FAIL, reason=reason)
        case EndingKind.TIMED_OUT:
            return _fail(_explain_timeout(actor), ending)
        case EndingKind.NOT_STARTED:
            return _fail("The program could not be started.", ending)
        case EndingKind.PREEMPTED:
            return _fail(_explain_preemption(ending), ending, cause=AttemptEnd.PREEMPTED)
        case EndingKind.VANISHED:
            vanished = "The program vanished, and nothing tells how it ended."
            return _fail(vanished, ending, cause=AttemptEnd.LOST)
        case EndingKind.CANCELLED | EndingKind.REFUSED:
            raise AssertionError("an end that nobody judges")
        case _:
            assert_never(ending.kind)


def _judge_exit(actor: Actor, draft: Draft, record: TrialRecord, ending: Ending) -> Outcome:
    if ending.exit_code != 0:
        return _fail(_explain_exit(ending), ending)
    return _judge_result(actor, draft, record, ending)


def _judge_result(actor: Actor, draft: Draft, record: TrialRecord, ending: Ending) -> Outcome:
    found = _Results.of(actor, draft, record, ending)
    if found.missing:
        advice = _advise(actor, found.missing[0])
        return _fail(
            f"The program ended without a value of {_quote(found.missing)}: {advice}.", ending
        )
    if found.unusable:
        name = found.unusable[0]
        return _fail(f"{name!r} was {found.values[name]} at the end, which is no result.", ending)
    values = tuple(found.values[objective.name] for objective in actor.spec.objectives)
    return Outcome(TrialState.COMPLETE, values)


def _advise(actor: Actor, name: str) -> str:
    return _ADVICE.get(_name_executor(actor)) or f"print {name}=… or report it"


def _name_executor(actor: Actor) -> str:
    return "" if actor.sweep is None else actor.sweep.launch.executor


@dataclass(frozen=True, slots=True)
class _Results:
    """What a program left behind: the last value of each objective, printed or reported."""

    values: dict[str, float]
    missing: Sequence[str]
    unusable: Sequence[str]

    @classmethod
    def of(cls, actor: Actor, draft: Draft, record: TrialRecord, ending: Ending) -> "_Results":
        names = [objective.name for objective in actor.spec.objectives]
        printed = ending.values or {}
        values = {name: printed[name] for name in names if name in printed}
        is_reported_too = _name_executor(actor) not in _GIVEN_OUTSIDE
        if not values and is_reported_too and not actor.is_multi_objective:
            values = _find_reported(actor, draft, record, names[0])
        return cls(
            values,
            missing=[name for name in names if name not in values],
            unusable=[name for name, value in values.items() if not math.isfinite(value)],
        )


def _find_reported(actor: Actor, draft: Draft, record: TrialRecord, name: str) -> dict[str, float]:
    reported = draft.mirror.get_trial(actor.get_trial(record.number)._trial_id).intermediate_values
    return {name: reported[max(reported)]} if reported else {}


def _fail(what: str, ending: Ending, *, cause: AttemptEnd = AttemptEnd.FAILED) -> Outcome:
    reason = f"{what} {ending.message}" if ending.message else what
    return Outcome(TrialState.FAIL, reason=reason, cause=cause)


def _explain_exit(ending: Ending) -> str:
    if ending.signal is None:
        return f"The program ended with exit code {ending.exit_code}."
    name = _name_signal(ending.signal)
    if ending.signal == signal.SIGKILL:
        return f"The program was killed by {name}: by somebody, or because memory ran out."
    return f"The program was ended by {name}."


def _name_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _explain_preemption(ending: Ending) -> str:
    if ending.message is not None:
        return "It was preempted."
    return "It was preempted: its worker or its machine had to go."


def _explain_timeout(actor: Actor) -> str:
    seconds = None
    if actor.sweep is not None:
        seconds = actor.sweep.launch.arguments.get("timeout_seconds")
    limit = "its time limit" if seconds is None else f"its timeout_seconds, {seconds:g}"
    return f"The program ran longer than {limit}, and was stopped."


def _quote(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
