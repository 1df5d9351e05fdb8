"""Ask: hand out trials, new ones with their declared parameters chosen, or lost ones again."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Literal

from service.domain.attempts import AttemptState
from service.domain.errors import (
    ClientGone,
    CodeFailed,
    InvalidSpace,
    ParallelismReached,
    StudyPaused,
)
from service.domain.studies import RetryMode
from service.domain.trials import AskedTrial, AttemptPhase, TrialState
from service.domain.workers import Worker
from service.engine.actor import Actor
from service.engine.consulting import (
    Consultation,
    consult,
    leave_out_late,
    prepare_consultation,
)
from service.engine.declaring import CONFIG_ATTR, declare_trial
from service.engine.draft import Draft
from service.engine.drawing import (
    DrawnTrial,
    check_kinds,
    draw_trial,
    end_sentence,
    finish_drawing,
    start_trial,
)
from service.engine.ending import end_trial
from service.engine.expire import give_up_overdue
from service.engine.fixing import check_fixed
from service.engine.launches import close_launch, open_launch
from service.engine.leases import grant
from service.engine.refusals import confirms_refusals
from service.engine.replies import KeyedRequest, keyed_request
from service.engine.room import HandOut, plan_hand_out
from service.samplers import EXHAUSTED_ATTR, check_suggestible
from service.sandbox import FileFailed
from service.search_space import SearchSpace, nest, parse_space
from service.search_space.variants import find_declared_name
from service.storage.journal import Suggestion, TrialRecord

# Of users' code: who asks for many trials gets fewer, rather than keep its thread for minutes.
_LONGEST_BATCH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Ask:
    """What a client asks for.

    Attributes:
        params: Parameters to fix, nested or flattened; the sampler chooses the others.
        idempotency_key: A repeat with the same key gets the same trials.
        lease_seconds: None: the trials stay live for ever; "study": as long as the study says.
        distributions: A search space for these trials, of a study that declares none.
        wait_seconds: How long to wait while the study is paused or enough attempts are live.
        is_wanted: Tells after a wait whether the client is still there. Not asked with a key:
            whoever repeats such an ask gets the same trials.
        worker: Who launches the trials; None: the client is at them itself.
    """

    count: int = 1
    params: Mapping[str, Any] | None = None
    client_id: str | None = None
    idempotency_key: str | None = None
    lease_seconds: float | Literal["study"] | None = "study"
    distributions: Mapping[str, Any] | None = None
    wait_seconds: float = 0.0
    is_wanted: Callable[[], Awaitable[bool]] | None = None
    worker: Worker | None = None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An ask that was found to be in order.

    Attributes:
        space: The study's, or the ask's own.
    """

    command: Ask
    fixed: Mapping[str, Any]
    space: SearchSpace | None


@confirms_refusals
async def ask(actor: Actor, command: Ask) -> tuple[AskedTrial, ...]:
    """Returns up to `count` running trials, committed: as many as there are and may be live.

    Trials that wait for a further attempt come first, then enqueued ones, then new ones. Fixed
    parameters are always for new ones.

    Raises:
        StudyPaused: Somebody paused the study.
        CodeFailed: The user's code declared the parameters of no trial; those are FAIL.
        StudyFinished: The study hands out no more trials.
        ParallelismReached: As many attempts are live as the study allows.
        InvalidParams: A fixed parameter does not fit the declared space.
        InvalidSpace: `distributions` is malformed, or the study declares a space of its own.
        IdempotencyKeyReused: The key came with another body before.
        Unavailable: Nothing is known to have happened; repeat with the same key.
    """
    wanted = _check(actor, command)
    if command.idempotency_key is None:
        answer = await _hand_out_in_time(actor, wanted, None)
    else:
        request = _keyed(command, command.idempotency_key, actor.clock())
        produce = partial(_hand_out_in_time, actor, wanted, request)
        answer = await actor.replies.once(request, produce)
    return _read_answer(answer)


