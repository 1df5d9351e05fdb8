"""A sampler that a user wrote, for stock Optuna in the server."""

import time
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from service.engine.replica.messages import (
    AfterTrial,
    BeforeTrial,
    Call,
    DrawJointly,
    DrawOne,
)
from service.engine.replica.remote_sampler import RemoteSampler, mirror_of
from service.engine.replica.user_answers import (
    OF_SAMPLERS,
    read_drawn,
    read_drawn_value,
    read_value,
    write_attributes,
)
from service.sandbox import FileFailed

# Each question has a bound of its own; a trial of many parameters asks many.
_SECONDS = 60.0


class RemoteUserSampler(RemoteSampler):
    """Draws as the user's own object would that lives as long as its study.

    That `before_trial` failed is said by the first draw: there is a trial to fail then.

    Raises:
        FileFailed: The code failed.
        ProcessUnavailable: The process was killed twice.
    """

    _failure: FileFailed | None = None
    _seconds_left: float = _SECONDS

    def hear_of_end(self, study: Study, number: int) -> None:
        """Let the sampler know that a trial has ended; before another one is created.

        Optuna does so when a trial is told, where nobody waits for a sampler here.
        """
        trial_id = mirror_of(study).get_trial_id_from_study_id_trial_number(study._study_id, number)
        read_value(self._exchange(study, AfterTrial(trial_id)))

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._failure = None
        try:
            read_value(self._exchange(study, BeforeTrial(trial._trial_id)))
        except FileFailed as error:
            self._failure = error

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        self._raise_failure()
        space, params = read_drawn(self._exchange(study, DrawJointly(trial._trial_id)))
        self._drawn = (trial.number, params)
        return space

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        self._raise_failure()
        call = DrawOne(trial._trial_id, param_name, param_distribution)
        value = read_value(self._exchange(study, call))
        return read_drawn_value(param_name, param_distribution, value)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _exchange(self, study: Study, call: Call) -> dict[str, Any]:
        mirror = mirror_of(study)

        def write(writes: Any) -> int:
            write_attributes(mirror, writes, ours=OF_SAMPLERS)
            return len(mirror.journal)

        began = time.monotonic()
        answer = self._replica.call(self._moment, call, drafted=mirror.journal, apply=write)
        self._seconds_left -= time.monotonic() - began
        if self._seconds_left < 0:
            raise FileFailed(f"The sampler took more than {_SECONDS:g} seconds for one request.")
        return answer
