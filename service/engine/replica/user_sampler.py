"""A sampler that a user wrote, for stock Optuna in the server."""

from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from service.engine.replica.messages import (
    AfterTrials,
    BeforeTrial,
    Call,
    DrawJointly,
    DrawOne,
)
from service.engine.replica.remote_sampler import RemoteSampler, mirror_of
from service.engine.replica.user_answers import (
    read_drawn,
    read_drawn_value,
    read_value,
    write_attributes,
)
from service.sandbox import FileFailed


class RemoteUserSampler(RemoteSampler):
    """Draws as the user's own object would that lives as long as its study.

    That `before_trial` failed is said by the first draw: there is a trial to fail then.

    Raises:
        FileFailed: The code failed.
        ProcessUnavailable: The process was killed twice.
    """

    _failure: FileFailed | None = None

    def hear_of_ends(self, study: Study, numbers: Sequence[int]) -> None:
        """Let the sampler know which trials have ended, in this order; before a trial is created.

        Optuna does so when a trial is told, where nobody waits for a sampler here.
        """
        self._failure = None
        read_value(self._exchange(study, AfterTrials(tuple(numbers))))

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
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
            write_attributes(mirror, writes)
            return len(mirror.journal)

        return self._replica.call(self._moment, call, drafted=mirror.journal, apply=write)
