"""Draws depend on the seed and the recorded order, not on processes; exhaustion is recorded."""

import json
from itertools import cycle
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from service.domain.errors import InvalidParams
from service.domain.studies import Component
from service.samplers import RELATIVE_ATTR
from service.samplers.seeding import RandomStates, derive_seed
from service.search_space import parse_space
from tests.unit.sampler_use import (
    ANY_SPACE,
    CONDITIONAL,
    EXHAUSTIVE,
    FINITE,
    FLAT,
    JOINT,
    SEPARATE,
    Samplers,
    ask,
    is_exhausted,
    open_storage,
    open_study,
    samplers,
    suggest,
    tell,
)


@pytest.fixture(autouse=True)
def _quiet_optuna() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def run(
    fresh: Samplers, document: dict[str, Any], *, n_trials: int, batch: int = 3
) -> list[dict[str, Any]]:
    """Asks in batches and tells out of order; every call goes to a sampler of its own process."""
    space = parse_space(document)
    storage = open_storage()
    pending: list[int] = []
    for _ in range(n_trials):
        pending.append(ask(storage, fresh, space))
        if len(pending) == batch:
            for number in reversed(pending):
                tell(storage, fresh, number)
            pending = []
    trials = open_study(storage, fresh).get_trials(deepcopy=False)
    return [trial.params for trial in trials]


def alternating(fresh: Samplers, n_processes: int) -> Samplers:
    """Long-lived samplers that take turns, as processes behind a router would."""
    turns = cycle([fresh() for _ in range(n_processes)])
    return lambda: next(turns)


@pytest.mark.parametrize("name", ANY_SPACE)
def test_a_process_for_each_call_draws_what_one_would(name: str) -> None:
    fresh = samplers(ANY_SPACE[name], parse_space(FLAT))
    alone = run(alternating(fresh, 1), FLAT, n_trials=30)
    assert run(fresh, FLAT, n_trials=30) == alone


@pytest.mark.parametrize("name", ANY_SPACE)
def test_processes_taking_turns_agree_on_a_conditional_space(name: str) -> None:
    fresh = samplers(ANY_SPACE[name], parse_space(CONDITIONAL))
    alone = run(alternating(fresh, 1), CONDITIONAL, n_trials=24)
    assert run(alternating(fresh, 3), CONDITIONAL, n_trials=24) == alone


@pytest.mark.parametrize("name", ANY_SPACE)
def test_processes_taking_turns_agree_on_parameters_that_trials_declare(name: str) -> None:
    fresh = samplers(ANY_SPACE[name], parse_space(FLAT), declared=False)
    alone = run(alternating(fresh, 1), FLAT, n_trials=24)
    assert run(alternating(fresh, 3), FLAT, n_trials=24) == alone


@pytest.mark.parametrize("name", EXHAUSTIVE)
def test_exhaustive_samplers_agree_and_visit_each_combination_once(name: str) -> None:
    fresh = samplers(EXHAUSTIVE[name], parse_space(FINITE))
    size = 10 if name.startswith("fixed") else 40
    alone = run(alternating(fresh, 1), FINITE, n_trials=size)
    assert len({json.dumps(params, sort_keys=True) for params in alone}) == size
    assert run(alternating(fresh, 3), FINITE, n_trials=size) == alone
    assert run(fresh, FINITE, n_trials=size) == alone


# Plain QMC starts every sequence at the same point; that is what scrambling is for.
@pytest.mark.parametrize("name", [name for name in ANY_SPACE if name != "qmc"])
def test_another_seed_draws_something_else(name: str) -> None:
    space = parse_space(FLAT)
    first = run(samplers(ANY_SPACE[name], space, seed=1), FLAT, n_trials=6)
    assert run(samplers(ANY_SPACE[name], space, seed=2), FLAT, n_trials=6) != first


