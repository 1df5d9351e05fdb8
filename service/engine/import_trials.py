"""Import: trials that ended elsewhere, for the sampler to learn from."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from service.domain.errors import FieldError, Invalid, InvalidParams, InvalidReport
from service.domain.limits import MAX_STEP
from service.domain.trials import AttemptPhase, TrialState
from service.engine.actor import Actor
from service.engine.adding import add_trials
from service.engine.constraints import CONSTRAINTS_ATTR, order_constraints
from service.engine.declaring import (
    CONFIG_ATTR,
    RunCode,
    declare_given,
    find_config,
    find_kept_name,
)
from service.engine.draft import Draft
from service.engine.mirror import Mirror
from service.engine.refusals import confirms_refusals
from service.engine.results import check_result
from service.search_space import (
    check_complete_params,
    find_value_problem,
    flatten,
    parse_distribution,
)
from service.search_space.variants import find_declared_name, find_variant_problem
from service.storage.journal import TrialRecord

# The study's code runs once for each; whoever sends many gets an answer in time.
_LONGEST_READ_SECONDS = 20.0
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
_NO_DISTRIBUTIONS = (
    "The study declares no search space, so the parameters need distributions; "
    "`asktell study import` makes them up with --guess-space."
)


@dataclass(frozen=True, slots=True)
class ImportedTrial:
    """A finished trial as a client knows it.

    Attributes:
        params: Nested or flattened; with a declared space all that it makes part of the trial. If
            the study's Python declares the parameters: all that the trial's program got, of
            which those are taken that the code asks for.
        distributions: Native JSON by name, for studies without a declared space. With Python,
            None: it is run for them.
        values: One per objective for COMPLETE; None otherwise.
        intermediate_values: By step.
    """

    state: TrialState
    params: Mapping[str, Any] = field(default_factory=dict)
    distributions: Mapping[str, Any] | None = None
    values: tuple[float, ...] | None = None
    intermediate_values: Mapping[int, float] = field(default_factory=dict)
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    constraints: Mapping[str, float] | None = None
    reason: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


@confirms_refusals
async def import_trials(
    actor: Actor, trials: Sequence[ImportedTrial], *, idempotency_key: str | None = None
) -> tuple[int, ...]:
    """Stores finished trials, all or none, and returns their numbers, committed.

    They count neither towards `max_trials` nor as failures; one that is the best may reach the
    target.

    Raises:
        InvalidParams, InvalidSpace: Parameters do not fit the space, or lack a distribution.
        InvalidValues, InvalidReport: State, values or reports do not fit the study.
        IdempotencyKeyReused: The key came with another body before.
        Unavailable: Nothing is known to have happened; repeat with the same key.
    """
    read = await _read_all(actor, trials)
    templates = [_build_template(actor, trial) for trial in read]
    return await add_trials(
        actor,
        [partial(_add, actor, each, made) for each, made in zip(read, templates, strict=True)],
        operation="import",
        idempotency_key=idempotency_key,
        body=[_to_document(trial) for trial in trials],
    )


@dataclass(frozen=True, slots=True)
class _ReadTrial:
    """A trial whose parameters were found to be in order.

    Attributes:
        trial: With what the study's Python has said of it.
        params: By declared name.
        config: What it shows instead of them, by flattened name; None: just them.
    """

    trial: ImportedTrial
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    config: Mapping[str, Any] | None = None


async def _read_all(actor: Actor, trials: Sequence[ImportedTrial]) -> list[_ReadTrial]:
    run_code = actor.run_code
    if run_code is None:
        return [_read(actor, trial) for trial in trials]
    first, user_attrs = actor.count_trials, actor.begin().mirror.user_attrs

    def read() -> list[_ReadTrial]:
        until, read = time.monotonic() + _LONGEST_READ_SECONDS, list[_ReadTrial]()
        for number, trial in enumerate(trials, first):
            if time.monotonic() > until:
                raise InvalidParams(
                    f"The study's Python took {_LONGEST_READ_SECONDS:g} s for the first "
                    f"{len(read)} of these trials, and nothing was imported. Send fewer at once."
                )
            read.append(_read_declared(run_code, number, trial, user_attrs))
        return read

    return await actor.sampling.run(read, trials=len(trials))


def _read_declared(
    run_code: RunCode, number: int, trial: ImportedTrial, user_attrs: Mapping[str, Any]
) -> _ReadTrial:
    """Reads a trial of a study whose Python declares the parameters. Blocks."""
    failed_before = trial.state is TrialState.FAIL and not trial.params
    if trial.distributions is not None or failed_before:
        return _read_own(_use_declared_names(trial))
    run, distributions = declare_given(run_code, number, _flatten(trial.params), user_attrs)
    complete = replace(
        trial,
        user_attrs={**run.user_attrs, **trial.user_attrs},
        constraints={**run.constraints, **(trial.constraints or {})},
    )
    return _ReadTrial(complete, run.params, distributions, find_config(run))


def _add(actor: Actor, read: _ReadTrial, template: FrozenTrial, draft: Draft, seq: int) -> int:
    trial = read.trial
    if actor.run_code is not None:
        _name_variants(draft.mirror, template)
    if trial.constraints:
        ordered = order_constraints(draft.mirror, trial.constraints)
        template.system_attrs = {**template.system_attrs, CONSTRAINTS_ATTR: ordered}
    try:
        trial_id = draft.mirror.create_new_trial(draft.mirror.study_id, template)
    except ValueError as error:
        raise InvalidParams(
            f"A trial cannot be imported: {error} Use the distributions that this study has used "
            "before, or other names."
        ) from error
    number = draft.mirror.get_trial_number_from_id(trial_id)
    draft.records[number] = TrialRecord(
        number,
        attempt=1,
        phase=AttemptPhase.ENDED,
        ask_seq=seq,
        tell_seq=seq,
        reason=trial.reason,
    )
    return number


def _name_variants(mirror: Mirror, template: FrozenTrial) -> None:
    """Lets the trial have its parameters under the names that an ask would keep them by."""
    found = template.distributions
    names = {name: find_kept_name(mirror, name, found[name]) for name in found}
    template.params = {names[name]: value for name, value in template.params.items()}
    template.distributions = {names[name]: each for name, each in found.items()}


def _build_template(actor: Actor, read: _ReadTrial) -> FrozenTrial:
    trial = read.trial
    check_result(trial.state, trial.values, n_objectives=len(actor.spec.objectives))
    _check_reports(actor, trial)
    template = create_trial(
        state=OptunaState[trial.state.name],
        values=_choose_values(trial),
        params=dict(read.params),
        distributions=dict(read.distributions),
        intermediate_values=dict(trial.intermediate_values),
        user_attrs=dict(trial.user_attrs),
        system_attrs={} if read.config is None else {CONFIG_ATTR: dict(read.config)},
    )
    started_at, finished_at = _choose_times(trial, actor.clock())
    template.datetime_start = _to_local(started_at)
    template.datetime_complete = _to_local(finished_at)
    return template


def _choose_times(trial: ImportedTrial, now: datetime) -> tuple[datetime, datetime]:
    finished_at = trial.finished_at or now
    started_at = trial.started_at or finished_at
    if started_at < _EARLIEST or finished_at > _LATEST:
        raise Invalid("A trial's times must lie between the years 1970 and 9000.")
    if finished_at < started_at:
        raise Invalid("A trial cannot have finished before it started.")
    return started_at, finished_at


def _check_reports(actor: Actor, trial: ImportedTrial) -> None:
    if trial.intermediate_values and actor.is_multi_objective:
        raise InvalidReport("A study with several objectives takes no intermediate values.")
    for step in trial.intermediate_values:
        if not 0 <= step <= MAX_STEP:
            raise InvalidReport(f"Step {step} is out of range: use 0 to {MAX_STEP}.")


def _choose_values(trial: ImportedTrial) -> Sequence[float] | None:
    """A PRUNED trial has the value of its largest step, as after a tell."""
    if trial.state is not TrialState.PRUNED or not trial.intermediate_values:
        return trial.values
    last = trial.intermediate_values[max(trial.intermediate_values)]
    return None if math.isnan(last) else (last,)


def _read(actor: Actor, trial: ImportedTrial) -> _ReadTrial:
    if actor.space is None:
        return _read_own(trial)
    if trial.distributions is not None:
        raise Invalid("The study declares its search space; leave distributions out.")
    params = check_complete_params(actor.space, trial.params)
    declared = actor.space.distributions
    return _ReadTrial(trial, params, {name: declared[name] for name in params})


def _read_own(trial: ImportedTrial) -> _ReadTrial:
    """Reads a trial that brings its distributions."""
    if trial.distributions is None and trial.params:
        raise _refuse([FieldError("distributions", _NO_DISTRIBUTIONS)])
    distributions = {
        name: parse_distribution(name, document)
        for name, document in (trial.distributions or {}).items()
    }
    _check_against(distributions, trial.params)
    return _ReadTrial(trial, trial.params, distributions)


def _flatten(params: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in flatten(params):
        if name in flat:
            message = "This is given twice, in a group and with a dot."
            raise _refuse([FieldError(f"params.{name}", message)])
        flat[name] = value
    return flat


def _use_declared_names(trial: ImportedTrial) -> ImportedTrial:
    """Takes names that Optuna's tables have for those that the code has given."""
    return replace(
        trial,
        params=_rename("params", trial.params),
        distributions=_rename("distributions", trial.distributions or {}),
    )


