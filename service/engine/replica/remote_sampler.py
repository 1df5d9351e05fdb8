"""A sampler that a replica runs, for stock Optuna in the server."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from service.domain.errors import InvalidParams, SamplerUnavailable
from service.engine.mirror import Mirror
from service.engine.replica.messages import BeforeTrial, Call, DrawJointly, DrawOne
from service.engine.replica.replica import Moment, Replica
from service.samplers import PerCallSampler
from service.storage.journal import AttrKind

_log = structlog.get_logger(__name__)


class RemoteSampler(BaseSampler):
    """Draws as the study's own sampler would, in the replica, for one draft.

    The replica sees the study as the draft began, and what the draft did since. What the sampler
    writes there is written to the draft here. Every method but the last two waits for the process;
    call them in a thread that may.

    Args:
        moment: When the draft began.
        local: The same sampler in this process, where it must draw nothing.

    Raises:
        ProcessUnavailable: The process failed twice.
    """

    def __init__(self, replica: Replica, moment: Moment, *, local: PerCallSampler) -> None:
        self._replica = replica
        self._moment = moment
        self._local = local
        self._drawn: tuple[int, dict[str, Any]] | None = None

    def reseed_rng(self) -> None:
        """Do nothing: no random state outlives a call."""

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._call(study, BeforeTrial(trial._trial_id))

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Draw jointly, too: inferred and drawn in two calls, a new process could not go on."""
        drawn = self._call(study, DrawJointly(trial._trial_id))
        self._drawn = (trial.number, drawn["params"])
        return {name: json_to_distribution(found) for name, found in drawn["space"].items()}

    def sample_relative(
        self,
        study: Study,  # noqa: ARG002 - Optuna's signature
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],  # noqa: ARG002 - Optuna's signature
    ) -> dict[str, Any]:
        number, params = self._drawn or (None, {})
        assert number == trial.number, "a trial's joint space is inferred just before it is drawn"
        return params

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._call(study, DrawOne(trial._trial_id, param_name, param_distribution))

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._local.after_trial(study, trial, state, values)

    def _call(self, study: Study, call: Call) -> Any:
        mirror = mirror_of(study)
        answer = self._replica.call(
            self._moment, call, drafted=mirror.journal, apply=_writing_to(mirror)
        )
        if "error" in answer:
            raise _build_error(answer)
        return answer["value"]


def mirror_of(study: Study) -> Mirror:
    """The mirror that a draft's study is on."""
    mirror = study._storage
    assert isinstance(mirror, Mirror), "a draft's study is on a mirror"
    return mirror


def _writing_to(mirror: Mirror) -> Callable[[Sequence[Mapping[str, Any]]], int]:
    def write(writes: Sequence[Mapping[str, Any]]) -> int:
        for each in writes:
            write_attribute(mirror, **each)
        return len(mirror.journal)

    return write


def write_attribute(
    mirror: Mirror, *, trial_id: int | None, kind: str, key: str, value: Any
) -> None:
    """Sets an attribute of the study, or of a trial."""
    is_user = AttrKind(kind) is AttrKind.USER
    if trial_id is None:
        set_study = mirror.set_study_user_attr if is_user else mirror.set_study_system_attr
        set_study(mirror.study_id, key, value)
    else:
        set_trial = mirror.set_trial_user_attr if is_user else mirror.set_trial_system_attr
        set_trial(trial_id, key, value)


def _build_error(answer: Mapping[str, Any]) -> Exception:
    """The error as it would have been raised here."""
    message = answer["message"]
    match answer["error"]:
        case "invalid-params":
            return InvalidParams(message)
        case "value":
            return ValueError(message)
        case "import":
            return SamplerUnavailable(f"The study's sampler cannot run on this server: {message}")
    _log.error("sampler.failed", traceback=answer["traceback"])
    return RuntimeError(message)
