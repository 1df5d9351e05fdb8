"""Enqueue: parameters that somebody wants to have tried."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from optuna.trial import TrialState, create_trial

from service.domain.trials import AttemptPhase
from service.engine.actor import Actor, Draft
from service.engine.drawing import FIXED_ATTR
from service.engine.fixing import check_fixed
from service.engine.replies import KeyedRequest, keyed_request
from service.engine.room import check_takes_trials
from service.storage.journal import TrialRecord


@dataclass(frozen=True, slots=True)
class EnqueuedTrial:
    """A trial to be tried before the sampler's own.

    Attributes:
        params: Nested or flattened; the sampler chooses the others.
    """

    params: Mapping[str, Any]
    user_attrs: Mapping[str, Any] = field(default_factory=dict)


async def enqueue(
    actor: Actor, trials: Sequence[EnqueuedTrial], *, idempotency_key: str | None = None
) -> tuple[int, ...]:
    """Stores waiting trials, all or none, and returns their numbers, committed.

    Asks get them in the order of their numbers. Parameters of a declared space are checked now;
    those that code declares later, when it does.

    Raises:
        InvalidParams: A parameter does not fit the declared space.
        StudyFinished: The study hands out no more trials.
        IdempotencyKeyReused: The key came with another body before.
        Unavailable: Nothing is known to have happened; repeat with the same key.
    """
    fixed = [check_fixed(actor, trial.params, actor.space) for trial in trials]
    if idempotency_key is None:
        return tuple(await _store(actor, trials, fixed, None))
    body = [asdict(trial) for trial in trials]
    request = keyed_request("enqueue", idempotency_key, body, now=actor.clock())
    produce = partial(_store, actor, trials, fixed, request)
    return tuple(await actor.replies.once(request, produce))


async def _store(
    actor: Actor,
    trials: Sequence[EnqueuedTrial],
    fixed: Sequence[Mapping[str, Any]],
    request: KeyedRequest | None,
) -> list[int]:
    async with actor.drawing:
        check_takes_trials(actor)
        await actor.reserve_trials(len(trials))
        seqs = actor.draw_seqs(len(trials))
        draft = actor.begin()
        numbers = [
            _add(draft, trial, params, seq)
            for trial, params, seq in zip(trials, fixed, seqs, strict=True)
        ]
        if request is not None:
            draft.replies.append(request.reply(numbers))
        committed = actor.accept(draft)
    await committed
    return numbers


def _add(draft: Draft, trial: EnqueuedTrial, params: Mapping[str, Any], seq: int) -> int:
    """Adds what `optuna.Study.enqueue_trial` would."""
    template = create_trial(
        state=TrialState.WAITING,
        system_attrs={FIXED_ATTR: dict(params)},
        user_attrs=dict(trial.user_attrs),
    )
    trial_id = draft.mirror.create_new_trial(draft.mirror.study_id, template)
    number = draft.mirror.get_trial_number_from_id(trial_id)
    draft.records[number] = TrialRecord(
        number, attempt=0, phase=AttemptPhase.QUEUED, ask_seq=None, enqueue_seq=seq
    )
    return number
