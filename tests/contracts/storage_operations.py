"""Random calls of Optuna's storage interface: as data, and how to make them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

# Two or more of a name, so that some do not go together.
DISTRIBUTIONS: dict[str, list[BaseDistribution]] = {
    "lr": [FloatDistribution(1e-5, 1, log=True), FloatDistribution(0, 1)],
    "mömentum": [FloatDistribution(0, 1, step=0.25), FloatDistribution(0, 2)],
    "layers": [IntDistribution(1, 9), IntDistribution(1, 8, step=1), FloatDistribution(1, 9)],
    "kind": [CategoricalDistribution(["a", 1, None]), CategoricalDistribution(["a", True, None])],
    "on": [CategoricalDistribution([1, 2.5]), CategoricalDistribution([True, 2.5])],
}
_KEYS = st.sampled_from(["", "a", "ä b", "asktell:x", "nsga:1"])
_ATTRS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text("ab", max_size=2) | st.integers(0, 2), inner, max_size=2)
    ),
    max_leaves=4,
)
_STEPS = st.integers(0, 3) | st.integers(0, 2**31 - 1)
_NUMBERS = st.floats(allow_nan=False) | st.sampled_from([float("inf"), float("-inf")])
_REPORTS = _NUMBERS | st.just(float("nan"))
# Long past, to tell them from times that the storage takes itself.
_TIMES = st.datetimes(datetime(2001, 1, 1), datetime(2019, 1, 1))


@dataclass(frozen=True, slots=True)
class Create:
    template: FrozenTrial | None


@dataclass(frozen=True, slots=True)
class SetStudyAttr:
    setter: str
    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class ChangeTrial:
    """One call of `setter` on the trial that `pick` lands on, whatever its state."""

    pick: int
    setter: str
    arguments: tuple[Any, ...]


Operation = Create | SetStudyAttr | ChangeTrial


def operations(n_objectives: int) -> st.SearchStrategy[Operation]:
    """Strategy for one call on a study with that many objectives."""
    return st.one_of(
        st.builds(Create, st.none() | _templates(n_objectives)),
        st.builds(
            SetStudyAttr,
            st.sampled_from(["set_study_user_attr", "set_study_system_attr"]),
            _KEYS,
            _ATTRS,
        ),
        _changes("set_trial_param", _params().map(_to_internal)),
        _changes("set_trial_intermediate_value", st.tuples(_STEPS, _REPORTS)),
        _changes("set_trial_user_attr", st.tuples(_KEYS, _ATTRS)),
        _changes("set_trial_system_attr", st.tuples(_KEYS, _ATTRS)),
        _changes("set_trial_state_values", _ends(n_objectives)),
        _changes(
            "set_trial_state_values",
            st.sampled_from([(TrialState.RUNNING, None), (TrialState.WAITING, None)]),
        ),
    )


def perform(storage: BaseStorage, study_id: int, trial_ids: list[int], operation: Operation) -> Any:
    """Makes one call; returns what a caller sees of it: an answer, or the kind of an error.

    Args:
        trial_ids: The study's trials, to which a new one is added.
    """
    try:
        match operation:
            case Create(template):
                return trial_ids.append(storage.create_new_trial(study_id, template))
            case SetStudyAttr(setter, key, value):
                return getattr(storage, setter)(study_id, key, value)
            case ChangeTrial(pick, setter, arguments):
                return getattr(storage, setter)(trial_ids[pick % len(trial_ids)], *arguments)
    except (KeyError, RuntimeError, ValueError) as error:
        return type(error)


def _changes(
    setter: str, arguments: st.SearchStrategy[tuple[Any, ...]]
) -> st.SearchStrategy[Operation]:
    return st.builds(ChangeTrial, st.integers(0, 5), st.just(setter), arguments)


@st.composite
def _params(draw: st.DrawFn) -> tuple[str, BaseDistribution, Any]:
    name = draw(st.sampled_from(sorted(DISTRIBUTIONS)))
    distribution = draw(st.sampled_from(DISTRIBUTIONS[name]))
    if isinstance(distribution, CategoricalDistribution):
        return name, distribution, draw(st.sampled_from(distribution.choices))
    if isinstance(distribution, IntDistribution):
        return name, distribution, draw(st.integers(distribution.low, distribution.high))
    assert isinstance(distribution, FloatDistribution)
    if distribution.step is not None:
        return name, distribution, draw(st.sampled_from([0.0, 0.25, 1.0]))
    return name, distribution, draw(st.floats(distribution.low, distribution.high))


def _to_internal(param: tuple[str, BaseDistribution, Any]) -> tuple[str, float, BaseDistribution]:
    name, distribution, value = param
    return name, distribution.to_internal_repr(value), distribution


def _values(n_objectives: int) -> st.SearchStrategy[list[float]]:
    return st.lists(_NUMBERS, min_size=n_objectives, max_size=n_objectives)


def _ends(n_objectives: int) -> st.SearchStrategy[tuple[TrialState, list[float] | None]]:
    values = _values(n_objectives)
    return st.one_of(
        st.tuples(st.just(TrialState.COMPLETE), values),
        st.tuples(st.just(TrialState.PRUNED), st.none() | values),
        st.tuples(st.just(TrialState.FAIL), st.none()),
    )


@st.composite
def _templates(draw: st.DrawFn, n_objectives: int) -> FrozenTrial:
    state = draw(st.sampled_from(TrialState))
    params = {name: rest for name, *rest in draw(st.lists(_params(), max_size=3))}
    complete = state is TrialState.COMPLETE
    trial = create_trial(
        state=state,
        values=draw(_values(n_objectives)) if complete else None,
        params={name: value for name, (_, value) in params.items()},
        distributions={name: distribution for name, (distribution, _) in params.items()},
        user_attrs=draw(st.dictionaries(_KEYS, _ATTRS, max_size=2)),
        system_attrs=draw(st.dictionaries(_KEYS, _ATTRS, max_size=2)),
        intermediate_values=draw(st.dictionaries(_STEPS, _REPORTS, max_size=3)),
    )
    trial.datetime_start = None if state is TrialState.WAITING else draw(_TIMES)
    trial.datetime_complete = draw(_TIMES) if state.is_finished() else None
    return trial
