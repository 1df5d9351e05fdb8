"""Random uses of an Optuna study, as users write them: as data, and how to do them."""

from dataclasses import dataclass, field
from typing import Any

import optuna
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState, create_trial

from tests.contracts.storage_operations import DISTRIBUTIONS

_NAMES = st.sampled_from(sorted(DISTRIBUTIONS))
_DISTRIBUTIONS: dict[str, BaseDistribution] = {
    name: alternatives[0] for name, alternatives in DISTRIBUTIONS.items()
}
_PARAMS = st.fixed_dictionaries({}, optional={"lr": st.just(0.5), "layers": st.integers(1, 9)})


@dataclass(frozen=True, slots=True)
class Ask:
    names: list[str]


@dataclass(frozen=True, slots=True)
class Report:
    pick: int
    step: int
    value: float


@dataclass(frozen=True, slots=True)
class Constrain:
    pick: int
    value: float


@dataclass(frozen=True, slots=True)
class Tell:
    pick: int
    state: TrialState
    value: float


@dataclass(frozen=True, slots=True)
class Enqueue:
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Add:
    params: dict[str, Any]
    value: float


Use = Ask | Report | Constrain | Tell | Enqueue | Add

_PICKS = st.integers(0, 5)
_NUMBERS = st.floats(allow_nan=False)

USES: st.SearchStrategy[Use] = st.one_of(
    st.builds(Ask, st.lists(_NAMES, max_size=4)),
    st.builds(Ask, st.just(["lr", "layers"])),
    st.builds(Report, _PICKS, st.integers(0, 5), st.floats()),
    st.builds(Tell, _PICKS, st.just(TrialState.COMPLETE), _NUMBERS),
    st.builds(Tell, _PICKS, st.sampled_from([TrialState.PRUNED, TrialState.FAIL]), _NUMBERS),
    st.builds(Constrain, _PICKS, st.floats(allow_nan=False, allow_infinity=False)),
    st.builds(Enqueue, _PARAMS),
    st.builds(Add, _PARAMS, _NUMBERS),
)


@dataclass(slots=True)
class User:
    """Somebody who holds a study and the trials asked of it."""

    study: optuna.Study
    trials: list[optuna.Trial] = field(default_factory=list)

    def do(self, use: Use) -> Any:
        """Returns what the user sees: an answer, or the kind of an error."""
        try:
            return repr(self._do(use))
        except (RuntimeError, ValueError) as error:
            return type(error)

    def _do(self, use: Use) -> Any:
        match use:
            case Ask(names):
                return self._ask(names)
            case Enqueue(params):
                return self.study.enqueue_trial(params, user_attrs={"queued": params})
            case Add(params, value):
                distributions = {name: _DISTRIBUTIONS[name] for name in params}
                return self.study.add_trial(
                    create_trial(params=params, distributions=distributions, value=value)
                )
            case Report() | Constrain() | Tell():
                return self._continue(self.trials[use.pick % len(self.trials)], use)

    def _ask(self, names: list[str]) -> Any:
        trial = self.study.ask()
        self.trials.append(trial)
        for name in names:
            trial._suggest(name, _DISTRIBUTIONS[name])
        return trial.number, trial.params

    def _continue(self, trial: optuna.Trial, use: Report | Constrain | Tell) -> Any:
        match use:
            case Report(_, step, value):
                trial.report(value, step)
                return bool(trial.should_prune())
            case Constrain(_, value):
                return trial.set_constraint("c", value)
            case Tell(_, state, value):
                values = value if state is TrialState.COMPLETE else None
                return self.study.tell(trial, values, state=state).value
