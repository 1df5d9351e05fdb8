"""Whether what a sweep is to launch fits it, asked where that is known."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from typing import Any

from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from service.cli.sweep.preview import Preview
from service.schedulers.executors.base import Launch
from service.schedulers.executors.connection.connection import (
    SystemAway,
    SystemConnection,
    SystemRefused,
)
from service.search_space import Parameter, SearchSpace, nest
from service.search_space.readings import WeightedChoices
from service.settings import list_default_executors

_GOLDEN = 0.618


class NotCompared(Exception):
    """Nobody could be asked from here; the message says why, for people."""


def find_misfits(preview: Preview) -> list[str]:
    """All that keeps the trials of a sweep in Flyte from being launched, for people.

    Raises:
        NotCompared: The first worker will do it.
    """
    if "flyte" not in list_default_executors():
        raise NotCompared("flytekit is not installed here, or has no settings.")
    try:
        return asyncio.run(_ask_flyte(preview))
    except (SystemAway, SystemRefused) as error:
        raise NotCompared(str(error)) from error


async def _ask_flyte(preview: Preview) -> list[str]:
    from service.schedulers.executors.flyte.api import FlyteApi
    from service.schedulers.executors.flyte.comparing import compare_with_flyte
    from service.schedulers.executors.flyte.system import describe_flyte

    connection = SystemConnection(describe_flyte(os.environ))
    metrics = tuple(objective.name for objective in preview.spec.objectives)
    arguments = preview.launch.arguments
    trials = [
        Launch("", params=params, metrics=metrics, arguments=arguments)
        for params in _list_examples(preview.space)
    ]
    try:
        return await compare_with_flyte(FlyteApi(connection), trials)
    finally:
        await connection.close()


def _list_examples(space: SearchSpace) -> Iterator[dict[str, Any]]:
    """Trials that together have every choice, and both ends of every range."""
    values = {each.name: _list_values(each) for each in space.parameters}
    for index in range(max((len(each) for each in values.values()), default=1)):
        chosen = {name: each[min(index, len(each) - 1)] for name, each in values.items()}
        yield nest({**space.constants, **space.resolve(chosen)})


def _list_values(parameter: Parameter) -> Sequence[Any]:
    if isinstance(reading := parameter.reading, WeightedChoices):
        return [reading.find_drawn(value) for value in reading.list_drawn()]
    match parameter.distribution:
        case CategoricalDistribution(choices=choices):
            return choices
        case FloatDistribution(low=low, high=high, step=None):
            # Between the ends, for they may both be whole numbers where others are none.
            return low, low + _GOLDEN * (high - low), high
        case FloatDistribution(low=low, high=high, step=float(step)):
            return low, low + step, high
        case IntDistribution(low=low, high=high):
            return low, high
        case other:
            raise AssertionError(other)
