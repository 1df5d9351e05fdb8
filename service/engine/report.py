"""Report: store intermediate values and let the pruner decide after each."""

from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter

from optuna.trial import FrozenTrial, TrialState

from service.domain.errors import CodeFailed, InvalidReport, TrialNotRunning
from service.domain.limits import MAX_STEP
from service.domain.trials import Decision
from service.engine.actor import PRUNER_ATTR, Actor
from service.engine.draft import Draft
from service.engine.heartbeat import beat
from service.engine.judging import report_and_judge
from service.engine.leases import check_attempt, compute_promise, decision_of, renew
from service.engine.refusals import confirms_refusals
from service.pruners import build_pruner, has_auto, resolve_auto
from service.storage.journal import TrialRecord


@confirms_refusals
async def report(
    actor: Actor,
    number: int,
    points: Sequence[tuple[int, float]],
    *,
    attempt: int | None = None,
) -> Decision:
    """Stores (step, value) points, renews the lease, returns the pruner's decision, committed.

    Several points are judged one by one in the order of their steps, as if reported singly. As in
    Optuna, the first value of a step stays; a repeat changes nothing and gets the stored decision.

    Raises:
        TrialNotFound: The study has no such trial.
        TrialNotRunning: It has ended.
        LeaseLost: A newer attempt has taken over.
        InvalidReport: A step is out of range, or the study has several objectives.
        CodeFailed: A user's pruner failed; the trial is FAIL.
        ProcessUnavailable: A user's pruner could not be asked; repeat it.
    """
    trial = actor.get_trial(number)
    check_points(actor, trial, points)
    record = actor.get_record(number)
    check_attempt(record, attempt)
    if actor.judges_elsewhere and points:
        return await _report_slowly(actor, record, points)
    new = select_new(trial, points)
    if not new:
        return await beat(actor, record)
    draft = actor.begin()
    now = actor.clock()
    record = renew(record, has_room=actor.room != 0, now=now)
    for point in new:
        record = report_point(actor, draft, trial._trial_id, record, point)
    draft.records[number] = record
    await actor.accept(draft)
    return decision_of(record, compute_promise(record, now))


async def _report_slowly(
    actor: Actor, record: TrialRecord, points: Sequence[tuple[int, float]]
) -> Decision:
    failure = await report_and_judge(actor, record.number, points, attempt=record.attempt)
    if failure is not None:
        raise CodeFailed(f"Trial {record.number} is FAIL. {failure}")
    # Meanwhile others may have ended it, or taken it over.
    return await report(actor, record.number, (), attempt=record.attempt)


def select_new(trial: FrozenTrial, points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Returns the points of steps that a trial has no value of, by step; the first of each."""
    new = {step: value for step, value in reversed(points) if step not in trial.intermediate_values}
    return sorted(new.items(), key=itemgetter(0))


def report_point(
    actor: Actor, draft: Draft, trial_id: int, record: TrialRecord, point: tuple[int, float]
) -> TrialRecord:
    """Stores a point in the draft; returns the record with what the pruner says to it."""
    step, value = point
    draft.mirror.set_trial_intermediate_value(trial_id, step, value)
    should_prune = record.should_prune or _judge(actor, draft, trial_id)
    return replace(record, decision_step=step, should_prune=should_prune)


def check_points(actor: Actor, trial: FrozenTrial, points: Sequence[tuple[int, float]]) -> None:
    """Checks that a trial may be given points.

    Raises:
        InvalidReport: The study has several objectives, or a step is out of range.
        TrialNotRunning: The trial has ended.
    """
    if actor.is_multi_objective:
        raise InvalidReport(
            "A study with several objectives takes no reports: Optuna prunes by one value only. "
            "Tell all values at the end."
        )
    if trial.state is not TrialState.RUNNING:
        raise TrialNotRunning(
            f"Trial {trial.number} is {trial.state.name}; only a running trial takes reports."
        )
    for step, _ in points:
        if not 0 <= step <= MAX_STEP:
            raise InvalidReport(f"Step {step} is out of range: use 0 to {MAX_STEP}.")


def _judge(actor: Actor, draft: Draft, trial_id: int) -> bool:
    """Asks the pruner; SHA and Hyperband write to the trial, so ask once per report only."""
    _resolve_auto(actor, draft)
    trial = draft.mirror.get_trial(trial_id)
    # Some pruners answer with numpy's bool, which JSON does not know.
    return bool(draft.study.pruner.prune(draft.study, trial))


def _resolve_auto(actor: Actor, draft: Draft) -> None:
    """Fixes a pruner's "auto" resources for good, as soon as the completed trials tell them."""
    component = actor.pruner_component
    if component is None or not has_auto(component) or PRUNER_ATTR in draft.mirror.system_attrs:
        return
    complete = draft.mirror.get_all_trials(
        draft.mirror.study_id, deepcopy=False, states=(TrialState.COMPLETE,)
    )
    resolved = resolve_auto(component, complete)
    if resolved is not None:
        document = {"type": resolved.type, "args": dict(resolved.args)}
        draft.mirror.set_study_system_attr(draft.mirror.study_id, PRUNER_ATTR, document)
        draft.study.pruner = build_pruner(resolved)
