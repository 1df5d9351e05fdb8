"""What a sweep's Python declares, found by running it here as the server would."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import optuna

from service.domain.errors import FieldError, InvalidCode
from service.domain.studies import Component, StudySpec
from service.domain.user_code import UserCode
from service.engine.create import NewStudy
from service.engine.declaring import declare_trial
from service.engine.mirror import Mirror
from service.engine.restoring import directions_of
from service.engine.user_code import CodeParts, bind_code, read_code
from service.sandbox import Sandbox
from service.search_space import Parameter

N_SAMPLES = 20
_SAMPLER = Component("RandomSampler")


@dataclass(frozen=True, slots=True)
class SampledTrials:
    """What the code declared for some trials that were drawn at random.

    Attributes:
        parameters: All that it came upon, in this order; one of a name that was declared in
            several ways is there once for each.
        params: What the first trial gets.
    """

    parameters: tuple[Parameter, ...]
    params: Mapping[str, Any]


def read_new_code(new: NewStudy) -> CodeParts | None:
    """What a new study takes from its code; None if it has none.

    Raises:
        Invalid: The code fails or does not fit; its subclasses say what.
        CodeUnavailable: No process for it could be started.
    """
    if new.user_code is None:
        return None
    with Sandbox() as sandbox:
        return read_code(sandbox, new.user_code, new.name, new.objectives, new.user_attrs)


def sample_trials(code: UserCode, spec: StudySpec) -> SampledTrials:
    """Has the code declare the parameters of trials.

    Raises:
        InvalidCode: It fails for one of them.
        CodeUnavailable: No process for it could be started.
    """
    mirror = _open_mirror(spec)
    study = optuna.Study(spec.name, mirror, sampler=optuna.samplers.RandomSampler(seed=0))
    params: list[Mapping[str, Any]] = []
    with Sandbox() as sandbox:
        run_code = bind_code(sandbox, code, spec)
        for _ in range(N_SAMPLES):
            drawn = declare_trial(study, mirror, run_code=run_code, sampler=_SAMPLER, fixed={})
            if drawn.problem is not None:
                errors = [FieldError("python.source", drawn.problem)]
                raise InvalidCode(drawn.problem, errors=errors)
            params.append(drawn.params)
    return SampledTrials(_list_parameters(mirror), params[0])


def _open_mirror(spec: StudySpec) -> Mirror:
    trial_ids = count()
    return Mirror(
        study_id=0,
        name=spec.name,
        directions=directions_of(spec),
        new_trial_id=lambda: next(trial_ids),
    )


def _list_parameters(mirror: Mirror) -> tuple[Parameter, ...]:
    found = {
        name: distribution
        for trial in mirror.get_all_trials(mirror.study_id, deepcopy=False)
        for name, distribution in trial.distributions.items()
    }
    return tuple(Parameter(name, distribution, {}) for name, distribution in found.items())
