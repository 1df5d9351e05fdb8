"""Early termination and distributions are those of W&B's own `sweeps` package."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import optuna
import pytest
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import TrialState
from scipy.stats import chi2_contingency, ks_2samp

from service.domain.studies import Component
from service.engine.drawing import draw_trial
from service.engine.mirror import Mirror
from service.pruners import build_pruner, resolve_pruner
from service.samplers import build_sampler, resolve_sampler
from service.search_space import parse_space
from service.sweep_files import convert_parameter
from service.sweep_files.wandb_distributions import DISTRIBUTIONS
from tests.parity.conftest import AskSweeps
from tests.parity.make_histories import FILE

pytestmark = pytest.mark.timeout(300)

ENDS = {
    "finished": TrialState.COMPLETE,
    "killed": TrialState.PRUNED,
    "crashed": TrialState.FAIL,
    "failed": TrialState.FAIL,
}

N_DRAWS = 3000
LEAST_P = 1e-3
LEAST_COUNT = 20
CONSTANTS = {
    "constant": {"value": 0},
    "constant-null": {"value": None},
    "constant-distribution": {"distribution": "constant", "value": "adam"},
    "constant-nested": {"parameters": {"inner": {"value": False}}},
}
CONTINUOUS = {
    "uniform": {"distribution": "uniform", "min": -1, "max": 2},
    "log-uniform-values": {"distribution": "log_uniform_values", "min": 1e-5, "max": 0.1},
    "inv-log-uniform-values": {"distribution": "inv_log_uniform_values", "min": 0.5, "max": 64},
    "log-uniform": {"distribution": "log_uniform", "min": -3, "max": 1.5},
    "inv-log-uniform": {"distribution": "inv_log_uniform", "min": -1, "max": 4},
    "normal": {"distribution": "normal"},
    "normal-moved": {"distribution": "normal", "mu": 5, "sigma": 0.5},
    "log-normal": {"distribution": "log_normal", "mu": -2, "sigma": 0.7},
    "beta": {"distribution": "beta", "a": 2, "b": 5},
    "beta-default": {"distribution": "beta"},
    "nested-uniform": {"parameters": {"deep": {"parameters": {"lr": {"min": 0.0, "max": 1.0}}}}},
}
DISCRETE = {
    "categorical": {"distribution": "categorical", "values": ["a", 2, 2.5, True, None]},
    "int-uniform": {"distribution": "int_uniform", "min": -2, "max": 2},
    "q-uniform": {"distribution": "q_uniform", "min": 0, "max": 10, "q": 2},
    "q-uniform-outside": {"distribution": "q_uniform", "min": 1, "max": 10, "q": 5},
    "q-uniform-between": {"distribution": "q_uniform", "min": 0.4, "max": 7.1},
    "q-uniform-fine": {"distribution": "q_uniform", "min": -0.5, "max": 0.5, "q": 0.25},
    "q-log-uniform-values": {"distribution": "q_log_uniform_values", "min": 0.6, "max": 9, "q": 2},
    "q-log-uniform": {"distribution": "q_log_uniform", "min": -1, "max": 1, "q": 0.5},
    "q-normal": {"distribution": "q_normal", "mu": 1, "sigma": 3, "q": 2},
    "q-log-normal": {"distribution": "q_log_normal", "sigma": 0.5},
    "q-beta": {"distribution": "q_beta", "a": 0.5, "b": 2, "q": 0.25},
    "categorical-any": {"values": [[1, 2], {"a": 1}, "b", "b", 1, True]},
    "weighted": {
        "distribution": "categorical_w_probabilities",
        "values": ["a", ["b"], "never", 3],
        "probabilities": [0.1, 0.2, 0, 0.7],
    },
    "nested-categorical": {"parameters": {"size": {"values": [16, 32, 64]}}},
    "nested-int-uniform": {"parameters": {"layers": {"min": 1, "max": 4}}},
}
PARAMETERS = CONSTANTS | CONTINUOUS | DISCRETE
WRONG = {
    "log-uniform-values": {"type": "float", "low": 1e-5, "high": 0.1},
    "inv-log-uniform": {"type": "float", "low": math.exp(-1), "high": math.exp(4), "log": True},
    "q-uniform": {"type": "int", "low": 0, "high": 10, "step": 2},
    "int-uniform": {"type": "int", "low": -2, "high": 1},
    "normal-moved": {"type": "normal", "mu": 5, "sigma": 0.7},
    "log-normal": {"type": "log_normal", "mu": -2, "sigma": 0.5},
    "beta": {"type": "beta", "a": 5, "b": 2},
    "q-normal": {"type": "normal", "mu": 1, "sigma": 3, "quantum": 1},
    "q-log-uniform": {"type": "float", "low": 0.4, "high": 2.7, "quantum": 0.5},
    "categorical-any": {"type": "categorical", "choices": [[1, 2], {"a": 1}, "b", 1, True]},
    "weighted": {"type": "categorical", "choices": ["a", ["b"], 3]},
}
"""Near misses, for the tests to tell from what is right."""

Draws = dict[str, list[Any]]


def test_the_same_runs_are_stopped_after_every_row(ask_sweeps: AskSweeps) -> None:
    histories = json.loads(FILE.read_text())
    theirs = ask_sweeps("stopped", histories)
    ours = [list(replay(history)) for history in histories]
    assert [[pruned for pruned, _ in each] for each in ours] == theirs
    n_pruned = sum(len(pruned) for each in ours for pruned, _ in each)
    n_kept = sum(len(kept) for each in ours for _, kept in each)
    assert len(histories) >= 60
    assert n_pruned >= 2000
    assert n_kept >= 5000


def replay(history: dict[str, Any]) -> Iterator[tuple[list[int], list[int]]]:
    """Yields after each event which of the trials that run and have rows are pruned and kept."""
    mirror, pruner, steps = open_mirror(history), open_pruner(history), count()
    for number, event in history["events"]:
        if isinstance(event, str):
            end(mirror, number, ENDS[event])
        elif event is not None:
            mirror.set_trial_intermediate_value(number, next(steps), event)
        study = optuna.Study("s", mirror, pruner=pruner)
        decisions: tuple[list[int], list[int]] = [], []
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.intermediate_values:
                decisions[not pruner.prune(study, trial)].append(trial.number)
        yield decisions


def open_mirror(history: dict[str, Any]) -> Mirror:
    """All trials run from the beginning; those without rows count for nothing."""
    direction = StudyDirection[history["goal"].upper()]
    ids = count()
    mirror = Mirror(study_id=1, name="s", directions=[direction], new_trial_id=lambda: next(ids))
    for _ in range(history["n_runs"]):
        mirror.create_new_trial(1)
    return mirror


def open_pruner(history: dict[str, Any]) -> BasePruner:
    args = {name: arg for name, arg in history["early_terminate"].items() if name != "type"}
    component = resolve_pruner(Component("WandbHyperbandPruner", args), n_objectives=1)
    return build_pruner(component)


def end(mirror: Mirror, trial_id: int, state: TrialState) -> None:
    values = [0.0] if state is TrialState.COMPLETE else None
    mirror.set_trial_state_values(trial_id, state, values)


@pytest.fixture(scope="module")
def theirs(ask_sweeps: AskSweeps) -> Draws:
    sweep = {"parameters": PARAMETERS, "n_draws": N_DRAWS, "seed": 11}
    draws: Draws = ask_sweeps("values", sweep)
    return draws


@pytest.fixture(scope="module")
def ours() -> Draws:
    entries = {name: convert_parameter(parameter) for name, parameter in PARAMETERS.items()}
    return draw(entries, N_DRAWS)


@pytest.fixture(scope="module")
def wrong() -> Draws:
    return draw(WRONG, 1000)


def test_every_distribution_that_is_taken_is_compared() -> None:
    taken = {name for name, form in DISTRIBUTIONS.items() if form.refusal is None}
    named = {parameter.get("distribution") for parameter in PARAMETERS.values()}
    assert len(taken) == 18
    assert taken - named == set()


def test_both_have_the_same_parameters(ours: Draws, theirs: Draws) -> None:
    assert ours.keys() == theirs.keys()


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_are_the_same(name: str, ours: Draws, theirs: Draws) -> None:
    name = find_flat(name, ours)
    assert set(map(show, ours[name])) == set(map(show, theirs[name]))


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_values_have_the_same_distribution(name: str, ours: Draws, theirs: Draws) -> None:
    flat = find_flat(name, ours)
    assert len(ours[flat]) == len(theirs[flat]) == N_DRAWS
    assert compute_p(name, ours[flat], theirs[flat]) > LEAST_P


@pytest.mark.parametrize("name", WRONG)
def test_a_near_miss_is_told_apart(name: str, wrong: Draws, theirs: Draws) -> None:
    assert compute_p(name, wrong[name], theirs[name]) < LEAST_P


@pytest.mark.parametrize("name", DISCRETE)
def test_the_very_same_values_occur(name: str, ours: Draws, theirs: Draws) -> None:
    name = find_flat(name, ours)
    seen = [Counter(map(show, draws[name])) for draws in (ours, theirs)]
    assert list_frequent(seen[0]) <= seen[1].keys()
    assert list_frequent(seen[1]) <= seen[0].keys()


def list_frequent(counts: Counter[str]) -> set[str]:
    return {value for value, count in counts.items() if count >= LEAST_COUNT}


def draw(document: dict[str, Any], n_draws: int) -> Draws:
    """Draws trials as an ask does, in a study with a seed; constants are part of each."""
    space = parse_space(document)
    sampler = resolve_sampler(Component("RandomSampler"), space=space, n_objectives=1)
    ids = count()
    mirror = Mirror(
        study_id=1,
        name="s",
        directions=[StudyDirection.MINIMIZE],
        new_trial_id=lambda: next(ids),
    )
    study = optuna.Study("s", mirror, sampler=build_sampler(sampler, seed=5, space=space))
    draws: Draws = {name: [value] * n_draws for name, value in space.constants.items()}
    for _ in range(n_draws):
        drawn = draw_trial(study, mirror, space=space, fixed={})
        for name, value in space.resolve(drawn.params).items():
            draws.setdefault(name, []).append(value)
    return draws


def find_flat(name: str, draws: Draws) -> str:
    """Returns the name that a parameter, or the only one nested in it, has among the draws."""
    (flat,) = [each for each in draws if each == name or each.startswith(f"{name}.")]
    return flat


def compute_p(name: str, ours: list[Any], theirs: list[Any]) -> float:
    """How likely two samples of one distribution differ as much as these."""
    if name in CONTINUOUS:
        return float(ks_2samp(ours, theirs).pvalue)
    seen = [Counter(map(show, draws)) for draws in (ours, theirs)]
    frequent = list_frequent(seen[0]) | list_frequent(seen[1])
    table = [[each[value] for value in sorted(frequent)] for each in seen]
    rare = [each.total() - sum(row) for each, row in zip(seen, table, strict=True)]
    if any(rare):
        table = [[*row, rest] for row, rest in zip(table, rare, strict=True)]
    return float(chi2_contingency(table).pvalue)


def show(value: Any) -> str:
    """Tells apart what Python takes for equal, such as 1 and True, but no zero by its sign."""
    return json.dumps(value + 0.0 if isinstance(value, float) else value)