def show_params(space: SearchSpace | None, params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameters of a trial as a training job gets them: constants too, nested."""
    if space is None:
        return nest(params)
    return nest({**space.constants, **space.resolve(params)})


def show_kept_params(actor: Actor, space: SearchSpace | None, number: int) -> dict[str, Any]:
    """Returns the parameters of a trial that was drawn before, likewise."""
    trial = actor.get_trial(number)
    if CONFIG_ATTR in trial.system_attrs:
        return nest(trial.system_attrs[CONFIG_ATTR])
    params = trial.params
    if actor.run_code is not None:
        params = {find_declared_name(name): value for name, value in params.items()}
    return show_params(space, params)


def _keyed(command: Ask, key: str, now: datetime) -> KeyedRequest:
    body = {
        "count": command.count,
        "params": command.params,
        "client_id": command.client_id,
        "lease_seconds": command.lease_seconds,
        "distributions": command.distributions,
    }
    return keyed_request("ask", key, body, now=now)


def _check(actor: Actor, command: Ask) -> _Wanted:
    space = actor.space
    if command.distributions is not None:
        space = _parse_own_space(actor, command.distributions)
    return _Wanted(command, check_fixed(actor.spec.sampler, command.params or {}, space), space)


def _parse_own_space(actor: Actor, document: Mapping[str, Any]) -> SearchSpace:
    if actor.space is not None or actor.run_code is not None:
        raise InvalidSpace(
            f"Study {actor.spec.name!r} declares its search space; leave distributions out."
        )
    space = parse_space(document)
    if space.readings:
        name, reading = next(iter(space.readings.items()))
        raise InvalidSpace(
            f'"{name}" is {reading.describe()}, which only the space of a study may have; use a '
            "plain range, with a step if need be, or choices that are scalars and differ."
        )
    check_suggestible(actor.spec.sampler, space.distributions)
    return space


async def _hand_out_in_time(
    actor: Actor, wanted: _Wanted, request: KeyedRequest | None
) -> list[dict[str, Any]]:
    """Waits for a trial as long as the client wants to."""
    loop = asyncio.get_running_loop()
    until = loop.time() + wanted.command.wait_seconds
    while True:
        try:
            answer = await _hand_out(actor, wanted, request)
        except (ParallelismReached, StudyPaused):
            if loop.time() >= until or actor.is_closing:
                raise
            await actor.wait_for_change(until - loop.time())
            actor.check_ours()
            await _check_wanted(wanted.command)
        else:
            if answer:
                return answer


async def _check_wanted(command: Ask) -> None:
    if command.idempotency_key is None and command.is_wanted and not await command.is_wanted():
        raise ClientGone("The client left while it waited for a trial; it got none.")


async def _hand_out(
    actor: Actor, wanted: _Wanted, request: KeyedRequest | None
) -> list[dict[str, Any]]:
    """Returns trials, committed; none if enqueued ones were all that came up and cannot be run."""
    command = wanted.command
    async with actor.drawing:
        # Whoever asks just after a lease has run out need not wait for anybody to notice.
        give_up_overdue(actor)
        plan = plan_hand_out(actor, command.count, only_new=bool(wanted.fixed))
        with actor.granting(len(plan.retries) + plan.n_new):
            await actor.reserve_trials(plan.n_new)
            seqs = actor.draw_seqs(plan.n_new)
            draft = actor.begin_drawing() if plan.n_new else actor.begin()
            drawn = await _draw(actor, draft, wanted, plan)
            asked = _grant_retries(actor, draft, wanted, plan.retries)
            asked += _grant_drawn(actor, draft, wanted, list(zip(drawn, seqs, strict=False)))
            answer = [_write_asked(trial) for trial in asked] or _write_failure(actor, drawn)
            if request is not None and answer:
                draft.replies.append(request.reply(answer))
        if actor.runs_code:
            leave_out_late(actor, draft)
        committed = actor.accept(draft)
    await committed
    return answer


def _write_failure(actor: Actor, drawn: Sequence[DrawnTrial]) -> list[dict[str, Any]]:
    """What an ask is told that got no trial, as it is kept for a repeat: the code's failure."""
    if not actor.runs_code:
        return []
    return [
        {"failure": f"Trial {trial.number} is FAIL. {trial.problem}"}
        for trial in drawn
        if trial.problem is not None
    ]


async def _draw(actor: Actor, draft: Draft, wanted: _Wanted, plan: HandOut) -> Sequence[DrawnTrial]:
    if not plan.n_new:
        return ()
    consultation = prepare_consultation(actor, draft)
    draw = partial(_draw_all, actor, draft, wanted, plan.n_new, consultation)
    return await actor.sampling.run(draw, trials=plan.n_new)


def _draw_all(
    actor: Actor, draft: Draft, wanted: _Wanted, count: int, consultation: Consultation
) -> list[DrawnTrial]:
    if wanted.command.distributions is not None and wanted.space is not None:
        check_kinds(draft.mirror, wanted.space)
    try:
        consult(consultation, draft)
    except FileFailed as error:
        # Somebody has to see it, and a trial has a reason.
        number = start_trial(draft.study, draft.mirror, wanted.fixed).number
        return [DrawnTrial(number, {}, problem=end_sentence(error.reason))]
    clock, drawn = time.monotonic, list[DrawnTrial]()
    until = clock() + _LONGEST_BATCH_SECONDS
    while len(drawn) < count and not draft.mirror.system_attrs.get(EXHAUSTED_ATTR):
        trial = _draw_one(actor, draft, wanted)
        finish_drawing(draft.study, draft.mirror, actor.sampler, trial.number)
        drawn.append(trial)
        if actor.runs_code and (trial.problem is not None or clock() >= until):
            break
    return drawn


def _draw_one(actor: Actor, draft: Draft, wanted: _Wanted) -> DrawnTrial:
    if actor.run_code is None:
        return draw_trial(draft.study, draft.mirror, space=wanted.space, fixed=wanted.fixed)
    return declare_trial(
        draft.study,
        draft.mirror,
        run_code=actor.run_code,
        sampler=actor.spec.sampler,
        fixed=wanted.fixed,
    )


def _grant_retries(
    actor: Actor, draft: Draft, wanted: _Wanted, planned: Sequence[TrialRecord]
) -> list[AskedTrial]:
    # While others were drawn, a late result or sign of life may have come for one of them.
    still_queued = [
        record
        for record in map(actor.get_record, [record.number for record in planned])
        if record.phase is AttemptPhase.QUEUED
    ]
    return [_grant_retry(actor, draft, wanted, record) for record in still_queued]


def _grant_retry(actor: Actor, draft: Draft, wanted: _Wanted, record: TrialRecord) -> AskedTrial:
    trial = actor.get_trial(record.number)
    close_launch(actor, draft, record.number, state=AttemptState.LOST, reason=record.reason)
    if actor.control.settings.retry.mode is RetryMode.RESTART:
        draft.mirror.restart_trial(trial._trial_id)
        record = replace(record, decision_step=None, should_prune=False)
    shown = show_kept_params(actor, wanted.space, record.number)
    return _grant(actor, draft, wanted, record, shown)


def _grant_drawn(
    actor: Actor, draft: Draft, wanted: _Wanted, drawn: Sequence[tuple[DrawnTrial, int]]
) -> list[AskedTrial]:
    asked = []
    for trial, seq in drawn:
        enqueued = actor.attempts.find(trial.number)
        record = replace(enqueued or _new_record(trial.number), ask_seq=seq)
        if wanted.command.distributions is not None or actor.run_code is not None:
            _record_own_params(actor, draft, trial.number, seq)
        if trial.problem is None:
            shown = show_params(wanted.space, trial.params)
            asked.append(_grant(actor, draft, wanted, record, shown))
        else:
            record = replace(record, attempt=1)
            end_trial(actor, draft, record, state=TrialState.FAIL, reason=trial.problem)
    return asked


def _record_own_params(actor: Actor, draft: Draft, number: int, seq: int) -> None:
    """Notes what an ask's own space, or the study's code, added to a trial."""
    trial_id = draft.mirror.get_trial_id_from_study_id_trial_number(actor.study_id, number)
    names = tuple(draft.mirror.get_trial(trial_id).params)
    if names:
        draft.suggestions.append(Suggestion(trial_id, seq, names))


def _new_record(number: int) -> TrialRecord:
    return TrialRecord(number, attempt=0, phase=AttemptPhase.QUEUED, ask_seq=None)


def _grant(
    actor: Actor,
    draft: Draft,
    wanted: _Wanted,
    record: TrialRecord,
    shown: Mapping[str, Any],
) -> AskedTrial:
    command = wanted.command
    lease_seconds = (
        actor.control.settings.lease_seconds
        if command.lease_seconds == "study"
        else command.lease_seconds
    )
    record = draft.records[record.number] = grant(
        record, client_id=command.client_id, lease_seconds=lease_seconds, now=actor.clock()
    )
    if command.worker is not None:
        open_launch(actor, draft, record, command.worker)
    return AskedTrial(
        record.number,
        record.attempt,
        shown,
        record.lease_expires_at,
        _read_kept_attrs(actor, record.number),
    )


def _read_kept_attrs(actor: Actor, number: int) -> dict[str, Any]:
    is_new = actor.attempts.find(number) is None
    return {} if is_new else dict(actor.get_trial(number).user_attrs)


def _write_asked(trial: AskedTrial) -> dict[str, Any]:
    """A trial as it is kept for a repeat of its ask."""
    expires_at = trial.lease_expires_at
    return {
        "number": trial.number,
        "attempt": trial.attempt,
        "params": trial.params,
        "lease_expires_at": None if expires_at is None else expires_at.isoformat(),
        "user_attrs": trial.user_attrs,
    }


def _read_answer(answer: Sequence[Mapping[str, Any]]) -> tuple[AskedTrial, ...]:
    for document in answer:
        if "failure" in document:
            raise CodeFailed(document["failure"])
    return tuple(_read_asked(document) for document in answer)


def _read_asked(document: Mapping[str, Any]) -> AskedTrial:
    expires_at = document.get("lease_expires_at")
    return AskedTrial(
        document["number"],
        document["attempt"],
        document["params"],
        None if expires_at is None else datetime.fromisoformat(expires_at),
        document.get("user_attrs", {}),
    )
