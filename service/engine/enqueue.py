"""Enqueue: parameters that somebody wants to have tried."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from service.domain.studies import Component
from service.domain.trials import AttemptPhase
from service.engine.actor import Actor
from service.engine.adding import add_trials
from service.engine.draft import Draft
from service.engine.drawing import FIXED_ATTR
from service.engine.fixing import check_fixed
from service.engine.refusals import confirms_refusals
from service.engine.room import check_takes_trials
from service.search_space import SearchSpace
from service.storage.journal import TrialRecord

MAX_ENQUEUED = 1000
"""Trials at once."""


@dataclass(frozen=True, slots=True)
class EnqueuedTrial:
    """A trial to be tried before the sampler's own.

    Attributes:
        params: Nested or flattened; the sampler chooses the others.
    """

    params: Mapping[str, Any]
    user_attrs: Mapping[str, Any] = field(default_factory=dict)


@confirms_refusals
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
    templates = [build_waiting(trial, actor.spec.sampler, actor.space) for trial in trials]
    return await add_trials(
        actor,
        [partial(_add, template) for template in templates],
        operation="enqueue",
        idempotency_key=idempotency_key,
        body=[asdict(trial) for trial in trials],
        check=check_takes_trials,
    )


def build_waiting(
    trial: EnqueuedTrial, sampler: Component, space: SearchSpace | None
) -> FrozenTrial:
    """Returns what `optuna.Study.enqueue_trial` would add.

    Raises:
        InvalidParams: As `enqueue`.
    """
    return create_trial(
        state=TrialState.WAITING,
        system_attrs={FIXED_ATTR: dict(check_fixed(sampler, trial.params, space))},
        user_attrs=dict(trial.user_attrs),
    )


def _add(template: FrozenTrial, draft: Draft, seq: int) -> int:
    trial_id = draft.mirror.create_new_trial(draft.mirror.study_id, template)
    number = draft.mirror.get_trial_number_from_id(trial_id)
    draft.records[number] = TrialRecord(
        number, attempt=0, phase=AttemptPhase.QUEUED, ask_seq=None, enqueue_seq=seq
    )
    return number