def _rename(part: str, values: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {find_declared_name(name): value for name, value in values.items()}
    problems = ((name, find_variant_problem(name)) for name in renamed)
    errors = [FieldError(f"{part}.{name}", problem) for name, problem in problems if problem]
    if len(renamed) < len(values):
        message = "Two of the names are for one parameter, whose variants they are; leave one out."
        errors.append(FieldError(part, message))
    if errors:
        raise _refuse(errors)
    return renamed


def _check_against(
    distributions: Mapping[str, BaseDistribution], params: Mapping[str, Any]
) -> None:
    errors = [
        FieldError(f"distributions.{name}", "This parameter needs a distribution and a value.")
        for name in sorted(params.keys() ^ distributions.keys())
    ]
    found = (
        (name, find_value_problem(distributions[name], params[name]))
        for name in params
        if name in distributions
    )
    errors += [FieldError(f"params.{name}", problem) for name, problem in found if problem]
    if errors:
        raise _refuse(errors)


def _refuse(errors: Sequence[FieldError]) -> InvalidParams:
    first = errors[0]
    return InvalidParams(
        f"A trial cannot be imported: {first.field}: {first.message}", errors=errors
    )


def _to_local(moment: datetime) -> datetime:
    return moment.astimezone().replace(tzinfo=None)


def _to_document(trial: ImportedTrial) -> dict[str, Any]:
    """What makes two imports the same one."""
    started, finished = trial.started_at, trial.finished_at
    return {
        **asdict(trial),
        "intermediate_values": sorted(trial.intermediate_values.items()),
        "started_at": None if started is None else started.isoformat(),
        "finished_at": None if finished is None else finished.isoformat(),
    }
