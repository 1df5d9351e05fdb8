"""What sweeps have executed in Flyte: tasks, workflows and launch plans of their users."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import flytekit as fl
from flytekit.exceptions.user import FlyteRecoverableException
from flytekit.types.file import FlyteFile


class Scores(NamedTuple):
    accuracy: float
    size: int


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Optimizer:
    name: str
    lr: float


@fl.task
def measure(x: float, layers: int = 2) -> tuple[float, int]:
    return x / 2, layers


@fl.task
def score(x: float) -> Scores:
    return Scores(accuracy=x, size=3)


@fl.task
def diverge(x: float) -> float:
    return math.nan * x


@fl.task
def fail(x: float) -> float:
    if x > 0.0:
        raise ValueError(f"no such rate: {x}\nTry a smaller one.")
    return x


@fl.task(retries=1)
def fail_again(x: float) -> float:
    if x > 0.0:
        raise FlyteRecoverableException(f"too busy for {x}")
    return x


@fl.task
def read_files(
    data: FlyteFile,
    several: list[FlyteFile],
    named: dict[str, FlyteFile],
    perhaps: FlyteFile | None,
    anything: Any,
) -> float:
    return float(len(str(data)))


@fl.task
def take_all(
    rate: float,
    layers: int,
    sizes: list[int],
    weights: dict[str, float],
    optimizer: dict,
    settings: Optimizer,
    color: Color,
    name: str,
    is_wide: bool,
    momentum: float | None,
    momenta: list[float | None],
    seed: int | None = None,
) -> tuple[str, float]:
    numbers = rate, layers, sizes, sorted(weights.items()), momentum, momenta, seed
    return repr((numbers, sorted(optimizer.items()), settings, color, name, is_wide)), rate


@fl.workflow
def halve(x: float, layers: int = 5) -> tuple[float, int]:
    return measure(x=x, layers=layers)


seven_layers = fl.LaunchPlan.get_or_create(halve, "seven_layers", fixed_inputs={"layers": 7})