@pytest.mark.parametrize("name", ["random", "tpe", "tpe-univariate", "cma", "nsga2", "nsga3"])
@pytest.mark.parametrize("declared", [True, False])
def test_parameters_of_one_trial_do_not_share_a_quantile(name: str, declared: bool) -> None:
    document = {f"x{i}": {"type": "float", "low": 0, "high": 1} for i in range(5)}
    space = parse_space(document)
    storage, fresh = open_storage(), samplers(ANY_SPACE[name], space, declared=declared)
    ask(storage, fresh, space)
    values = open_study(storage, fresh).trials[0].params.values()
    assert len(set(values)) == 5


@pytest.mark.parametrize("name", JOINT)
def test_declared_parameters_are_drawn_as_if_found_in_the_history(name: str) -> None:
    space = parse_space(FLAT)
    runs = []
    for declared in (True, False):
        fresh = samplers(JOINT[name], space, declared=declared)
        storage = open_storage()
        seen = create_trial(
            value=1.0,
            params={"c": "b" if name == "fixed-nsga2" else "a", "n": 2, "x": 0.25, "y": 0.1},
            distributions=space.distributions,
        )
        open_study(storage, fresh).add_trial(seen)
        for _ in range(20):
            tell(storage, fresh, ask(storage, fresh, space))
        runs.append([trial.params for trial in open_study(storage, fresh).trials])
    assert runs[0] == runs[1]


@pytest.mark.parametrize("name", JOINT)
@pytest.mark.parametrize("document", [FLAT, CONDITIONAL], ids=["flat", "conditional"])
def test_a_trial_taken_up_again_continues_its_joint_draw(
    name: str, document: dict[str, Any]
) -> None:
    space = parse_space(document)
    fresh = samplers(JOINT[name], space, declared=False)
    interrupted, whole = open_storage(), open_storage()
    for storage in (interrupted, whole):
        for _ in range(8):
            tell(storage, fresh, ask(storage, fresh, space))
    expected = ask(whole, fresh, space)
    trial = open_study(interrupted, fresh).ask()
    chosen: dict[str, Any] = {}
    for parameter in space.parameters:
        if space.is_active(parameter, chosen):
            again = Trial(open_study(interrupted, fresh), trial._trial_id)
            chosen[parameter.name] = suggest(again, parameter.name, parameter.distribution)
    assert chosen == whole.get_trial(expected).params
    json.dumps(interrupted.get_trial(trial._trial_id).system_attrs)


@pytest.mark.parametrize("name", JOINT)
def test_nothing_is_stored_or_redrawn_for_a_declared_space(name: str) -> None:
    space = parse_space(FLAT)
    storage, fresh = open_storage(), samplers(JOINT[name], space)
    for _ in range(8):
        tell(storage, fresh, ask(storage, fresh, space))
    number = ask(storage, fresh, space)
    before = storage.get_trial(number), storage.get_study_system_attrs(0)
    assert RELATIVE_ATTR not in before[0].system_attrs
    late = Trial(open_study(storage, fresh), number)
    late.suggest_float("undeclared", 0, 1)
    after = storage.get_trial(number), storage.get_study_system_attrs(0)
    assert after[0].system_attrs == before[0].system_attrs
    assert after[1] == before[1]


def test_seeding_in_place_equals_seeding_by_constructor() -> None:
    random_states = RandomStates()
    for name, make in {
        "random": optuna.samplers.RandomSampler,
        "tpe": optuna.samplers.TPESampler,
        "cma": optuna.samplers.CmaEsSampler,
        "nsga2": optuna.samplers.NSGAIISampler,
    }.items():
        study = optuna.create_study(sampler=make(seed=99))
        expected = study.ask({"x": FloatDistribution(0, 1)}).params
        seeded = make()
        random_states.seed(seeded, 99)
        study = optuna.create_study(sampler=seeded)
        assert study.ask({"x": FloatDistribution(0, 1)}).params == expected, name


def test_the_seed_of_a_call_never_changes() -> None:
    # Stored studies repeat only as long as this does not move.
    assert derive_seed(7, 3, "independent:lr") == 3943886774
    assert derive_seed(7, 3, "relative") != derive_seed(7, 4, "relative")


