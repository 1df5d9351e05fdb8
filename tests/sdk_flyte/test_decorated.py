"""`@optimize` above `@fl.task`: an optimizer here, the task where flytekit looks for one."""

import asyncio
import copy

import optuna
import pytest
from asktell.flyte import Optimizer
from flytekit.core.python_auto_container import default_task_resolver

from tests.sdk_flyte import stacked
from tests.sdk_flyte.test_runs import count_states


def test_it_is_awaited_as_an_optimizer() -> None:
    before = len(stacked.objective.study.trials)
    assert asyncio.run(stacked.train()) == before + 3
    assert count_states(stacked.objective.study) == {"COMPLETE": before + 3}


def test_flytekits_resolver_finds_the_task_in_its_place() -> None:
    found = default_task_resolver.load_task(
        ["task-module", "tests.sdk_flyte.stacked", "task-name", "objective"]
    )
    assert isinstance(found, Optimizer)
    assert found.name == found.objective.name == "tests.sdk_flyte.stacked.objective"
    assert found.metadata is found.objective.metadata
    assert found.dispatch_execute == found.objective.dispatch_execute


@pytest.mark.parametrize("name", ["nothing", "__nothing__"])
def test_other_attributes_are_missing(name: str) -> None:
    with pytest.raises(AttributeError, match="nothing"):
        getattr(stacked.objective, name)


def measure(trial: optuna.Trial) -> float:
    return 1.0


def test_an_optimizer_of_a_function_is_not_taken_for_a_task() -> None:
    optimizer = Optimizer(measure, 1, 1)
    assert not hasattr(optimizer, "dispatch_execute")
    assert copy.copy(optimizer).n_trials == 1
