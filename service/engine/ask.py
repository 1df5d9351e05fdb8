"""Ask: create trials and choose their declared parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import optuna
from optuna.trial import TrialState, create_trial

from service.domain.errors import FieldError, InvalidParams
from service.domain.trials import AskedTrial
from service.engine.actor import Actor, Draft
from service.engine.replies import KeyedRequest, keyed_request
from service.engine.suggest import suggest_value
from service.samplers import EXHAUSTED_ATTR, check_fixed_params
from service.search_space import (
    SearchSpace,
    check_params,
    find_name_problem,
    find_scalar_problem,
    nest,
)
from service.storage.journal import TrialRecord


@dataclass(frozen=True, slots=True)
class Ask:
    """What a client asks for.

    Attributes:
        params: Parameters to fix, by flattened name; the sampler chooses the others.
        idempotency_key: A repeat with the same key gets the same trials.
    """

    count: int = 1
    params: Mapping[str, Any] | None = None
    client_id: str | None = None
    idempotency_key: str | None = None


async def ask(actor: Actor, command: Ask) -> tuple[AskedTrial, ...]:
    """Returns `count` new running trials, committed; fewer if there are no more to try.

    Raises:
        StudyFinished: The study hands out no more trials.
        InvalidParams: A fixed parameter does not fit the declared space.
        IdempotencyKeyReused: The key came with another body before.
        Unavailable: Nothing is known to have happened; repeat with the same key.
    """
    if command.idempotency_key is None:
        answer = await _create_trials(actor, command, None)
    else:
        request = _keyed(command, command.idempotency_key)
        answer = await actor.replies.once(request, partial(_create_trials, actor, command, request))
    return tuple(AskedTrial(**trial) for trial in answer)


def _keyed(command: Ask, key: str) -> KeyedRequest:
    body = {"count": command.count, "params": command.params, "client_id": command.client_id}
    return keyed_request("ask", key, body)


async def _create_trials(
    actor: Actor, command: Ask, request: KeyedRequest | None
) -> list[dict[str, Any]]:
    _check_fixed(actor, command.params or {})
    async with actor.drawing:
        actor.check_accepts_asks()
        await actor.reserve_trials(command.count)
        seqs = actor.draw_seqs(command.count)
        draft = actor.begin()
        asked = await actor.sampling.run(
            partial(_ask_optuna, draft, actor, command), trials=command.count
        )
        _record(draft, asked, seqs, command.client_id)
        answer = [asdict(trial) for trial in asked]
        if request is not None:
            draft.replies.append(request.reply(answer))
        committed = actor.accept(draft)
    await committed
    return answer


def _check_fixed(actor: Actor, params: Mapping[str, Any]) -> None:
    if actor.space is not None:
        check_params(actor.space, params)
    else:
        _check_storable(params)
    check_fixed_params(actor.spec.sampler, actor.space, params)


def _check_storable(params: Mapping[str, Any]) -> None:
    problems = {
        name: find_name_problem(name) or find_scalar_problem(params[name]) for name in params
    }
    errors = [FieldError(f"params.{name}", text) for name, text in problems.items() if text]
    if errors:
        raise InvalidParams(f"A fixed parameter cannot be kept: {errors[0].message}", errors=errors)


def _ask_optuna(draft: Draft, actor: Actor, command: Ask) -> list[AskedTrial]:
    asked: list[AskedTrial] = []
    while len(asked) < command.count and not draft.mirror.system_attrs.get(EXHAUSTED_ATTR):
        asked.append(_ask_one(draft, actor, command.params or {}))
    return asked


def _ask_one(draft: Draft, actor: Actor, fixed: Mapping[str, Any]) -> AskedTrial:
    trial = _create_fixed(draft, fixed) if fixed else draft.study.ask()
    params: dict[str, Any] = {}
    if actor.space is not None:
        chosen = _suggest_declared(trial, actor.space)
        actor.sampler.after_ask(draft.study, draft.mirror.get_trial(trial._trial_id))
        params = nest({**actor.space.constants, **chosen})
    return AskedTrial(trial.number, attempt=1, params=params)


def _suggest_declared(trial: optuna.Trial, space: SearchSpace) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for parameter in space.parameters:
        if space.is_active(parameter, chosen):
            chosen[parameter.name] = suggest_value(trial, parameter.name, parameter.distribution)
    return chosen


def _create_fixed(draft: Draft, fixed: Mapping[str, Any]) -> optuna.Trial:
    """Creates what `study.enqueue_trial` and a following `study.ask` would leave."""
    template = create_trial(state=TrialState.RUNNING, system_attrs={"fixed_params": dict(fixed)})
    trial_id = draft.mirror.create_new_trial(draft.mirror.study_id, template)
    return optuna.Trial(draft.study, trial_id)


def _record(
    draft: Draft, asked: Sequence[AskedTrial], seqs: Sequence[int], client_id: str | None
) -> None:
    for trial, seq in zip(asked, seqs, strict=False):
        draft.records[trial.number] = TrialRecord(
            trial.number, trial.attempt, ask_seq=seq, client_id=client_id
        )
