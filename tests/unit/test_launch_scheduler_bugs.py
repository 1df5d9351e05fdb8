"""Sweep files that the Optuna scheduler of W&B Launch takes amiss, and what becomes of them here.

Shown elsewhere: ends of runs in tests/integration/test_launch_scheduler_ends.py; all distributions
against W&B's own package in tests/parity/test_sweeps_package.py; every component of Optuna in
test_samplers_resolve.py and test_pruners.py; spellings of canceled in tests/wandb/test_mirror.py;
that rows are read once in test_wandb_run_log.py and test_wandb_launch_following.py; that a server
or a worker may be killed at any time in tests/integration/test_sweeps.py and tests/acceptance.
"""

import itertools
import math
from statistics import median
from typing import Any

import optuna
import pytest
from optuna.study import StudyDirection

from service.cli.sweep.preview import Preview, build_preview
from service.domain.errors import InvalidSweepFile
from service.domain.studies import Component, Direction
from service.engine.ask import show_params
from service.engine.drawing import draw_trial
from service.engine.mirror import Mirror
from service.samplers import build_sampler
from service.sweep_files import read_sweep_file

N_DRAWS = 300
WANDB = """method: random
metric: {name: loss}
program: train.py
"""
CUSTOM = WANDB.replace("random", "custom")
OURS = "direction: minimize\nlaunch: {program: train.py}\n"
TWO = "objectives: [{name: loss, direction: minimize}, {name: size, direction: maximize}]\n"


def create(text: str) -> Preview:
    """Returns what a server would make of a file."""
    return build_preview(read_sweep_file(text), "s")


def refuse(text: str) -> dict[str, str]:
    with pytest.raises(InvalidSweepFile) as caught:
        create(text)
    return {error.field: error.message for error in caught.value.errors}


def draw(text: str, count: int = N_DRAWS) -> list[dict[str, Any]]:
    """Returns the parameters of a sweep's first trials, as programs get them."""
    sweep = create(f"seed: 7\n{text}")
    ids = itertools.count()
    mirror = Mirror(
        study_id=1,
        name="s",
        directions=[StudyDirection.MINIMIZE] * len(sweep.spec.objectives),
        new_trial_id=lambda: next(ids),
    )
    sampler = build_sampler(sweep.spec.sampler, seed=sweep.spec.seed, space=sweep.space)
    study = optuna.Study("s", mirror, sampler=sampler)
    drawn = (draw_trial(study, mirror, space=sweep.space, fixed={}) for _ in range(count))
    return [show_params(sweep.space, each.params) for each in drawn]


def draw_x(parameter: str) -> list[Any]:
    return [params["x"] for params in draw(f"{WANDB}parameters: {{x: {parameter}}}")]


# Parameters.


@pytest.mark.parametrize(
    ("value", "read"), [("0", 0), ("false", False), ("null", None), ('""', ""), ("0.0", 0.0)]
)
def test_value_0_and_the_like(value: str, read: Any) -> None:
    (params,) = draw(f"{WANDB}parameters: {{x: {{value: {value}}}, y: {{min: 0, max: 1}}}}", 1)

    assert params["x"] == read
    assert type(params["x"]) is type(read)


def test_min_minus_5_max_0() -> None:
    assert set(draw_x("{min: -5, max: 0}")) == {-5, -4, -3, -2, -1, 0}


def test_min_0_max_1_5() -> None:
    values = draw_x("{min: 0, max: 1.5}")

    assert all(isinstance(value, float) and 0 <= value <= 1.5 for value in values)
    assert len(set(values)) == N_DRAWS
    assert median(values) == pytest.approx(0.75, abs=0.1)


@pytest.mark.parametrize(
    "parameter",
    [
        "{distribution: log_uniform_values, min: 1.0e-6, max: 1.0}",
        "{distribution: log_uniform, min: -13.8155, max: 0.0}",
        "{min: 1.0e-6, max: 1.0, log: true}",
    ],
)
def test_logarithms(parameter: str) -> None:
    assert math.log10(median(draw_x(parameter))) == pytest.approx(-3, abs=0.5)


def test_q_uniform() -> None:
    assert set(draw_x("{distribution: q_uniform, min: 0, max: 10, q: 5}")) == {0, 5, 10}


