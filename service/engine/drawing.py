"""Draw: create one trial on an Optuna study and choose its declared parameters.

The same for an ask and for whoever derives it anew from the recorded order.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from service.domain.errors import InvalidParams
from service.engine.mirror import Mirror
from service.samplers import PerCallSampler
from service.sandbox import FileFailed
from service.search_space import SearchSpace, check_fixed_values

FIXED_ATTR = "fixed_params"
"""Trial system attribute in which Optuna looks for values that were enqueued."""


@dataclass(frozen=True, slots=True)
class DrawnTrial:
    """A trial that runs now.

    Attributes:
        params: The declared ones, by flattened name, as they were drawn.
        problem: Why an enqueued trial cannot be run; None if it can.
    """

    number: int
    params: Mapping[str, Any]
    problem: str | None = None


def check_kinds(mirror: Mirror, space: SearchSpace) -> None:
    """Checks the space of one ask against what the study's other trials declared.

    Raises:
        InvalidParams: The study has had a parameter with a distribution of another kind.
    """
    for name, distribution in space.distributions.items():
        with _refusing(name):
            mirror.check_compatible(name, distribution)


def draw_trial(
    study: optuna.Study,
    mirror: Mirror,
    *,
    space: SearchSpace | None,
    fixed: Mapping[str, Any],
) -> DrawnTrial:
    """Starts an enqueued trial, or with `fixed` parameters or without any enqueued a new one.

    Args:
        study: On `mirror`.

    Raises:
        InvalidParams: A fixed value does not fit, or the sampler cannot suggest a parameter.
    """
    trial = start_trial(study, mirror, fixed)
    if space is None:
        return DrawnTrial(trial.number, {})
    enqueued = {} if fixed else mirror.get_trial(trial._trial_id).system_attrs.get(FIXED_ATTR, {})
    try:
        check_fixed_values(space.distributions, enqueued)
        return DrawnTrial(trial.number, _suggest_declared(trial, space))
    except FileFailed as error:
        return DrawnTrial(trial.number, {}, problem=end_sentence(error.reason))
    except InvalidParams as error:
        if not enqueued:
            raise
        # Enqueued before anybody knew the space; refusing the ask would refuse every other too.
        return DrawnTrial(trial.number, {}, problem=error.message)


def end_sentence(text: str) -> str:
    """A message of an exception as one: people leave the full stop out."""
    return text if text.endswith((".", "?", "!", ")")) else f"{text}."


def start_trial(study: optuna.Study, mirror: Mirror, fixed: Mapping[str, Any]) -> optuna.Trial:
    """Starts an enqueued trial, or with `fixed` parameters or without any enqueued a new one."""
    return _create_fixed(study, mirror, fixed) if fixed else study.ask()


def finish_drawing(
    study: optuna.Study, mirror: Mirror, sampler: PerCallSampler, number: int
) -> None:
    """Tells the sampler that an ask has chosen what it chooses of a trial."""
    trial_id = mirror.get_trial_id_from_study_id_trial_number(mirror.study_id, number)
    sampler.after_ask(study, mirror.get_trial(trial_id))


def suggest_value(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    """Asks stock Optuna for a value, through the public method for the distribution's kind.

    Raises:
        InvalidParams: The study has had the parameter with a distribution of another kind.
    """
    with _refusing(name):
        return _suggest(trial, name, distribution)


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise InvalidParams(
            f"Parameter {name!r} cannot be suggested: {error} "
            "Give the distribution that this study used for it before, or another name."
        ) from error


def _suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case FloatDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_float(name, low, high, step=step, log=log)
        case IntDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_int(name, low, high, step=step, log=log)
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
    raise TypeError(f"{name}: {type(distribution).__name__} is not a distribution of Optuna 5.")


def _create_fixed(study: optuna.Study, mirror: Mirror, fixed: Mapping[str, Any]) -> optuna.Trial:
    """Creates what `study.enqueue_trial` and a following `study.ask` would leave."""
    template = create_trial(state=TrialState.RUNNING, system_attrs={FIXED_ATTR: dict(fixed)})
    template.datetime_start = mirror.now()
    trial_id = mirror.create_new_trial(mirror.study_id, template)
    # `study.ask` makes a study forget the trials that it found for an earlier draw.
    fresh = optuna.Study(study.study_name, mirror, sampler=study.sampler, pruner=study.pruner)
    return optuna.Trial(fresh, trial_id)


def _suggest_declared(trial: optuna.Trial, space: SearchSpace) -> dict[str, Any]:
    drawn: dict[str, Any] = {}
    chosen: dict[str, Any] = {}
    for parameter in space.parameters:
        if space.is_active(parameter, chosen):
            value = suggest_value(trial, parameter.name, parameter.distribution)
            drawn[parameter.name] = value
            chosen[parameter.name] = parameter.resolve(value)
    return drawn
