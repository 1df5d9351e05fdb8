"""What an optimizer evaluates: an async Flyte task, or a function that gets a trial."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol, get_args, get_origin

from flytekit.core.base_task import Task
from flytekit.core.python_function_task import AsyncPythonFunctionTask
from flytekit.core.workflow import WorkflowBase


class Objective(Protocol):
    """How to evaluate one set of inputs."""

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuses inputs that no trial could be called with.

        Raises:
            TypeError: One is missing or unknown.
        """

    async def evaluate(self, trial: Any, inputs: Mapping[str, Any]) -> Any:
        """What the objective returns for a trial; it raises what the objective raises."""


class TaskObjective:
    """An async task, or an eager one, which is called with the inputs alone."""

    def __init__(self, task: AsyncPythonFunctionTask[Any]) -> None:
        self._task = task

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        _check_call(self._task.task_function, inputs)

    async def evaluate(self, trial: Any, inputs: Mapping[str, Any]) -> Any:  # noqa: ARG002
        return await self._task(**inputs)


class CallbackObjective:
    """A function with a parameter `trial`: plain, async, or returning something to await."""

    def __init__(self, callback: Callable[..., Any]) -> None:
        self._callback = callback

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        _check_call(self._callback, {"trial": None, **inputs})

    async def evaluate(self, trial: Any, inputs: Mapping[str, Any]) -> Any:
        returned = self._callback(trial=trial, **inputs)
        return await returned if inspect.isawaitable(returned) else returned


def is_task(objective: Any) -> bool:
    """Whether it is an async task of Flyte, eager ones included."""
    return isinstance(objective, AsyncPythonFunctionTask)


def read_objective(objective: Any, n_directions: int) -> Objective:
    """The objective, once it was found to fit a study with so many directions.

    Raises:
        ValueError: It does not, or cannot be awaited by an optimizer.
    """
    if is_task(objective):
        _check_outputs(objective, n_directions)
        return TaskObjective(objective)
    _check_callback(objective)
    return CallbackObjective(objective)


def _check_outputs(task: AsyncPythonFunctionTask[Any], n_directions: int) -> None:
    # flytekit has read the annotations already: names of a NamedTuple, texts of postponed ones.
    outputs = [_strip_annotated(output) for output in task.python_interface.outputs.values()]
    if not outputs or any(output is not float for output in outputs):
        raise ValueError(
            f"The objective {task.name} must be annotated to return a float or a tuple of floats."
        )
    if len(outputs) != n_directions:
        raise ValueError(
            f"The objective {task.name} returns {len(outputs)} values, but the study has "
            f"{n_directions} directions."
        )


def _strip_annotated(output: Any) -> Any:
    return get_args(output)[0] if get_origin(output) is Annotated else output


def _check_callback(objective: Any) -> None:
    if isinstance(objective, (Task, WorkflowBase)):
        raise ValueError(
            f"The objective {objective.name} cannot be awaited: make it an `async def` task, or "
            "call it from a function that has a parameter `trial`."
        )
    if not callable(objective):
        raise ValueError(f"The objective must be an async task or a function, not {objective!r}.")
    parameter = inspect.signature(objective).parameters.get("trial")
    if parameter is None or parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        raise ValueError(
            "An objective that is no async task must take a keyword argument called `trial`."
        )


def _check_call(function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        name = getattr(function, "__name__", repr(function))
        raise TypeError(f"The objective {name} cannot take these inputs: {error}.") from None