@pytest.mark.parametrize(
    ("parameter", "middle"),
    [
        ("{distribution: normal, mu: 3, sigma: 0.5}", 3.0),
        ("{distribution: beta, a: 1, b: 2}", 0.293),
        ("{distribution: q_log_normal, mu: 2, sigma: 0.1, q: 1}", 7),
    ],
)
def test_laws(parameter: str, middle: float) -> None:
    assert median(draw_x(parameter)) == pytest.approx(middle, abs=0.15)


def test_probabilities() -> None:
    values = draw_x("{values: [a, b], probabilities: [0.1, 0.9]}")

    assert values.count("a") == pytest.approx(0.1 * N_DRAWS, abs=20)
    assert {*values} == {"a", "b"}


def test_nested_parameters() -> None:
    nested = "{parameters: {name: {value: adam}, lr: {min: 0, max: 3}}}"

    optimizers = draw_x(nested)

    assert {params["name"] for params in optimizers} == {"adam"}
    assert {params["lr"] for params in optimizers} == {0, 1, 2, 3}


def test_conditional_parameters_are_drawn_where_they_count() -> None:
    trials = draw(f"""{OURS}sampler: {{type: RandomSampler}}
space:
  arch: {{type: categorical, choices: [mlp, cnn]}}
  width: {{type: int, low: 1, high: 9, when: {{arch: [mlp]}}}}
""")

    assert {params["arch"] for params in trials} == {"mlp", "cnn"}
    assert all(("width" in params) == (params["arch"] == "mlp") for params in trials)


def test_conditional_parameters_with_several_objectives() -> None:
    trials = draw(f"""{TWO}launch: {{program: train.py}}
space:
  arch: {{type: categorical, choices: [mlp, cnn]}}
  width: {{type: int, low: 1, high: 9, when: {{arch: [mlp]}}}}
""")

    assert all(("width" in params) == (params["arch"] == "mlp") for params in trials)


# Metrics.


def test_metric_without_a_goal() -> None:
    (objective,) = create(f"{WANDB}parameters: {{x: {{min: 0, max: 1}}}}").spec.objectives

    assert objective.direction is Direction.MINIMIZE


def test_goal_minimise() -> None:
    file = WANDB.replace("name: loss", "name: loss, goal: minimise")

    assert refuse(f"{file}parameters: {{x: {{min: 0, max: 1}}}}") == {
        "metric.goal": 'line 2: This must be minimize or maximize, not "minimise".'
    }


# Samplers, pruners, workers.


@pytest.mark.parametrize(
    ("type_", "args", "nested"),
    [
        ("PartialFixedSampler", "{fixed_params: {x: 1}, base_sampler: {type: TPESampler}}", 1),
        ("GridSampler", "{search_space: {x: [0, 1]}}", 0),
        ("GridSampler", "{}", 0),
        ("NSGAIIISampler", "{population_size: 5}", 0),
    ],
)
def test_samplers_with_arguments_that_are_no_numbers(type_: str, args: str, nested: int) -> None:
    sampler = create(f"""{CUSTOM}parameters: {{x: {{min: 0, max: 1}}}}
sampler: {{type: {type_}, args: {args}}}
""").spec.sampler

    assert sampler.type == type_
    assert [each["type"] for each in sampler.args.values() if "type" in _as_dict(each)] == (
        ["TPESampler"] * nested
    )


def test_patient_pruner() -> None:
    wrapped = {"type": "PercentilePruner", "args": {"percentile": 25.0}}
    pruner = create(f"""{CUSTOM}parameters: {{x: {{min: 0, max: 1}}}}
pruner: {{type: PatientPruner, args: {{patience: 3, wrapped_pruner: {wrapped}}}}}
""").spec.pruner

    assert isinstance(pruner, Component)
    assert pruner.args["patience"] == 3
    assert pruner.args["wrapped_pruner"]["args"]["percentile"] == 25.0


@pytest.mark.parametrize(
    ("component", "key"),
    [
        ("sampler: {type: MOTPESampler}", "sampler.type"),
        ("pruner: {type: Wilcoxon}", "pruner.type"),
    ],
)
def test_names_that_optuna_does_not_have(component: str, key: str) -> None:
    file = f"{CUSTOM}parameters: {{x: {{min: 0, max: 1}}}}\n{component}\n"

    (refused,) = refuse(file).items()

    assert refused[0].startswith(key)
    assert refused[1].startswith("line 5: ")


def test_several_workers_are_what_the_file_says() -> None:
    file = f"{WANDB}parameters: {{x: {{min: 0, max: 1}}}}\nparallelism: 8\n"

    assert create(file).settings.parallelism == 8


def _as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
