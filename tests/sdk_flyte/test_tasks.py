"""Flyte tasks as objectives in local runs, among them the three examples of the plugin."""

import asyncio
import math
from typing import Any

import flytekit as fl
import optuna
import pytest
from asktell.flyte import Optimizer, optimize, suggest

from tests.sdk_flyte import objectives
from tests.sdk_flyte.test_failures import reasons
from tests.sdk_flyte.test_runs import count_states

Params = dict[str, int | float | str]


@fl.task
async def objective(x: float, y: int, z: int, power: int) -> float:
    return math.log(((x - 5) ** 2) + (y + 4) ** 4 + (3 * z - 3) ** 2) ** power


# With decks flytekit asks pip twice what is installed, which takes seconds.
@fl.eager(deck_fields=())
async def train(concurrency: int, n_trials: int) -> float:
    optimizer = Optimizer(objective=objective, concurrency=concurrency, n_trials=n_trials)
    await optimizer(
        x=suggest.float(low=-10, high=10),
        y=suggest.integer(low=-10, high=10),
        z=suggest.category([-5, 0, 3, 6, 9]),
        power=2,
    )
    assert count_states(optimizer.study) == {"COMPLETE": n_trials}
    return optimizer.study.best_value


@fl.task
async def boost(params: Params) -> float:
    assert params["tree_method"] == "exact"
    return float(params["lambda"])


@fl.eager(deck_fields=())
async def train_nested(concurrency: int, n_trials: int) -> float:
    study = optuna.create_study(direction="maximize")
    optimizer = Optimizer(objective=boost, concurrency=concurrency, n_trials=n_trials, study=study)
    params = {
        "lambda": suggest.float(1e-8, 1.0, log=True),
        "subsample": suggest.float(0.2, 1.0),
        "max_depth": suggest.integer(3, 9, step=2),
        "objective": "binary:logistic",
        "tree_method": "exact",
    }
    await optimizer(params=params)
    assert set(study.best_params) == {"params.lambda", "params.subsample", "params.max_depth"}
    assert study.best_params["params.max_depth"] in (3, 5, 7, 9)
    assert study.best_value == study.best_params["params.lambda"]
    return study.best_value


@fl.task
async def conditional(params: Params) -> float:
    return float(params["colsample_bytree"])


@fl.eager(deck_fields=())
async def train_callback(concurrency: int, n_trials: int) -> float:
    study = optuna.create_study(direction="maximize")

    @optimize(n_trials=n_trials, concurrency=concurrency, study=study)
    def optimizer(trial: optuna.Trial, verbosity: int, tree_method: str) -> Any:
        params: Params = {
            "verbosity": verbosity,
            "tree_method": tree_method,
            "booster": trial.suggest_categorical("booster", ["gbtree", "gblinear", "dart"]),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.2, 1.0),
        }
        if params["booster"] in ["gbtree", "dart"]:
            params["max_depth"] = trial.suggest_int("max_depth", 3, 9, step=2)
        if params["booster"] == "dart":
            params["sample_type"] = trial.suggest_categorical(
                "sample_type", ["uniform", "weighted"]
            )
        return conditional(params=params)

    await optimizer(verbosity=0, tree_method="exact")
    for trial in study.trials:
        assert ("max_depth" in trial.params) == (trial.params["booster"] != "gblinear")
        assert ("sample_type" in trial.params) == (trial.params["booster"] == "dart")
    assert count_states(study) == {"COMPLETE": n_trials}
    return study.best_value


def test_the_imperative_example_runs() -> None:
    assert isinstance(asyncio.run(train(concurrency=2, n_trials=4)), float)


def test_the_example_with_nested_dictionaries_runs() -> None:
    assert 0 < asyncio.run(train_nested(concurrency=2, n_trials=4)) <= 1


def test_the_example_with_a_callback_and_conditions_runs() -> None:
    assert 0.2 <= asyncio.run(train_callback(concurrency=2, n_trials=8)) <= 1


@pytest.mark.parametrize(
    ("task", "n_values"),
    [
        (objectives.square, 1),
        (objectives.annotated, 1),
        (objectives.eager_square, 1),
        (objectives.pair, 2),
        (objectives.named_pair, 2),
    ],
)
async def test_what_tasks_return_is_told(task: Any, n_values: int) -> None:
    study = optuna.create_study(directions=["minimize"] * n_values)
    await Optimizer(task, 1, 2, study)(x=suggest.float(0, 1))
    assert [len(trial.values) for trial in study.trials] == [n_values] * 2


async def test_a_failing_task_fails_its_trial_in_a_local_run_too() -> None:
    study = optuna.create_study(sampler=optuna.samplers.GridSampler({"x": [0.1, 0.3, 0.9]}))
    await Optimizer(objectives.picky, 2, 3, study)(x=suggest.float(0, 1))
    ends = {trial.params["x"]: trial.state.name for trial in study.trials}
    assert ends == {0.1: "PRUNED", 0.3: "COMPLETE", 0.9: "FAIL"}
    assert any("0.9 is too much" in str(reason) for reason in reasons(study))


async def test_values_of_nested_dictionaries_reach_the_task(study: optuna.Study) -> None:
    await Optimizer(objectives.nested, 1, 2, study)(
        params={"optimizer": {"lr": suggest.float(0, 1)}}
    )
    assert [trial.value for trial in study.trials] == [
        trial.params["params.optimizer.lr"] for trial in study.trials
    ]


@pytest.mark.parametrize("inputs", [{}, {"x": 1.0, "z": 2}, {"shift": 2}])
async def test_inputs_that_a_task_does_not_have_are_refused_before_a_trial_is_made(
    inputs: dict[str, Any], study: optuna.Study
) -> None:
    with pytest.raises(TypeError, match="square"):
        await Optimizer(objectives.square, 1, 1, study)(**inputs)
    assert study.trials == []


async def test_an_input_of_the_wrong_type_fails_the_trials(study: optuna.Study) -> None:
    await Optimizer(objectives.square, 1, 2, study)(x=suggest.category(["a", "b"]))
    assert count_states(study) == {"FAIL": 2}