@pytest.mark.parametrize("name", EXHAUSTIVE)
def test_handing_out_the_last_combination_is_recorded(name: str) -> None:
    space = parse_space(FINITE)
    storage, fresh = open_storage(), samplers(EXHAUSTIVE[name], space)
    size = 10 if name.startswith("fixed") else 40
    for _ in range(size - 1):
        ask(storage, fresh, space)
    assert not is_exhausted(storage)
    ask(storage, fresh, space)
    assert is_exhausted(storage)


def test_handing_out_the_last_conditional_combination_is_recorded() -> None:
    document = {
        "c": {"type": "categorical", "choices": ["a", "b"]},
        "n": {"type": "int", "low": 1, "high": 3, "when": {"c": ["a"]}},
    }
    space = parse_space(document)
    storage = open_storage()
    fresh = samplers(Component("BruteForceSampler"), space)
    for _ in range(3):
        ask(storage, fresh, space)
    assert not is_exhausted(storage)
    ask(storage, fresh, space)
    assert is_exhausted(storage)


@pytest.mark.parametrize("name", ["grid", "brute-force"])
def test_finishing_the_last_combination_is_recorded_where_trials_declare_parameters(
    name: str,
) -> None:
    distributions: dict[str, BaseDistribution] = {"n": IntDistribution(1, 3)}
    component = {
        "grid": Component("GridSampler", {"search_space": {"n": [1, 2, 3]}}),
        "brute-force": Component("BruteForceSampler"),
    }[name]
    storage, fresh = open_storage(), samplers(component, None)
    numbers = [open_study(storage, fresh).ask(distributions).number for _ in range(3)]
    for number in numbers[:-1]:
        open_study(storage, fresh).tell(number, state=TrialState.FAIL)
    open_study(storage, fresh).tell(numbers[-1], 1.0)
    assert is_exhausted(storage)
    assert open_study(storage, fresh).trials[numbers[-1]].state is TrialState.COMPLETE


def test_a_trial_with_fixed_parameters_beside_a_grid_can_be_told() -> None:
    space = parse_space({"n": {"type": "int", "low": 1, "high": 2}})
    storage, fresh = open_storage(), samplers(Component("GridSampler"), space)
    study = open_study(storage, fresh)
    study.enqueue_trial({"n": 2})
    first, second = ask(storage, fresh, space), ask(storage, fresh, space)
    open_study(storage, fresh).tell(second, 0.0)
    open_study(storage, fresh).tell(first, 0.0)
    assert open_study(storage, fresh).trials[first].state is TrialState.COMPLETE
    assert not is_exhausted(storage)


def test_only_the_stop_signal_is_swallowed() -> None:
    class BrokenStorage(InMemoryStorage):
        is_broken = False

        def get_all_trials(self, *args: Any, **kwargs: Any) -> list[FrozenTrial]:
            if self.is_broken:
                raise RuntimeError("disk on fire")
            return super().get_all_trials(*args, **kwargs)

    storage = BrokenStorage()
    storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "s")
    space = parse_space(FINITE)
    fresh = samplers(Component("GridSampler"), space)
    ask(storage, fresh, space)
    study = open_study(storage, fresh)
    trial = storage.get_trial(0)
    storage.is_broken = True
    with pytest.raises(RuntimeError, match="disk on fire"):
        study.sampler.after_trial(study, trial, TrialState.COMPLETE, [0.0])


@pytest.mark.parametrize(
    ("component", "distribution"),
    [
        (Component("GridSampler", {"search_space": {"n": [1]}}), FloatDistribution(0, 1)),
        (Component("BruteForceSampler"), FloatDistribution(0, 1)),
        (
            Component(
                "PartialFixedSampler", {"fixed_params": {"x": "a"}, "base_sampler": SEPARATE}
            ),
            FloatDistribution(0, 1),
        ),
    ],
    ids=["grid", "brute-force", "fixed"],
)
def test_a_parameter_that_a_particular_sampler_cannot_draw_is_the_clients_error(
    component: Component, distribution: BaseDistribution
) -> None:
    study = open_study(open_storage(), samplers(component, None))
    with pytest.raises(InvalidParams, match='"x" cannot be suggested'):
        study.ask({"x": distribution})
