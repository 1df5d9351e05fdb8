"""What an optimizer can be made of. Whatever the plugin refuses with ValueError is a ValueError."""

import math
import re
from collections.abc import Callable
from typing import Any

import asktell
import optuna
import pytest
from asktell.flyte import Optimizer, optimize

from tests.sdk_flyte import objectives


def callback(trial: optuna.Trial) -> float:
    return 1.0


def positional_only(trial: optuna.Trial, /) -> float:
    return 1.0


def two_directions() -> optuna.Study:
    return optuna.create_study(directions=["minimize", "maximize"])


def test_arguments_may_be_positional(study: optuna.Study) -> None:
    optimizer = Optimizer(objectives.square, 2, 3, study, 1)
    assert optimizer.objective is objectives.square
    assert (optimizer.concurrency, optimizer.n_trials, optimizer.delay) == (2, 3, 1)
    assert optimizer.study is study
    assert optimizer.is_imperative


def test_without_a_study_there_is_a_new_one_at_once() -> None:
    optimizer = Optimizer(callback, 1, 1)
    assert isinstance(optimizer.study, optuna.Study)
    assert optimizer.study is optimizer.study
    assert not optimizer.is_imperative


def test_the_new_study_is_made_as_described() -> None:
    sampler, pruner = optuna.samplers.RandomSampler(), optuna.pruners.MedianPruner()
    optimizer = Optimizer(
        objectives.pair,
        1,
        1,
        directions=["maximize", optuna.study.StudyDirection.MINIMIZE],
        sampler=sampler,
        pruner=pruner,
        study_name="named",
    )
    directions = [direction.name for direction in optimizer.study.directions]
    assert directions == ["MAXIMIZE", "MINIMIZE"]
    assert optimizer.study.sampler is sampler
    assert optimizer.study.pruner is pruner
    assert optimizer.study.study_name == "named"


@pytest.mark.parametrize(
    ("objective", "directions"),
    [
        (objectives.square, ["minimize"]),
        (objectives.annotated, ["minimize"]),
        (objectives.eager_square, ["minimize"]),
        (objectives.pair, ["minimize", "maximize"]),
        (objectives.named_pair, ["minimize", "maximize"]),
    ],
)
def test_tasks_that_return_floats_are_taken(objective: Any, directions: list[str]) -> None:
    optimizer = Optimizer(objective, 1, 1, optuna.create_study(directions=directions))
    assert optimizer.is_imperative


@pytest.mark.parametrize(
    "arguments",
    [
        {"concurrency": 0},
        {"concurrency": -1},
        {"concurrency": 1.0},
        {"concurrency": "1"},
        {"concurrency": True},
        {"n_trials": 0},
        {"n_trials": 2.5},
        {"n_trials": True},
        {"delay": -1},
        {"delay": "1"},
        {"delay": True},
        {"delay": math.nan},
        {"timeout": -1},
        {"timeout": "1"},
        {"max_retries": -1},
        {"max_retries": 0.5},
        {"on_error": "ignore"},
        {"study": "name"},
        {"study": object()},
        {"direction": "up"},
        {"direction": "minimize", "directions": ["minimize"]},
        {"study": optuna.create_study(), "study_name": "other"},
        {"study": optuna.create_study(), "direction": "maximize"},
        {"study": optuna.create_study(), "sampler": optuna.samplers.RandomSampler()},
        {"study": optuna.create_study(), "server": "http://box", "study_name": "s"},
        {"server": "http://box"},
    ],
    # Not their values: those of objects show where in memory they are.
    ids="-".join,
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Optimizer(callback, **{"concurrency": 1, "n_trials": 1, **arguments})


DESCRIBED = {"type": "MedianPruner", "args": {}}
ON_SERVER = {"server": "http://box", "study_name": "s"}


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ({"sampler": DESCRIBED}, "such as optuna.samplers.TPESampler()"),
        ({"sampler": optuna.samplers.TPESampler}, "such as optuna.samplers.TPESampler()"),
        ({"pruner": DESCRIBED}, "such as optuna.pruners.MedianPruner()"),
        ({**ON_SERVER, "sampler": optuna.samplers.RandomSampler()}, '{"type": "…", "args": {…}}'),
        ({**ON_SERVER, "pruner": optuna.pruners.MedianPruner()}, '{"type": "…", "args": {…}}'),
        ({**ON_SERVER, "server": 5}, '"http://127.0.0.1:8700" or an asktell.Client, not 5.'),
    ],
    ids=["sampler", "sampler-class", "pruner", "server-sampler", "server-pruner", "server"],
)
def test_what_is_of_the_wrong_kind_is_refused_with_what_to_give(
    arguments: dict[str, Any], advice: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(advice)):
        Optimizer(callback, 1, 1, **arguments)


@pytest.mark.parametrize(
    "objective",
    [
        objectives.synchronous,
        objectives.workflow,
        objectives.whole,
        objectives.nothing,
        objectives.listed,
        objectives.keyed,
        objectives.half_a_pair,
        lambda x: x,
        positional_only,
        "objective",
        None,
    ],
)
def test_objectives_that_cannot_be_optimised_are_refused(objective: Any) -> None:
    with pytest.raises(ValueError):
        Optimizer(objective, 1, 1)


@pytest.mark.parametrize(
    ("objective", "make_study"),
    [
        (objectives.square, two_directions),
        (objectives.pair, optuna.create_study),
        (objectives.named_pair, optuna.create_study),
        (objectives.keyed, two_directions),
        (objectives.half_a_pair, two_directions),
    ],
)
def test_a_task_and_its_study_have_as_many_values(
    objective: Any, make_study: Callable[[], optuna.Study]
) -> None:
    with pytest.raises(ValueError):
        Optimizer(objective, 1, 1, make_study())


def test_a_server_is_not_spoken_to_before_the_first_await() -> None:
    client = asktell.Client("http://127.0.0.1:9", "token")
    optimizer = Optimizer(callback, 1, 1, server=client, study_name="s")
    assert optimizer.n_trials == 1


def test_concurrency_and_trials_may_be_assigned_later() -> None:
    optimizer = Optimizer(callback, 1, 1)
    optimizer.concurrency, optimizer.n_trials = 3, 4
    assert (optimizer.concurrency, optimizer.n_trials) == (3, 4)


async def test_what_is_assigned_is_checked_by_the_next_await() -> None:
    optimizer = Optimizer(callback, 1, 1)
    optimizer.n_trials = 0
    with pytest.raises(ValueError, match="n_trials"):
        await optimizer()
    assert optimizer.study.trials == []


def test_the_decorator_has_the_defaults_of_the_plugin() -> None:
    @optimize
    def optimizer(trial: optuna.Trial) -> float:
        return 1.0

    assert isinstance(optimizer, Optimizer)
    assert (optimizer.concurrency, optimizer.n_trials) == (1, 1)


def test_the_decorator_takes_arguments(study: optuna.Study) -> None:
    @optimize(concurrency=2, n_trials=5, study=study, delay=0.5, on_error="raise")
    def optimizer(trial: optuna.Trial) -> float:
        return 1.0

    assert (optimizer.concurrency, optimizer.n_trials, optimizer.delay) == (2, 5, 0.5)
    assert optimizer.study is study


def test_the_decorator_can_be_called(study: optuna.Study) -> None:
    optimizer = optimize(objectives.square, 2, 3, study)
    assert (optimizer.objective, optimizer.n_trials) == (objectives.square, 3)


@pytest.mark.parametrize("objective", [1, "objective"])
def test_the_decorator_refuses_what_cannot_be_called(objective: Any) -> None:
    with pytest.raises(ValueError):
        optimize(objective)
